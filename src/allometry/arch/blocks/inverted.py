"""What inverted bottlenecks share: the channels inside, and how a squeeze-excite is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from allometry.arch.blocks.base import RegularBlock, check_block
from allometry.arch.checks import STRICT, check_integer, check_number, check_one_of
from allometry.arch.convolutions import ACTIVATIONS, Activation
from allometry.arch.layers import GateFunction, Pool, SqueezeExcite, squeezed
from allometry.arch.rounding import round_channels
from allometry.base import NetworkError

if TYPE_CHECKING:
    from pydantic import ConfigDict


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


Shortcut = Literal["identity", "pool", "none"]
"""What a block adds to its output where both are alike: its input, the 3 x 3 means of it, or nothing."""
SHORTCUTS: tuple[Shortcut, ...] = get_args(Shortcut)


class InvertedBottleneck(RegularBlock):
    """What blocks share that are wider inside than at their ends.

    Such a block of stride 1 whose input has as many channels as its output adds its input, unless `shortcut` says
    otherwise.
    """

    __slots__ = ()
    kernel: int
    expand_ratio: float
    expand_multiple: int
    se_ratio: float
    gate: SqueezeExciteConfig
    activation: Activation
    shortcut: Shortcut

    def __post_init__(self) -> None:
        check_block(self)
        check_number(self, "expand_ratio", minimum=1)
        check_integer(self, "expand_multiple")
        check_number(self, "se_ratio", minimum=0)
        check_one_of(self, "shortcut", SHORTCUTS)
        if not isinstance(self.gate, SqueezeExciteConfig):
            raise NetworkError(
                f"{type(self).__name__}.gate must be a SqueezeExciteConfig, not {self.gate!r}."
            )

    def expanded(self, in_channels: int) -> int:
        """Channels inside the block."""
        return expanded(in_channels, self.expand_ratio, self.expand_multiple)

    def squeezed(self, in_channels: int) -> int:
        """Channels of the squeeze, at least 1; 0 where the block has no squeeze-excite."""
        return self.gate.squeezed(self.se_ratio, in_channels, self.expanded(in_channels))

    def has_residual(self, in_channels: int) -> bool:
        """Whether the block adds its input, or means of it, to its output."""
        return self.stride == 1 and self.channels == in_channels and self.shortcut != "none"

    def pooled_shortcut(self) -> Pool | None:
        """What the input goes through before it is added; None for nothing."""
        return Pool(function="average", kernel=3) if self.shortcut == "pool" else None

    def excite(self, in_channels: int) -> SqueezeExcite | None:
        """The layer of its squeeze-excite; None where it has none."""
        squeezed_channels, inner = self.squeezed(in_channels), self.expanded(in_channels)
        if not squeezed_channels:
            return None
        return SqueezeExcite(
            ratio=squeezed_channels / inner,
            activation=self.gate.activation or self.activation,
            function=self.gate.function,
        )

    def __repr__(self) -> str:
        se = f"se{self.se_ratio:g}" if self.se_ratio else "no se"
        size = f"{self.channels}, k{self.kernel}, s{self.stride}, e{self.expand_ratio:g}"
        return f"{type(self).__name__}({size}, {se}, {self.activation}{self._more()})"

    def _more(self) -> str:
        return "" if self.shortcut == "identity" else f", shortcut {self.shortcut}"

    @property
    def shortcut_label(self) -> str:
        """What the stage table says of a shortcut that is not the input."""
        return {"identity": "", "pool": ", pooled shortcut", "none": ", no shortcut"}[self.shortcut]


def expanded(in_channels: int, ratio: float, multiple: int) -> int:
    """Channels inside an inverted bottleneck.

    Example:
        >>> expanded(16, 6, 1), expanded(20, 1.5, 8)
        (96, 32)
    """
    if multiple == 1 or ratio == 1:
        return round(in_channels * ratio)
    return round_channels(in_channels * ratio, multiple=multiple)
