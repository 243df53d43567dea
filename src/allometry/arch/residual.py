"""The blocks of older families: separable convolutions and residual bottlenecks, regular in their fields.

Each says what graph it is (`cell`), and that is what it is counted and built by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from allometry.arch.blocks import Regular
from allometry.arch.cells import Cell, Node
from allometry.arch.checks import STRICT, check_integer, check_number, check_odd, check_one_of
from allometry.arch.layers import (
    ACTIVATIONS,
    Act,
    Activation,
    Conv,
    Depthwise,
    DropPath,
    Layer,
    SqueezeExcite,
)
from allometry.arch.rounding import CHANNEL_MULTIPLE, round_channels, widen
from allometry.base import NetworkError

if TYPE_CHECKING:
    from pydantic import ConfigDict


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparableConv(Regular):
    """A depthwise convolution and a 1x1 convolution, each with batch norm and activation; nothing is added.

    Attributes:
        channels: output channels.
        kernel: side of the depthwise kernel, odd.
        stride: of the depthwise convolution.
        activation: after both.

    Source: MobileNets (Howard et al. 2017), section 3.1.

    Example:
        >>> SeparableConv(channels=64, stride=2)
        SeparableConv(64, k3, s2, relu)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int
    kernel: int = 3
    stride: int = 1
    activation: Activation = "relu"
    kind: Literal["separable"] = "separable"

    def __post_init__(self) -> None:
        _check(self)
        check_one_of(self, "kind", ["separable"])

    def has_residual(self, in_channels: int) -> bool:
        """Whether the block adds its input to its output: never."""
        del in_channels
        return False

    def cell(self, in_channels: int) -> Cell:
        """The block as a graph.

        Example:
            >>> [node.name for node in SeparableConv(channels=64).cell(32).nodes]
            ['depthwise', 'project']
        """
        del in_channels
        spatial = Depthwise(kernel=self.kernel, stride=self.stride, norm=True, activation=self.activation)
        pointwise = Conv(channels=self.channels, activation=self.activation)
        return Cell(
            label="separable",
            nodes=(
                Node(name="depthwise", inputs=("input",), layers=(spatial,)),
                Node(name="project", inputs=("depthwise",), layers=(pointwise,)),
            ),
        )

    def __repr__(self) -> str:
        return f"SeparableConv({self.channels}, k{self.kernel}, s{self.stride}, {self.activation})"


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicBlock(Regular):
    """Two k x k convolutions beside a shortcut, which is a 1x1 convolution where shapes differ.

    Attributes:
        channels: output channels.
        kernel: side of both kernels, odd.
        stride: of the first convolution and of the shortcut.
        activation: after the first convolution and after the addition.

    Source: He et al. 2016, *Deep residual learning*, figure 5, left.

    Example:
        >>> BasicBlock(channels=128, stride=2)
        BasicBlock(128, k3, s2, relu)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int
    kernel: int = 3
    stride: int = 1
    activation: Activation = "relu"
    kind: Literal["basic"] = "basic"

    def __post_init__(self) -> None:
        _check(self)
        check_one_of(self, "kind", ["basic"])

    def has_residual(self, in_channels: int) -> bool:
        """Whether the block adds its input to its output: always."""
        del in_channels
        return True

    def cell(self, in_channels: int) -> Cell:
        """The block as a graph.

        Example:
            >>> [node.name for node in BasicBlock(channels=64).cell(64).nodes]
            ['first', 'second', 'output']
        """
        first = Conv(
            channels=self.channels, kernel=self.kernel, stride=self.stride, activation=self.activation
        )
        second = Conv(channels=self.channels, kernel=self.kernel)
        branch = (
            Node(name="first", inputs=("input",), layers=(first,)),
            Node(name="second", inputs=("first",), layers=(second, DropPath())),
        )
        return Cell(label="basic", nodes=_beside_shortcut(self, in_channels, branch))

    def __repr__(self) -> str:
        return f"BasicBlock({self.channels}, k{self.kernel}, s{self.stride}, {self.activation})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck(Regular):
    """Reduce 1x1, convolve k x k, restore 1x1, beside a shortcut, which is a 1x1 convolution where shapes differ.

    With groups it is ResNeXt's block; with a ratio of 1, groups and squeeze-excite it is RegNet's.

    Attributes:
        channels: output channels.
        kernel: side of the middle kernel, odd.
        stride: of the middle convolution and of the shortcut.
        ratio: middle channels per output channel.
        group_width: channels of each group of the middle convolution; None for one group.
        se_ratio: squeezed channels, after the middle convolution, per channel of the block's *input*; 0 for
            no squeeze-excite.
        activation: after the first two convolutions and after the addition.

    Raises:
        NetworkError: a field cannot have that value, or groups do not divide the middle channels.

    Source: He et al. 2016, figure 5, right, with the stride in the middle as in the usual PyTorch models;
    ResNeXt (Xie et al. 2017), figure 3c; RegNet (Radosavovic et al. 2020), figure 4.

    Example:
        >>> Bottleneck(channels=256)
        Bottleneck(256, k3, s1, middle 64, relu)
        >>> Bottleneck(channels=448, stride=2, ratio=1, group_width=56, se_ratio=0.25)
        Bottleneck(448, k3, s2, middle 448 in groups of 56, se0.25, relu)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int
    kernel: int = 3
    stride: int = 1
    ratio: float = 0.25
    group_width: int | None = None
    se_ratio: float = 0.0
    activation: Activation = "relu"
    kind: Literal["bottleneck"] = "bottleneck"

    def __post_init__(self) -> None:
        _check(self)
        check_number(self, "ratio", minimum=0)
        check_number(self, "se_ratio", minimum=0)
        check_one_of(self, "kind", ["bottleneck"])
        if self.middle < 1:
            raise NetworkError(f"{self!r} has no channels in the middle; raise its ratio or its channels.")
        if self.group_width is not None:
            check_integer(self, "group_width")
            if self.middle % self.group_width:
                raise NetworkError(
                    f"Groups of {self.group_width} channels do not divide the {self.middle} in the middle of {self!r}."
                )

    @property
    def middle(self) -> int:
        """Channels of the middle convolution."""
        return round(self.channels * self.ratio)

    @property
    def groups(self) -> int:
        """Groups of the middle convolution."""
        return 1 if self.group_width is None else self.middle // self.group_width

    @property
    def channel_step(self) -> int:
        """The least by which the channels may change, so that the middle stays whole groups."""
        return math.lcm(CHANNEL_MULTIPLE, round((self.group_width or 1) / self.ratio))

    def has_residual(self, in_channels: int) -> bool:
        """Whether the block adds its input to its output: always."""
        del in_channels
        return True

    def widened(self, width: float, multiple: int, min_fraction: float) -> Bottleneck:
        """The block with its channels multiplied; groups of eight or more channels grow too.

        The middle stays a whole number of groups, so channels are rounded more coarsely where groups are wide.

        Source: Dollar et al. 2021, section 4: group widths grow as widths do.
        """
        if self.group_width is None or width == 1:
            return replace(self, channels=widen(self.channels, width, multiple, min_fraction))
        group = self.group_width
        if group >= CHANNEL_MULTIPLE:
            group = round_channels(group * width)
        step = math.lcm(multiple, round(group / self.ratio))
        channels = round_channels(self.channels * width, multiple=step, min_fraction=min_fraction)
        if width > 1 and channels < self.channels:
            channels += step
        elif width < 1 and channels > self.channels:
            channels = max(step, channels - step)
        return replace(self, channels=channels, group_width=group)

    def cell(self, in_channels: int) -> Cell:
        """The block as a graph.

        Example:
            >>> [node.name for node in Bottleneck(channels=256).cell(64).nodes]
            ['reduce', 'spatial', 'restore', 'shortcut', 'output']
        """
        spatial: tuple[Layer, ...] = (
            Conv(
                channels=self.middle,
                kernel=self.kernel,
                stride=self.stride,
                groups=self.groups,
                activation=self.activation,
            ),
        )
        if self.se_ratio:
            fraction = max(1, round(in_channels * self.se_ratio)) / self.middle
            spatial += (SqueezeExcite(ratio=fraction, activation=self.activation),)
        branch = (
            Node(
                name="reduce",
                inputs=("input",),
                layers=(Conv(channels=self.middle, activation=self.activation),),
            ),
            Node(name="spatial", inputs=("reduce",), layers=spatial),
            Node(name="restore", inputs=("spatial",), layers=(Conv(channels=self.channels), DropPath())),
        )
        return Cell(label="bottleneck", nodes=_beside_shortcut(self, in_channels, branch))

    def __repr__(self) -> str:
        groups = f" in groups of {self.group_width}" if self.group_width else ""
        se = f", se{self.se_ratio:g}" if self.se_ratio else ""
        size = f"{self.channels}, k{self.kernel}, s{self.stride}"
        return f"Bottleneck({size}, middle {self.middle}{groups}{se}, {self.activation})"


def _beside_shortcut(
    block: BasicBlock | Bottleneck, in_channels: int, branch: tuple[Node, ...]
) -> tuple[Node, ...]:
    """The branch, then the shortcut if shapes need one, then their sum."""
    plain = block.stride == 1 and block.channels == in_channels
    projection = Conv(channels=block.channels, stride=block.stride)
    shortcut = () if plain else (Node(name="shortcut", inputs=("input",), layers=(projection,)),)
    beside = "input" if plain else "shortcut"
    output = Node(name="output", inputs=(branch[-1].name, beside), layers=(Act(function=block.activation),))
    return (*branch, *shortcut, output)


def _check(block: SeparableConv | BasicBlock | Bottleneck) -> None:
    check_integer(block, "channels")
    check_odd(block, "kernel")
    check_integer(block, "stride")
    check_one_of(block, "activation", ACTIVATIONS)
