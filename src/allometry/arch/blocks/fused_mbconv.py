"""The inverted bottleneck with one dense convolution in the place of two."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from allometry.arch.blocks.base import register_block
from allometry.arch.blocks.cell import Cell
from allometry.arch.blocks.inverted import (
    InvertedBottleneck,
    Shortcut,
    SqueezeExciteConfig,
)
from allometry.arch.checks import LATER
from allometry.arch.convolutions import Activation, Conv


@register_block
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FusedMBConv(InvertedBottleneck):
    """The inverted bottleneck whose expansion is itself a k x k convolution: expand k x k, squeeze-excite, project 1x1.

    With an expand ratio of 1 it is one k x k convolution, which has the activation, after the squeeze-excite. Fewer and
    denser convolutions than in `MBConv`: more MACs, but less time where the image is large.

    Attributes:
        channels: output channels.
        kernel: side of the kernel, odd.
        stride: of the k x k convolution.
        expand_ratio: inner channels per input channel, at least 1.
        expand_multiple: what the inner channels are rounded to.
        se_ratio: squeezed channels per channel that `gate` names: 0 for no squeeze-excite.
        gate: how the squeeze-excite is made.
        activation: after the k x k convolution.
        shortcut: what is added to the output where it has stride 1 and as many channels as the input: the input, the
            means of 3 x 3 of its values, or nothing.

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
    shortcut: Shortcut = field(default="identity", metadata=LATER)
    kind: Literal["fused_mbconv"] = "fused_mbconv"

    def cell(self, in_channels: int) -> Cell:
        """The block as a graph of layers.

        Example:
            >>> [node.name for node in FusedMBConv(channels=24).cell(16).nodes]
            ['expand', 'project']
        """
        expands = self.expand_ratio != 1
        expand = Conv(
            channels=self.expanded(in_channels) if expands else self.channels,
            kernel=self.kernel,
            stride=self.stride,
            activation=self.activation,
        )
        excite = self.excite(in_channels)
        return Cell.chain(
            {"expand": expand, "squeeze_excite": excite, "project": Conv(channels=self.channels)}
            if expands
            else {"squeeze_excite": excite, "expand": expand},
            label=self.label,
            add_input=self.has_residual(in_channels),
            shortcut=self.pooled_shortcut(),
        )

    @property
    def label(self) -> str:
        """What the stage table calls it."""
        return f"FusedMBConv{self.expand_ratio:g} {self.window}{', SE' if self.se_ratio else ''}{self.shortcut_label}"
