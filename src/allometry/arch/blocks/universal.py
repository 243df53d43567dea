"""The universal inverted bottleneck of MobileNetV4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from allometry.arch.blocks.base import RegularBlock, check_block, register_block
from allometry.arch.blocks.cell import Cell
from allometry.arch.blocks.inverted import expanded
from allometry.arch.checks import check_integer, check_number, check_odd
from allometry.arch.convolutions import Activation, Conv, Depthwise
from allometry.arch.layers import Layer
from allometry.base import NetworkError


@register_block
@dataclass(frozen=True, slots=True, kw_only=True)
class UniversalInvertedBottleneck(RegularBlock):
    """Expand 1x1 and project 1x1, with a depthwise convolution before, between, both, or neither.

    With both it is the paper's ExtraDW, with the middle one alone the inverted bottleneck, with the first alone
    ConvNeXt's order, with neither a feed-forward network. A block of stride 1 whose input has as many channels as its
    output adds its input (and stochastic depth may drop the rest in training).

    Attributes:
        channels: output channels.
        start_kernel: side of the depthwise kernel before the expansion, odd; None for no such convolution.
        middle_kernel: side of the one after the expansion, odd; None for none.
        stride: of the middle depthwise convolution, or of the first where there is no other.
        expand_ratio: inner channels per input channel.
        expand_multiple: what the inner channels are rounded to.
        activation: after the expansion and the middle convolution; the first depthwise convolution has none.

    Raises:
        NetworkError: a field cannot have that value, or there is a stride and no depthwise convolution.

    Source: MobileNetV4 (Qin et al. 2024), section 4, figure 4.

    Example:
        >>> UniversalInvertedBottleneck(channels=96, start_kernel=5, middle_kernel=5, stride=2, expand_ratio=3)
        UniversalInvertedBottleneck(96, start k5, middle k5, s2, e3, relu)
    """

    channels: int
    start_kernel: int | None = None
    middle_kernel: int | None = 3
    stride: int = 1
    expand_ratio: float = 4.0
    expand_multiple: int = 8
    activation: Activation = "relu"
    kind: Literal["universal_inverted_bottleneck"] = "universal_inverted_bottleneck"

    def __post_init__(self) -> None:
        check_block(self)
        for name in ("start_kernel", "middle_kernel"):
            if getattr(self, name) is not None:
                check_odd(self, name)
        check_number(self, "expand_ratio", minimum=0)
        check_integer(self, "expand_multiple")
        if self.stride > 1 and self.start_kernel is None and self.middle_kernel is None:
            raise NetworkError(
                f"A universal inverted bottleneck of stride {self.stride} needs a start_kernel or a middle_kernel, "
                "which takes the stride."
            )

    def expanded(self, in_channels: int) -> int:
        """Channels inside the block.

        Example:
            >>> UniversalInvertedBottleneck(channels=96, expand_ratio=3).expanded(64)
            192
        """
        return expanded(in_channels, self.expand_ratio, self.expand_multiple)

    def has_residual(self, in_channels: int) -> bool:
        """Whether the block adds its input to its output.

        Example:
            >>> UniversalInvertedBottleneck(channels=96).has_residual(96)
            True
        """
        return self.stride == 1 and self.channels == in_channels

    def cell(self, in_channels: int) -> Cell:
        """The block as a graph of layers.

        Example:
            >>> [node.name for node in UniversalInvertedBottleneck(channels=96, start_kernel=3).cell(64).nodes]
            ['start', 'expand', 'middle', 'project']
        """
        start, middle = self.start_kernel, self.middle_kernel
        layers: dict[str, Layer] = {}
        if start is not None:
            layers["start"] = Depthwise(kernel=start, stride=1 if middle else self.stride, norm=True)
        layers["expand"] = Conv(channels=self.expanded(in_channels), activation=self.activation)
        if middle is not None:
            layers["middle"] = Depthwise(
                kernel=middle, stride=self.stride, norm=True, activation=self.activation
            )
        layers["project"] = Conv(channels=self.channels)
        return Cell.chain(layers, label=self.label, add_input=self.has_residual(in_channels))

    def elastic_options(
        self, kernels: Sequence[int], expand_ratios: Sequence[float]
    ) -> dict[str, tuple[int | float | None, ...]]:
        """What may be open of the block in a space: each depthwise convolution, or none, unless it has the stride."""
        middle = (*kernels,) if self.stride > 1 else (None, *kernels)
        fields: dict[str, tuple[int | float | None, ...]] = {}
        if kernels:
            fields |= {"start_kernel": (None, *kernels), "middle_kernel": middle}
        return fields | ({"expand_ratio": tuple(expand_ratios)} if expand_ratios else {})

    @property
    def label(self) -> str:
        """What the stage table calls it."""
        kernels = (("start", self.start_kernel), ("middle", self.middle_kernel))
        sizes = [f"{where} {side}x{side}" for where, side in kernels if side]
        stride = f" /{self.stride}" if self.stride > 1 else ""
        return f"UIB{self.expand_ratio:g} {', '.join(sizes) or 'no depthwise'}{stride}"

    def __repr__(self) -> str:
        kernels = (("start", self.start_kernel), ("middle", self.middle_kernel))
        words = [f"{where} k{side}" for where, side in kernels if side]
        words = [f"{self.channels}", *words, f"s{self.stride}", f"e{self.expand_ratio:g}", self.activation]
        return f"UniversalInvertedBottleneck({', '.join(words)})"
