"""The inverted bottlenecks, which mobile networks are made of, and what all regular blocks share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self, get_args

from allometry.arch.checks import LATER, STRICT, check_integer, check_number, check_odd, check_one_of
from allometry.arch.layers import ACTIVATIONS, Activation, GateFunction, squeezed
from allometry.arch.rounding import CHANNEL_MULTIPLE, round_channels, widen
from allometry.arch.shapes import Padding, Shape, strided
from allometry.base import NetworkError

if TYPE_CHECKING:
    from pydantic import ConfigDict


class Regular:
    """What blocks share whose channels and stride are plain fields."""

    __slots__ = ()
    channels: int
    stride: int

    def after(self, source: Shape, skip: Shape, padding: Padding) -> Shape:
        """The shape of the output."""
        del skip, padding
        return Shape(self.channels, strided(source.size, self.stride))

    def following(self) -> Self:
        """The block that a repetition has: the same with stride 1."""
        return self if self.stride == 1 else self.with_stride(1)

    @property
    def channel_step(self) -> int:
        """The least by which the channels may change."""
        return CHANNEL_MULTIPLE

    def with_channels(self, channels: int) -> Self:
        """The block with other channels."""
        return replace(self, channels=channels)  # type: ignore[type-var]

    def with_stride(self, stride: int) -> Self:
        """The block with another stride."""
        return replace(self, stride=stride)  # type: ignore[type-var]

    def widened(self, width: float, multiple: int, min_fraction: float) -> Self:
        """The block with its channels multiplied, rounded as `round_channels` does."""
        return self.with_channels(widen(self.channels, width, multiple, min_fraction))


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezeExciteConfig:
    """How the squeeze-excite of an inverted bottleneck is made.

    Attributes:
        of: the channels that `se_ratio` is a fraction of: those of the block's input, or of its expansion.
        multiple: what the squeezed channels are rounded to.
        activation: after the squeeze; None for the block's.
        function: that makes the gate.

    Source: EfficientNet takes the defaults; MobileNetV3 (Howard et al. 2019), section 5.3, and its code the
    `MOBILENET_V3_GATE`.

    Example:
        >>> MOBILENET_V3_GATE
        SqueezeExciteConfig(of='expanded', multiple=8, activation='relu', function='hard_sigmoid')
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    of: Literal["input", "expanded"] = "input"
    multiple: int = 1
    activation: Activation | None = None
    function: GateFunction = "sigmoid"

    def __post_init__(self) -> None:
        check_one_of(self, "of", ("input", "expanded"))
        check_integer(self, "multiple")
        check_one_of(self, "activation", (None, *ACTIVATIONS))
        check_one_of(self, "function", get_args(GateFunction))

    def squeezed(self, ratio: float, in_channels: int, expanded: int) -> int:
        """Channels of the squeeze, at least 1; 0 where there is none."""
        base = in_channels if self.of == "input" else expanded
        return squeezed(base, ratio, self.multiple) if ratio else 0


MOBILENET_V3_GATE = SqueezeExciteConfig(of="expanded", multiple=8, activation="relu", function="hard_sigmoid")


