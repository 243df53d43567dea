"""The two convolutions beside a shortcut of the smaller ResNets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from allometry.arch.blocks.base import RegularBlock, register_block
from allometry.arch.blocks.cell import Cell
from allometry.arch.blocks.shortcut import beside_shortcut
from allometry.arch.convolutions import Activation, Conv


@register_block
@dataclass(frozen=True, slots=True, kw_only=True)
class BasicBlock(RegularBlock):
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

    channels: int
    kernel: int = 3
    stride: int = 1
    activation: Activation = "relu"
    kind: Literal["basic"] = "basic"

    def has_residual(self, in_channels: int) -> bool:
        """Whether the block adds its input to its output: always."""
        del in_channels
        return True

    def cell(self, in_channels: int) -> Cell:
        """The block as a graph.

        Example:
            >>> [node.name for node in BasicBlock(channels=64).cell(64).nodes]
            ['first', 'second', 'drop_path', 'output']
        """
        first = Conv(
            channels=self.channels, kernel=self.kernel, stride=self.stride, activation=self.activation
        )
        second = Conv(channels=self.channels, kernel=self.kernel)
        return beside_shortcut(
            self, in_channels, {"first": first, "second": second}, activation=self.activation
        )

    @property
    def label(self) -> str:
        """What the stage table calls it."""
        return f"basic block {self.window}"

    def __repr__(self) -> str:
        return f"BasicBlock({self.channels}, k{self.kernel}, s{self.stride}, {self.activation})"
