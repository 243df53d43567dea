"""The convolutions that cells are wired from, and the shapes that they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from allometry.arch.checks import (
    STRICT,
    check_integer,
    check_odd,
    check_one_of,
)
from allometry.arch.shapes import PADDINGS, Padding, Shape, conv_output_size, strided
from allometry.base import NetworkError

if TYPE_CHECKING:
    from pydantic import ConfigDict

Activation = Literal["silu", "relu", "relu6", "hard_swish"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv:
    """A convolution, then batch norm, then an activation, as far as they are asked for.

    Attributes:
        channels: output channels.
        kernel: side of the kernel, or its height and width.
        stride: in both directions.
        groups: into which input and output channels are divided.
        padding: None for the network's; symmetric padding needs odd kernels.
        norm: whether batch norm follows.
        bias: whether the convolution has one.
        activation: that comes last, if any.

    Raises:
        NetworkError: a field cannot have that value.

    Example:
        >>> Conv(channels=64, kernel=(1, 7)).after(Shape(32, 17), "same")
        Shape(channels=64, size=17)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    groups: int = 1
    padding: Padding | None = None
    norm: bool = True
    bias: bool = False
    activation: Activation | None = None
    kind: Literal["conv"] = "conv"

    def __post_init__(self) -> None:
        sides: Any = self.sides
        if (
            not isinstance(sides, tuple)
            or len(sides) != 2
            or any(type(side) is not int or side < 1 for side in sides)
        ):
            raise NetworkError(f"Conv.kernel must be one or two positive integers, not {self.kernel!r}.")
        for name in ("channels", "stride", "groups"):
            check_integer(self, name)
        check_one_of(self, "padding", (None, *PADDINGS))
        check_one_of(self, "activation", (None, *ACTIVATIONS))
        check_one_of(self, "kind", ["conv"])

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel

    def after(self, shape: Shape, padding: Padding) -> Shape:
        """The shape of the output.

        Raises:
            NetworkError: the groups do not divide the channels, or the output is not square.
        """
        if shape.channels % self.groups or self.channels % self.groups:
            raise NetworkError(
                f"{self.groups} groups do not divide {shape.channels} input and {self.channels} output channels."
            )
        own = self.padding or padding
        height, width = (conv_output_size(shape.size, side, self.stride, own) for side in self.sides)
        if height != width:
            raise NetworkError(
                f"A kernel of {self.kernel} without padding makes the image {height} x {width}."
            )
        return Shape(self.channels, height)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowColumn:
    """A convolution 1 x k and one k x 1, each with batch norm; one strides along rows, the other along columns.

    Attributes:
        channels: of both outputs.
        kernel: k, odd.
        stride: in both directions, once both are done.
        activation: between the two, if any.

    Source: released AmoebaNet code, `network_utils.py`, operation `1x7_7x1`.

    Example:
        >>> RowColumn(channels=64, kernel=7, stride=2).after(Shape(32, 17), "same")
        Shape(channels=64, size=9)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    channels: int
    kernel: int
    stride: int = 1
    activation: Activation | None = None
    kind: Literal["row_column"] = "row_column"

    def __post_init__(self) -> None:
        check_integer(self, "channels")
        check_odd(self, "kernel")
        check_integer(self, "stride")
        check_one_of(self, "activation", (None, *ACTIVATIONS))
        check_one_of(self, "kind", ["row_column"])

    def after(self, shape: Shape, padding: Padding) -> Shape:
        """The shape of the output; one that is padded by the network's rule."""
        del padding
        return Shape(self.channels, strided(shape.size, self.stride))


@dataclass(frozen=True, slots=True, kw_only=True)
class Depthwise:
    """A convolution of every channel alone; batch norm and activation only where asked for.

    Example:
        >>> Depthwise(kernel=5, stride=2).after(Shape(32, 83), "same")
        Shape(channels=32, size=42)
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    kernel: int = 3
    stride: int = 1
    padding: Padding | None = None
    norm: bool = False
    activation: Activation | None = None
    kind: Literal["depthwise"] = "depthwise"

    def __post_init__(self) -> None:
        check_integer(self, "stride")
        check_one_of(self, "padding", (None, *PADDINGS))
        check_integer(self, "kernel") if self.padding in ("same", "valid") else check_odd(self, "kernel")
        check_one_of(self, "activation", (None, *ACTIVATIONS))
        check_one_of(self, "kind", ["depthwise"])

    def after(self, shape: Shape, padding: Padding) -> Shape:
        """The shape of the output."""
        return Shape(
            shape.channels, conv_output_size(shape.size, self.kernel, self.stride, self.padding or padding)
        )
