"""The network: stem, stages of blocks, head, and the size of the picture it looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, get_args

from allometry.arch.blocks import ACTIVATIONS, Activation, Block
from allometry.arch.checks import STRICT, check_integer, check_number, check_odd, check_one_of
from allometry.base import NetworkError

if TYPE_CHECKING:
    from pydantic import ConfigDict

Padding = Literal["symmetric", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """The first convolution, with batch norm and activation.

    Example:
        >>> Stem()
        Stem(32, k3, s2, silu)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int = 32
    kernel: int = 3
    stride: int = 2
    activation: Activation = "silu"

    def __post_init__(self) -> None:
        check_integer(self, "channels")
        check_odd(self, "kernel")
        check_integer(self, "stride")
        check_one_of(self, "activation", ACTIVATIONS)

    def __repr__(self) -> str:
        return f"Stem({self.channels}, k{self.kernel}, s{self.stride}, {self.activation})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A block, repeated. The first repetition has the block's stride, the others stride 1.

    Example:
        >>> from allometry.arch import MBConv
        >>> Stage(block=MBConv(channels=40, kernel=5, stride=2), repeats=2)
        2 x MBConv(40, k5, s2, e6, se0.25, silu)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    block: Block
    repeats: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.block, Block):
            raise NetworkError(f"Stage.block must be a block such as MBConv, not {self.block!r}.")
        check_integer(self, "repeats")

    def __repr__(self) -> str:
        return f"{self.repeats} x {self.block!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """1x1 convolution with batch norm and activation, global average pool, dropout, linear classifier.

    Example:
        >>> Head(classes=10)
        Head(1280, silu, dropout 0.2, 10 classes)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int = 1280
    activation: Activation = "silu"
    dropout: float = 0.2
    classes: int = 1000

    def __post_init__(self) -> None:
        check_integer(self, "channels")
        check_one_of(self, "activation", ACTIVATIONS)
        check_number(self, "dropout", least=0, below=1)
        check_integer(self, "classes")

    def __repr__(self) -> str:
        return f"Head({self.channels}, {self.activation}, dropout {self.dropout:g}, {self.classes} classes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm:
    """Constants of every batch norm; `momentum` is the weight of the new batch (PyTorch's convention).

    Source: released EfficientNet code: epsilon 1e-3, momentum 0.99 of the old, so 0.01 of the new.

    Example:
        >>> BatchNorm()
        BatchNorm(epsilon=0.001, momentum=0.01)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    epsilon: float = 1e-3
    momentum: float = 0.01

    def __post_init__(self) -> None:
        check_number(self, "epsilon", least=0)
        check_number(self, "momentum", least=0)


class PlacedBlock(NamedTuple):
    """A block where it stands: its input, its place, and the share of training steps that drop it.

    Attributes:
        block: the block, with the stride that it has in this place.
        in_channels: channels of its input.
        in_size: side of its input, in pixels.
        out_size: side of its output, in pixels.
        stage: index of its stage, from 0.
        drop_rate: stochastic depth, 0 where the block has no residual connection.
    """

    block: Block
    in_channels: int
    in_size: int
    out_size: int
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
        in_channels: channels of the input: 3 for colour, 1 for grey.
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
        check_one_of(self, "padding", get_args(Padding))
        check_number(self, "stochastic_depth", least=0, below=1)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return sum(stage.repeats for stage in self.stages)

    @property
    def total_stride(self) -> int:
        """Input pixels per pixel of the last feature map, along one side."""
        stride = self.stem.stride
        for stage in self.stages:
            stride *= stage.block.stride
        return stride

    def blocks(self) -> Iterator[PlacedBlock]:
        """Every block in order, each with its input.

        Example:
            >>> from allometry.zoo import get
            >>> [placed.out_size for placed in get("efficientnet-b0").blocks()][-1]
            7
        """
        channels, size = self.stem.channels, strided(self.resolution, self.stem.stride)
        index, depth = 0, self.depth
        for number, stage in enumerate(self.stages):
            for repeat in range(stage.repeats):
                block = stage.block if repeat == 0 else replace(stage.block, stride=1)
                out_size = strided(size, block.stride)
                rate = self.stochastic_depth * index / depth if block.has_residual(channels) else 0.0
                yield PlacedBlock(block, channels, size, out_size, number, rate)
                channels, size, index = block.channels, out_size, index + 1

    def __repr__(self) -> str:
        name = f"{self.name}, " if self.name else ""
        options = [f"{self.resolution} px", f"{self.in_channels} channels in"]
        options += [f"{self.padding} padding"] if self.padding != "symmetric" else []
        lines = [self.stem, *self.stages, self.head]
        return f"Network({name}{', '.join(options)}\n  " + "\n  ".join(repr(line) for line in lines) + ")"


def strided(size: int, stride: int) -> int:
    """Side of the output of a strided convolution, for both paddings.

    Example:
        >>> strided(224, 2), strided(75, 2)
        (112, 38)
    """
    return -(-size // stride)
