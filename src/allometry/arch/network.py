"""The network: stem, stages of blocks, head, and the size of the image it looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from allometry.arch.blocks import Block
from allometry.arch.checks import STRICT, check_integer, check_number, check_one_of
from allometry.arch.shapes import Padding, Shape
from allometry.arch.stages import BatchNorm, Head, Stage, Stem
from allometry.base import NetworkError

if TYPE_CHECKING:
    from pydantic import ConfigDict


class PlacedBlock(NamedTuple):
    """A block where it stands: what it reads, what it gives, and the fraction of training steps that drop it.

    Attributes:
        block: the block, with the stride that it has in this place.
        source: shape of its input.
        skip: shape of the input of the block before, which some cells read too.
        out: shape of its output.
        stage: index of its stage, from 0.
        drop_rate: stochastic depth, 0 where the block has no residual connection.

    Example:
        >>> from allometry.catalog import get
        >>> first = next(get("efficientnet-b0").blocks())
        >>> first.block, first.out
        (MBConv(16, k3, s1, e1, se0.25, silu), Shape(channels=16, size=112))
    """

    block: Block
    source: Shape
    skip: Shape
    out: Shape
    stage: int
    drop_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A convolutional network for images, as a value: compare it, hash it, write it, scale it, count it, build it.

    Attributes:
        stages: the body, in order.
        stem: the first convolution.
        head: the classifier.
        resolution: side of the square input, in pixels.
        in_channels: channels of the input: 3 for color, 1 for gray.
        batch_norm: constants of every batch norm.
        padding: `symmetric` (PyTorch's k // 2 on each side) or `same` (TensorFlow's: the odd pixel at the
            bottom and right), which imported TensorFlow weights need. Costs are the same.
        stochastic_depth: drop rate that the last block approaches; block i of N has rate * i / N.
        name: a label; two networks that differ in name only are equal.

    Raises:
        NetworkError: a field cannot have that value.

    Source: EfficientNet (Tan & Le 2019), section 3, equation 1, and Table 1.

    Example:
        >>> from allometry.arch import MBConv
        >>> tiny = Network(
        ...     stem=Stem(channels=8),
        ...     stages=(Stage(block=MBConv(channels=16, stride=2), repeats=2),),
        ...     head=Head(channels=64, classes=10),
        ...     resolution=32,
        ... )
        >>> tiny
        Network(32 px, 3 channels in
          Stem(8, k3, s2, silu)
          2 x MBConv(16, k3, s2, e6, se0.25, silu)
          Head(64, silu, dropout 0.2, 10 classes))
        >>> tiny.total_stride, tiny.depth
        (4, 2)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    stages: tuple[Stage, ...]
    stem: Stem = Stem()
    head: Head = Head()
    resolution: int = 224
    in_channels: int = 3
    batch_norm: BatchNorm = BatchNorm()
    padding: Padding = "symmetric"
    stochastic_depth: float = 0.2
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages or not all(isinstance(stage, Stage) for stage in self.stages):
            raise NetworkError(f"Network.stages must be one Stage or more, not {self.stages!r}.")
        check_integer(self, "resolution")
        check_integer(self, "in_channels")
        check_one_of(self, "padding", ("symmetric", "same"))
        check_number(self, "stochastic_depth", minimum=0, below=1)
        for group in self.groups:
            channels = {getattr(stage.block, "channels", None) for stage in group}
            if group[0].continues or len(channels) > 1:
                wrong = "has nothing before it" if group[0].continues else "has other channels"
                raise NetworkError(f"A stage continues another but {wrong}: {group[-1]!r}.")
        if self.stem.padding == "valid" or not all(stage.block.regular for stage in self.stages):
            self.shapes()  # only there can shapes fail to fit

    @property
    def groups(self) -> tuple[tuple[Stage, ...], ...]:
        """The stages, each with those that continue it.

        Example:
            >>> from allometry.catalog import get
            >>> [len(group) for group in get("efficientnet-b0").groups]
            [1, 1, 1, 1, 1, 1, 1]
        """
        groups: list[list[Stage]] = []
        for stage in self.stages:
            if stage.continues and groups:
                groups[-1].append(stage)
            else:
                groups.append([stage])
        return tuple(tuple(group) for group in groups)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return sum(stage.repeats for stage in self.stages)

    @property
    def total_stride(self) -> int:
        """Input pixels per pixel of the last feature map, along one side."""
        stride = self.stem.stride * (2 if self.stem.pool else 1)
        for stage in self.stages:
            stride *= stage.block.stride ** (1 if stage.block.regular else stage.repeats)
        return stride

    def shapes(self) -> tuple[Shape, ...]:
        """The shape of the stem's output and of every block's.

        Raises:
            NetworkError: shapes do not fit together; only cells and unpadded stems can be wrong so.

        Example:
            >>> from allometry.catalog import get
            >>> get("efficientnet-b0").shapes()[-1]
            Shape(channels=320, size=7)
        """
        return (self._entry(), *(placed.out for placed in self.blocks()))

    def _entry(self) -> Shape:
        return Shape(self.stem.channels, self.stem.out_size(self.resolution, self.padding))

    def blocks(self) -> Iterator[PlacedBlock]:
        """Every block in order, each with its input.

        Example:
            >>> from allometry.catalog import get
            >>> [placed.out.size for placed in get("efficientnet-b0").blocks()][-1]
            7
        """
        source = skip = self._entry()
        index, depth = 0, self.depth
        for number, stage in enumerate(self.stages):
            block = stage.block
            for _ in range(stage.repeats):
                out = block.after(source, skip, self.padding)
                rate = self.stochastic_depth * index / depth if block.has_residual(source.channels) else 0.0
                yield PlacedBlock(block, source, skip, out, number, rate)
                source, skip = out, skip if block.passes_skip else source
                block, index = block.following(), index + 1

    def __repr__(self) -> str:
        name = f"{self.name}, " if self.name else ""
        options = [f"{self.resolution} px", f"{self.in_channels} channels in"]
        options += [f"{self.padding} padding"] if self.padding != "symmetric" else []
        lines = [self.stem, *self.stages, self.head]
        return f"Network({name}{', '.join(options)}\n  " + "\n  ".join(repr(line) for line in lines) + ")"


def min_resolution(network: Network) -> int:
    """The smallest input, up to the network's own, that every layer bears: above 1 only where layers do not pad.

    Example:
        >>> from allometry.catalog import get
        >>> min_resolution(get("efficientnet-b0")), min_resolution(get("inception-v3"))
        (1, 75)
    """
    low, high = 1, network.resolution
    while low < high:
        middle = (low + high) // 2
        try:
            replace(network, resolution=middle)
        except NetworkError:
            low = middle + 1
        else:
            high = middle
    return low
