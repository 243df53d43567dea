"""The layers that cells are wired from beside convolutions, all of them as one type, and the shapes that they give."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from allometry.arch.checks import (
    LATER,
    STRICT,
    check_flag,
    check_integer,
    check_number,
    check_odd,
    check_one_of,
)
from allometry.arch.convolutions import ACTIVATIONS, Activation, Conv, Depthwise, RowColumn
from allometry.arch.rounding import round_channels
from allometry.arch.shapes import PADDINGS, Padding, Shape, conv_output_size
from allometry.base import NetworkError

if TYPE_CHECKING:
    from pydantic import ConfigDict

GateFunction = Literal["sigmoid", "hard_sigmoid"]
_HAIR = 1e-6  # 448 * (42 / 448) is a hair below 42 in floating point and still means 42


class _Kept:
    """A layer whose output has the shape of its input."""

    __slots__ = ()

    def after(self, shape: Shape, padding: Padding) -> Shape:
        """The shape of the output: that of the input."""
        del padding
        return shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm(_Kept):
    """Batch norm, and an activation where asked for.

    Example:
        >>> Norm(activation="relu").after(Shape(8, 7), "same")
        Shape(channels=8, size=7)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    activation: Activation | None = None
    kind: Literal["norm"] = "norm"

    def __post_init__(self) -> None:
        check_one_of(self, "activation", (None, *ACTIVATIONS))
        check_one_of(self, "kind", ["norm"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Act(_Kept):
    """An activation alone.

    Example:
        >>> Act(function="relu").function
        'relu'
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    function: Activation
    kind: Literal["act"] = "act"

    def __post_init__(self) -> None:
        check_one_of(self, "function", ACTIVATIONS)
        check_one_of(self, "kind", ["act"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The largest or the mean value of a window.

    Attributes:
        function: which of the two.
        kernel: side of the window.
        stride: in both directions.
        padding: None for the network's.
        counts_padding: the mean counts the zeros of the padding, as PyTorch does by default and TensorFlow never.

    Example:
        >>> Pool(function="max", kernel=3, stride=2, padding="valid").after(Shape(64, 147), "same")
        Shape(channels=64, size=73)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    function: Literal["max", "average"]
    kernel: int
    stride: int = 1
    padding: Padding | None = None
    counts_padding: bool = field(default=False, metadata=LATER)
    kind: Literal["pool"] = "pool"

    def __post_init__(self) -> None:
        check_one_of(self, "function", ("max", "average"))
        check_integer(self, "kernel")
        check_integer(self, "stride")
        check_one_of(self, "padding", (None, *PADDINGS))
        if self.padding == "symmetric":
            check_odd(self, "kernel")
        check_flag(self, "counts_padding")
        check_one_of(self, "kind", ["pool"])

    def after(self, shape: Shape, padding: Padding) -> Shape:
        """The shape of the output."""
        return Shape(
            shape.channels, conv_output_size(shape.size, self.kernel, self.stride, self.padding or padding)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift(_Kept):
    """The image one pixel up and to the left; zeros come in from below and from the right.

    A factorized reduction looks at every second pixel of the image and of the shifted image.

    Example:
        >>> Shift().after(Shape(8, 7), "same")
        Shape(channels=8, size=7)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["shift"] = "shift"

    def __post_init__(self) -> None:
        check_one_of(self, "kind", ["shift"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(_Kept):
    """Multiplication by a constant.

    Example:
        >>> Scale(factor=0.17).factor
        0.17
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    factor: float
    kind: Literal["scale"] = "scale"

    def __post_init__(self) -> None:
        check_number(self, "factor", minimum=0)
        check_one_of(self, "kind", ["scale"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezeExcite(_Kept):
    """Squeeze-excite: scale each channel by what the whole image says of it.

    Attributes:
        ratio: squeezed channels per channel that comes in.
        multiple: what the squeezed channels are rounded to.
        activation: after the squeeze.
        function: of the gate.

    Example:
        >>> SqueezeExcite(ratio=1 / 16).squeezed(256)
        16
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    ratio: float
    multiple: int = 1
    activation: Activation = "relu"
    function: GateFunction = "sigmoid"
    kind: Literal["squeeze_excite"] = "squeeze_excite"

    def __post_init__(self) -> None:
        check_number(self, "ratio", minimum=0)
        check_integer(self, "multiple")
        check_one_of(self, "activation", ACTIVATIONS)
        check_one_of(self, "function", get_args(GateFunction))
        check_one_of(self, "kind", ["squeeze_excite"])

    def squeezed(self, channels: int) -> int:
        """Channels of the squeeze, at least 1."""
        return squeezed(channels, self.ratio, self.multiple)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropPath(_Kept):
    """Here stochastic depth drops whole samples in training, at the rate of the block's place.

    Example:
        >>> DropPath().after(Shape(8, 7), "same")
        Shape(channels=8, size=7)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kind: Literal["drop_path"] = "drop_path"

    def __post_init__(self) -> None:
        check_one_of(self, "kind", ["drop_path"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle(_Kept):
    """The channels of each group, dealt to all groups, so that the next grouped convolution mixes them.

    Source: ShuffleNet (Zhang et al. 2018), section 3.1.

    Example:
        >>> Shuffle(groups=2).after(Shape(8, 7), "same")
        Shape(channels=8, size=7)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    groups: int
    kind: Literal["shuffle"] = "shuffle"

    def __post_init__(self) -> None:
        check_integer(self, "groups")
        check_one_of(self, "kind", ["shuffle"])

    def after(self, shape: Shape, padding: Padding) -> Shape:
        """The shape of the output: that of the input.

        Raises:
            NetworkError: the groups do not divide the channels.
        """
        if shape.channels % self.groups:
            raise NetworkError(f"{self.groups} groups do not divide {shape.channels} channels.")
        return _Kept.after(self, shape, padding)


Layer = Conv | RowColumn | Depthwise | Norm | Act | Pool | Shift | Shuffle | Scale | SqueezeExcite | DropPath


def adapted_layer(
    layer: Layer, *, activation: Activation | None = None, counts_padding: bool | None = None
) -> Layer:
    """The layer with another activation and another rule for the padding of mean pools, if it has them.

    Example:
        >>> adapted_layer(Act(function="silu"), activation="relu").function
        'relu'
    """
    if isinstance(layer, Pool):
        if layer.function != "average" or counts_padding is None:
            return layer
        return replace(layer, counts_padding=counts_padding)
    field = "function" if isinstance(layer, Act) else "activation"
    if activation is None or not getattr(layer, field, None) or isinstance(layer, SqueezeExcite):
        return layer
    changes: dict[str, Any] = {field: activation}
    return replace(layer, **changes)


def squeezed(channels: int, ratio: float, multiple: int) -> int:
    """Channels of a squeeze: the fraction of `channels`, cut to an integer, or rounded to a multiple.

    Example:
        >>> squeezed(72, 0.25, 1), squeezed(72, 0.25, 8)
        (18, 24)
    """
    if multiple > 1:
        return round_channels(channels * ratio, multiple=multiple)
    return max(1, int(channels * ratio + _HAIR))
