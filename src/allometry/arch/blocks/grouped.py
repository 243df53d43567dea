"""The inverted bottlenecks of CPUBone: grouped expansions and small kernels, for devices that do little in parallel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from allometry.arch.blocks.base import RegularBlock, check_block, register_block
from allometry.arch.blocks.cell import Cell
from allometry.arch.checks import check_flag, check_integer, check_number
from allometry.arch.convolutions import Activation, Conv, Depthwise
from allometry.arch.shapes import Padding


@register_block
@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedMBConv(RegularBlock):
    """The inverted bottleneck with a grouped expansion, fused or not, whose kernels may be of an even side.

    The second 1x1 convolution is not grouped, so that the groups mix. A kernel of an even side is padded at the bottom
    and at the right; the released code pads at the top and at the left, which is the same one pixel further.

    Attributes:
        channels: output channels.
        kernel: side of the spatial kernel.
        stride: of the spatial convolution.
        groups: of the expansion.
        expand_ratio: inner channels per input channel.
        fused: the expansion is itself the spatial convolution; else a depthwise convolution follows it.
        activation: after the expansion and the depthwise convolution.

    Raises:
        NetworkError: a field cannot have that value.

    Source: CPUBone (Nottebaum et al. 2026, arXiv:2603.26425), section 3: GrFuMBConv and GrMBConv.

    Example:
        >>> GroupedMBConv(channels=64, stride=2)
        GroupedMBConv(64, k2, s2, e4, g2, fused, hard_swish)
    """

    even_kernels: ClassVar[bool] = True
    channels: int
    kernel: int = 2
    stride: int = 1
    groups: int = 2
    expand_ratio: float = 4.0
    fused: bool = True
    activation: Activation = "hard_swish"
    kind: Literal["grouped_mbconv"] = "grouped_mbconv"

    def __post_init__(self) -> None:
        check_block(self)
        check_integer(self, "groups")
        check_number(self, "expand_ratio", minimum=0)
        check_flag(self, "fused")

    def has_residual(self, in_channels: int) -> bool:
        """Whether the block adds its input to its output.

        Example:
            >>> GroupedMBConv(channels=64).has_residual(64)
            True
        """
        return self.stride == 1 and self.channels == in_channels

    def cell(self, in_channels: int) -> Cell:
        """The block as a graph of layers.

        Example:
            >>> [node.name for node in GroupedMBConv(channels=64, fused=False).cell(32).nodes]
            ['expand', 'depthwise', 'project']
        """
        inner, act = round(in_channels * self.expand_ratio), self.activation
        padding: Padding | None = None if self.kernel % 2 else "same"
        expand = Conv(channels=inner, groups=self.groups, activation=act)
        depthwise = Depthwise(
            kernel=self.kernel, stride=self.stride, padding=padding, norm=True, activation=act
        )
        spatial = Conv(
            channels=inner,
            kernel=self.kernel,
            stride=self.stride,
            groups=self.groups,
            padding=padding,
            activation=act,
        )
        return Cell.chain(
            {
                "expand": spatial if self.fused else expand,
                "depthwise": None if self.fused else depthwise,
                "project": Conv(channels=self.channels),
            },
            label=self.label,
            add_input=self.has_residual(in_channels),
        )

    @property
    def label(self) -> str:
        """What the stage table calls it."""
        name = "FusedMBConv" if self.fused else "MBConv"
        return f"grouped {name}{self.expand_ratio:g} {self.window}, {self.groups} groups"

    def __repr__(self) -> str:
        size = f"{self.channels}, k{self.kernel}, s{self.stride}, e{self.expand_ratio:g}, g{self.groups}"
        return f"GroupedMBConv({size}, {'fused, ' if self.fused else ''}{self.activation})"
