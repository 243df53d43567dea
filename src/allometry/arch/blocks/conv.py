"""One convolution as a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from allometry.arch.blocks.base import RegularBlock, check_block, register_block
from allometry.arch.blocks.cell import Cell
from allometry.arch.checks import check_integer
from allometry.arch.convolutions import Activation, Conv


@register_block
@dataclass(frozen=True, slots=True, kw_only=True)
class ConvBlock(RegularBlock):
    """A convolution with batch norm and activation; nothing is added.

    Attributes:
        channels: output channels.
        kernel: side of the kernel, odd.
        stride: in both directions.
        groups: into which input and output channels are divided.
        activation: that comes last.

    Raises:
        NetworkError: a field cannot have that value.

    Source: the first stages of MobileNetV4 (Qin et al. 2024), Tables 11 and 12.

    Example:
        >>> ConvBlock(channels=32, stride=2)
        ConvBlock(32, k3, s2, relu)
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    groups: int = 1
    activation: Activation = "relu"
    kind: Literal["conv"] = "conv"

    def __post_init__(self) -> None:
        check_block(self)
        check_integer(self, "groups")

    def cell(self, in_channels: int) -> Cell:
        """The block as a graph of layers.

        Example:
            >>> [node.name for node in ConvBlock(channels=32).cell(16).nodes]
            ['conv']
        """
        del in_channels
        conv = Conv(
            channels=self.channels,
            kernel=self.kernel,
            stride=self.stride,
            groups=self.groups,
            activation=self.activation,
        )
        return Cell.chain({"conv": conv}, label=self.label)

    def __repr__(self) -> str:
        groups = f", g{self.groups}" if self.groups > 1 else ""
        return f"ConvBlock({self.channels}, k{self.kernel}, s{self.stride}, {self.activation}{groups})"
