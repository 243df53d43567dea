"""The inverted bottleneck with one dense convolution in the place of two."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from allometry.arch.blocks.base import register_block
from allometry.arch.blocks.cell import Cell
from allometry.arch.blocks.inverted import (
    InvertedBottleneck,
    SqueezeExciteConfig,
)
from allometry.arch.layers import Activation, Conv


@register_block
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FusedMBConv(InvertedBottleneck):
    """The inverted bottleneck whose expansion is itself a k x k convolution: expand k x k, squeeze-excite, project 1x1.

    With an expand ratio of 1 it is one k x k convolution, and that one has the activation. Fewer and denser
    convolutions than in `MBConv`: more MACs, but less time where the image is large.

    Attributes:
        channels: output channels.
        kernel: side of the kernel, odd.
        stride: of the k x k convolution.
        expand_ratio: inner channels per input channel, at least 1.
        expand_multiple: what the inner channels are rounded to.
        se_ratio: squeezed channels per channel that `gate` names: 0 for no squeeze-excite.
        gate: how the squeeze-excite is made.
        activation: after the k x k convolution.

    Raises:
        NetworkError: a field cannot have that value.

    Source: EfficientNetV2 (Tan & Le 2021), section 3.2, figure 2, and released code.

    Example:
        >>> FusedMBConv(channels=48, stride=2, expand_ratio=4)
        FusedMBConv(48, k3, s2, e4, no se, silu)
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    expand_ratio: float = 4.0
    expand_multiple: int = 1
    se_ratio: float = 0.0
    gate: SqueezeExciteConfig = field(default=SqueezeExciteConfig())
    activation: Activation = "silu"
    kind: Literal["fused_mbconv"] = "fused_mbconv"

    def expanded(self, in_channels: int) -> int:
        """Channels inside the block; with an expand ratio of 1 those of its output.

        Example:
            >>> FusedMBConv(channels=48).expanded(24), FusedMBConv(channels=48, expand_ratio=1).expanded(24)
            (96, 48)
        """
        if self.expand_ratio == 1:
            return self.channels
        return InvertedBottleneck.expanded(self, in_channels)

    def cell(self, in_channels: int) -> Cell:
        """The block as a graph of layers.

        Example:
            >>> [node.name for node in FusedMBConv(channels=24).cell(16).nodes]
            ['expand', 'project']
        """
        inner = self.expanded(in_channels)
        return Cell.chain(
            {
                "expand": Conv(
                    channels=inner, kernel=self.kernel, stride=self.stride, activation=self.activation
                ),
                "squeeze_excite": self.excite(in_channels),
                "project": Conv(channels=self.channels) if self.expand_ratio != 1 else None,
            },
            label=self.label,
            add_input=self.has_residual(in_channels),
        )

    @property
    def label(self) -> str:
        """What the stage table calls it."""
        return f"FusedMBConv{self.expand_ratio:g} {self.window}{', SE' if self.se_ratio else ''}"
