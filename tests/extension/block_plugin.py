"""A block from outside the package: a cheap half of its channels is made from the other half.

A module as a user's own would be: registered here, and named to the command line with `--plugin`.

Source: GhostNet (Han et al. 2020), section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from allometry.arch import Cell, Conv, Depthwise, DropPath, Node, RegularBlock, register_block


@register_block
@dataclass(frozen=True, slots=True, kw_only=True)
class GhostBlock(RegularBlock):
    """A 1x1 convolution to half of the channels, and a depthwise one that makes the other half of these.

    Attributes:
        channels: output channels, even.
        kernel: side of the depthwise kernel, odd.
        stride: of the first convolution.
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    kind: Literal["half_cheap"] = "half_cheap"

    def cell(self, in_channels: int) -> Cell:
        half = self.channels // 2
        made = Node(
            name="made",
            inputs=("input",),
            layers=(Conv(channels=half, kernel=3, stride=self.stride, activation="relu"),),
        )
        cheap = Node(
            name="cheap",
            inputs=("made",),
            layers=(Depthwise(kernel=self.kernel, norm=True, activation="relu"),),
        )
        both = Node(name="both", inputs=("made", "cheap"), join="concat")
        if self.stride > 1 or in_channels != self.channels:
            return Cell(nodes=(made, cheap, both), label=self.label)
        drop = Node(name="drop_path", inputs=("both",), layers=(DropPath(),))
        output = Node(name="output", inputs=("drop_path", "input"))
        return Cell(nodes=(made, cheap, both, drop, output), label=self.label)

    def elastic_options(
        self, kernels: Sequence[int], expand_ratios: Sequence[float]
    ) -> Mapping[str, Sequence[int | float | None]]:
        del expand_ratios
        return {"kernel": kernels} if kernels else {}