@dataclass(frozen=True, slots=True, kw_only=True)
class MBConv(Regular):
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

    Raises:
        NetworkError: a field cannot have that value.

    Source: MobileNetV2 (Sandler et al. 2018); EfficientNet (Tan & Le 2019), section 4 and released code;
    groups: FBNet (Wu et al. 2019), section 3.1.

    Example:
        >>> MBConv(channels=24, kernel=5, stride=2)
        MBConv(24, k5, s2, e6, se0.25, silu)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int
    kernel: int = 3
    stride: int = 1
    expand_ratio: float = 6.0
    expand_multiple: int = field(default=1, metadata=LATER)
    groups: int = field(default=1, metadata=LATER)
    se_ratio: float = 0.25
    gate: SqueezeExciteConfig = field(default=SqueezeExciteConfig(), metadata=LATER)
    activation: Activation = "silu"
    kind: Literal["mbconv"] = "mbconv"

    def __post_init__(self) -> None:
        _check(self)
        check_integer(self, "groups")
        check_one_of(self, "kind", ["mbconv"])

    def expanded(self, in_channels: int) -> int:
        """Channels inside the block, of the depthwise convolution.

        Example:
            >>> MBConv(channels=24).expanded(16)
            96
        """
        return _expanded(self, in_channels)

    def squeezed(self, in_channels: int) -> int:
        """Channels of the squeeze, at least 1; 0 where the block has no squeeze-excite.

        Example:
            >>> MBConv(channels=24).squeezed(16), MBConv(channels=24, se_ratio=0).squeezed(16)
            (4, 0)
        """
        return self.gate.squeezed(self.se_ratio, in_channels, self.expanded(in_channels))

    def has_residual(self, in_channels: int) -> bool:
        """Whether the block adds its input to its output.

        Example:
            >>> MBConv(channels=24).has_residual(24), MBConv(channels=24, stride=2).has_residual(24)
            (True, False)
        """
        return self.stride == 1 and self.channels == in_channels

    def __repr__(self) -> str:
        groups = f", g{self.groups}" if self.groups > 1 else ""
        return f"MBConv({_described(self)}{groups})"


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedMBConv(Regular):
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

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int
    kernel: int = 3
    stride: int = 1
    expand_ratio: float = 4.0
    expand_multiple: int = 1
    se_ratio: float = 0.0
    gate: SqueezeExciteConfig = SqueezeExciteConfig()
    activation: Activation = "silu"
    kind: Literal["fused_mbconv"] = "fused_mbconv"

    def __post_init__(self) -> None:
        _check(self)
        check_one_of(self, "kind", ["fused_mbconv"])

    def expanded(self, in_channels: int) -> int:
        """Channels inside the block; with an expand ratio of 1 those of its output.

        Example:
            >>> FusedMBConv(channels=48).expanded(24), FusedMBConv(channels=48, expand_ratio=1).expanded(24)
            (96, 48)
        """
        return self.channels if self.expand_ratio == 1 else _expanded(self, in_channels)

    def squeezed(self, in_channels: int) -> int:
        """Channels of the squeeze, at least 1; 0 where the block has no squeeze-excite.

        Example:
            >>> FusedMBConv(channels=48, se_ratio=0.25).squeezed(24)
            6
        """
        return self.gate.squeezed(self.se_ratio, in_channels, self.expanded(in_channels))

    def has_residual(self, in_channels: int) -> bool:
        """Whether the block adds its input to its output.

        Example:
            >>> FusedMBConv(channels=24).has_residual(24)
            True
        """
        return self.stride == 1 and self.channels == in_channels

    def __repr__(self) -> str:
        return f"FusedMBConv({_described(self)})"


def _check(block: MBConv | FusedMBConv) -> None:
    check_integer(block, "channels")
    check_odd(block, "kernel")
    check_integer(block, "stride")
    check_number(block, "expand_ratio", minimum=1)
    check_integer(block, "expand_multiple")
    check_number(block, "se_ratio", minimum=0)
    check_one_of(block, "activation", ACTIVATIONS)
    if not isinstance(block.gate, SqueezeExciteConfig):
        raise NetworkError(f"{type(block).__name__}.gate must be a SqueezeExciteConfig, not {block.gate!r}.")


def _expanded(block: MBConv | FusedMBConv, in_channels: int) -> int:
    ratio, multiple = block.expand_ratio, block.expand_multiple
    if multiple == 1 or ratio == 1:
        return round(in_channels * ratio)
    return round_channels(in_channels * ratio, multiple=multiple)


def _described(block: MBConv | FusedMBConv) -> str:
    se = f"se{block.se_ratio:g}" if block.se_ratio else "no se"
    size = f"{block.channels}, k{block.kernel}, s{block.stride}, e{block.expand_ratio:g}"
    return f"{size}, {se}, {block.activation}"
