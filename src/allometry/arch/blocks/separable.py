"""The separable convolution of the first MobileNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from allometry.arch.blocks.base import RegularBlock, register_block
from allometry.arch.blocks.cell import Cell
from allometry.arch.convolutions import Activation, Conv, Depthwise


@register_block
@dataclass(frozen=True, slots=True, kw_only=True)
class SeparableConv(RegularBlock):
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

    channels: int
    kernel: int = 3
    stride: int = 1
    activation: Activation = "relu"
    kind: Literal["separable"] = "separable"

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
        return Cell.chain(
            {
                "depthwise": Depthwise(
                    kernel=self.kernel, stride=self.stride, norm=True, activation=self.activation
                ),
                "project": Conv(channels=self.channels, activation=self.activation),
            },
            label=self.label,
        )

    def __repr__(self) -> str:
        return f"SeparableConv({self.channels}, k{self.kernel}, s{self.stride}, {self.activation})"
