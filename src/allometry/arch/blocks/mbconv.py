"""The mobile inverted bottleneck, of which MobileNets and EfficientNets are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from allometry.arch.blocks.base import register_block
from allometry.arch.blocks.cell import Cell
from allometry.arch.blocks.inverted import (
    InvertedBottleneck,
    Shortcut,
    SqueezeExciteConfig,
)
from allometry.arch.checks import LATER, check_integer
from allometry.arch.convolutions import Activation, Conv, Depthwise
from allometry.arch.layers import Shuffle


@register_block
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MBConv(InvertedBottleneck):
    """The mobile inverted bottleneck: expand 1x1, depthwise k x k, squeeze-excite, project 1x1.

    With an expand ratio of 1 there is no expansion convolution. A block of stride 1 whose input has as many
    channels as its output adds its input (and stochastic depth may drop the rest in training).

    Attributes:
        channels: output channels.
        kernel: side of the depthwise kernel, odd.
        stride: of the depthwise convolution.
        expand_ratio: inner channels per input channel, at least 1.
        expand_multiple: what the inner channels are rounded to.
        groups: of both 1x1 convolutions; with more than one, channels are shuffled between them.
        se_ratio: squeezed channels per channel that `gate` names: 0 for no squeeze-excite.
        gate: how the squeeze-excite is made.
        activation: after the expansion and the depthwise convolution.
        shortcut: what is added to the output where it has stride 1 and as many channels as the input: the input, the
            means of 3 x 3 of its values, or nothing.

    Raises:
        NetworkError: a field cannot have that value.

    Source: MobileNetV2 (Sandler et al. 2018); EfficientNet (Tan & Le 2019), section 4 and released code;
    groups: FBNet (Wu et al. 2019), section 3.1.

    Example:
        >>> MBConv(channels=24, kernel=5, stride=2)
        MBConv(24, k5, s2, e6, se0.25, silu)
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    expand_ratio: float = 6.0
    expand_multiple: int = field(default=1, metadata=LATER)
    groups: int = field(default=1, metadata=LATER)
    se_ratio: float = 0.25
    gate: SqueezeExciteConfig = field(default=SqueezeExciteConfig(), metadata=LATER)
    activation: Activation = "silu"
    shortcut: Shortcut = field(default="identity", metadata=LATER)
    kind: Literal["mbconv"] = "mbconv"

    def __post_init__(self) -> None:
        InvertedBottleneck.__post_init__(self)
        check_integer(self, "groups")

    def cell(self, in_channels: int) -> Cell:
        """The block as a graph of layers.

        Example:
            >>> [node.name for node in MBConv(channels=24, expand_ratio=1, se_ratio=0).cell(16).nodes]
            ['depthwise', 'project']
        """
        inner, act, grouped = self.expanded(in_channels), self.activation, self.groups > 1
        return Cell.chain(
            {
                "expand": Conv(channels=inner, groups=self.groups, activation=act)
                if self.expand_ratio != 1
                else None,
                "shuffle": Shuffle(groups=self.groups) if grouped else None,
                "depthwise": Depthwise(kernel=self.kernel, stride=self.stride, norm=True, activation=act),
                "squeeze_excite": self.excite(in_channels),
                "project": Conv(channels=self.channels, groups=self.groups),
            },
            label=self.label,
            add_input=self.has_residual(in_channels),
            shortcut=self.pooled_shortcut(),
        )

    def elastic_options(
        self, kernels: Sequence[int], expand_ratios: Sequence[float]
    ) -> dict[str, Sequence[int | float | None]]:
        """What may be open of the block in a space: its kernel and its expand ratio."""
        options: dict[str, Sequence[int | float | None]] = {"kernel": kernels, "expand_ratio": expand_ratios}
        return {field: value for field, value in options.items() if value}

    @property
    def label(self) -> str:
        """What the stage table calls it."""
        groups = f", {self.groups} groups" if self.groups > 1 else ""
        more = f"{groups}{', SE' if self.se_ratio else ''}{self.shortcut_label}"
        return f"MBConv{self.expand_ratio:g} {self.window}{more}"

    def _more(self) -> str:
        groups = f", g{self.groups}" if self.groups > 1 else ""
        return groups + InvertedBottleneck._more(self)
