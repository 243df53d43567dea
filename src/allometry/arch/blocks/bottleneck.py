"""The residual bottleneck of ResNets, ResNeXts and RegNets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from allometry.arch.blocks.base import RegularBlock, check_block, register_block
from allometry.arch.blocks.cell import Cell
from allometry.arch.blocks.shortcut import beside_shortcut
from allometry.arch.checks import check_integer, check_number
from allometry.arch.convolutions import Activation, Conv
from allometry.arch.layers import SqueezeExcite
from allometry.arch.rounding import CHANNEL_MULTIPLE, round_channels, widen
from allometry.base import NetworkError


@register_block
@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck(RegularBlock):
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

    channels: int
    kernel: int = 3
    stride: int = 1
    ratio: float = 0.25
    group_width: int | None = None
    se_ratio: float = 0.0
    activation: Activation = "relu"
    kind: Literal["bottleneck"] = "bottleneck"

    def __post_init__(self) -> None:
        check_block(self)
        check_number(self, "ratio", minimum=0)
        check_number(self, "se_ratio", minimum=0)
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
            ['reduce', 'spatial', 'restore', 'drop_path', 'shortcut', 'output']
        """
        excite = None
        if self.se_ratio:
            fraction = max(1, round(in_channels * self.se_ratio)) / self.middle
            excite = SqueezeExcite(ratio=fraction, activation=self.activation)
        return beside_shortcut(
            self,
            in_channels,
            {
                "reduce": Conv(channels=self.middle, activation=self.activation),
                "spatial": Conv(
                    channels=self.middle,
                    kernel=self.kernel,
                    stride=self.stride,
                    groups=self.groups,
                    activation=self.activation,
                ),
                "squeeze_excite": excite,
                "restore": Conv(channels=self.channels),
            },
            activation=self.activation,
        )

    @property
    def label(self) -> str:
        """What the stage table calls it."""
        groups = f", {self.groups} groups" if self.groups > 1 else ""
        return f"bottleneck {self.window}{groups}{', SE' if self.se_ratio else ''}"

    def __repr__(self) -> str:
        groups = f" in groups of {self.group_width}" if self.group_width else ""
        se = f", se{self.se_ratio:g}" if self.se_ratio else ""
        size = f"{self.channels}, k{self.kernel}, s{self.stride}"
        return f"Bottleneck({size}, middle {self.middle}{groups}{se}, {self.activation})"
