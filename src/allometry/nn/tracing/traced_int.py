"""Integers that remember whether they were read from a tensor's shape or from a module's attribute."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

# What says how a layer looks at the image, never how many channels it has.
_SPATIAL = frozenset(("stride", "padding", "dilation", "kernel_size", "output_padding", "output_size"))
_COUNTS = ("head", "group", "radix", "cardinal", "num_branch", "num_path", "splits")  # rather than widths


# Sizes that were found to equal an attribute, with the labels of the channels, while a module is watched.
_compared: ContextVar[list[tuple[Tensor, TracedInt]]] = ContextVar("_compared")


class AttributeSpot(NamedTuple):
    """An integer that a module holds.

    Attributes:
        module: its name.
        attribute: of the module.
        index: in a list or tuple; None where the attribute is the integer.

    Example:
        >>> str(AttributeSpot("block.attn", "dim", None)), str(AttributeSpot("mix", "splits", 1))
        ('block.attn.dim', 'mix.splits[1]')
    """

    module: str
    attribute: str
    index: int | None  # type: ignore[assignment]  # tuples have a method of this name

    def __str__(self) -> str:
        name = f"{self.module}.{self.attribute}".lstrip(".")
        return name if self.index is None else f"{name}[{self.index}]"

    @property
    def is_count(self) -> bool:
        """Whether its name says that it counts parts, such as heads, rather than channels."""
        return any(word in self.attribute for word in _COUNTS)


class TracedInt(int):
    """An integer with its origin; what is computed from it has one, too.

    Attributes:
        from_shape: it was read from the shape of a tensor, or computed from what was.
        labels: of the channels that it counts, or of which it counts a fixed part or multiple; None where it is none.
        spot: the attribute that would have to change for it to change; None where that is none.

    Example:
        >>> width = TracedInt(64).of(spot=AttributeSpot("block", "width", None))
        >>> half = width // 2
        >>> half, str(half.spot), half.from_shape
        (32, 'block.width', False)
    """

    from_shape: bool = False
    spot: AttributeSpot | None = None
    labels: Tensor | None = None

    def of(
        self, *, from_shape: bool = False, spot: AttributeSpot | None = None, labels: Tensor | None = None
    ) -> TracedInt:
        """The same integer with that origin."""
        result = TracedInt(self)
        result.from_shape, result.spot, result.labels = from_shape, spot, labels
        return result

    def __eq__(self, other: object) -> bool:
        """Whether they are equal; a size that equals an attribute is noted: the attribute must go on doing so."""
        same = int(self) == other
        if same and isinstance(other, TracedInt):
            for size, held in ((self, other), (other, self)):
                if size.labels is not None and held.spot is not None and held.labels is None:
                    _compared.get([]).append((size.labels, held))
        return same

    def __ne__(self, other: object) -> bool:
        """Whether they are not equal."""
        return not self == other

    __hash__ = int.__hash__


def _operation(compute: Callable[[int, int], int], *, swapped: bool) -> Callable[[Any, Any], Any]:
    def apply(self: TracedInt, other: Any) -> Any:  # noqa: ANN401 - whatever integers are combined with
        if isinstance(other, bool) or not isinstance(other, int):
            return NotImplemented
        left, right = (other, self) if swapped else (self, other)
        origins = [value for value in (left, right) if isinstance(value, TracedInt)]
        from_shape = any(origin.from_shape for origin in origins)
        spots = [origin.spot for origin in origins if origin.spot is not None]
        # Of a width and a count of heads it is the width that changes.
        spots.sort(key=lambda spot: spot.is_count)
        result = compute(int(left), int(right))
        return TracedInt(result).of(
            from_shape=from_shape,
            spot=spots[0] if spots else None,
            labels=_proportional(compute, left, right),
        )

    return apply


def _proportional(compute: Callable[[int, int], int], left: int, right: int) -> Tensor | None:
    """The labels of the channels that a result grows in proportion to; None where it does not."""
    one, two = (value.labels if isinstance(value, TracedInt) else None for value in (left, right))
    if compute is operator.mul:
        return one if two is None else two if one is None else None
    if compute is operator.floordiv:
        return one if two is None else None
    return one if one is two else None


for _name in ("add", "sub", "mul", "floordiv"):
    _compute = getattr(operator, _name)
    setattr(TracedInt, f"__{_name}__", _operation(_compute, swapped=False))
    setattr(TracedInt, f"__r{_name}__", _operation(_compute, swapped=True))


def traced_shape(shape: torch.Size, planes: Sequence[Tensor] = ()) -> torch.Size:
    """A shape whose sizes remember that they are ones, and of which channels.

    Args:
        shape: of a tensor.
        planes: the tensor's labels.

    Example:
        >>> traced_shape(torch.Size((2, 3)))[1].from_shape
        True
    """
    along = {}
    for plane in planes:
        sizes = [number for number, size in enumerate(plane.shape) if size > 1]
        if len(sizes) == 1:
            along[sizes[0]] = plane
    return torch.Size(
        [TracedInt(size).of(from_shape=True, labels=along.get(place)) for place, size in enumerate(shape)]
    )


@contextmanager
def compared_sizes() -> Iterator[list[tuple[Tensor, TracedInt]]]:
    """The sizes of channels that equaled an attribute until the end of the block, with the channels' labels.

    Example:
        >>> size = TracedInt(8).of(from_shape=True, labels=torch.arange(8))
        >>> with compared_sizes() as found:
        ...     size == TracedInt(8).of(spot=AttributeSpot("", "width", None))
        True
        >>> len(found)
        1
    """
    found: list[tuple[Tensor, TracedInt]] = []
    token = _compared.set(found)
    try:
        yield found
    finally:
        _compared.reset(token)


@contextmanager
def traced_attributes(module: nn.Module) -> Iterator[None]:
    """Let the integers that a module and its parts hold remember where they are held, until the end of the block.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> with traced_attributes(layer):
        ...     layer.in_features.spot.attribute
        'in_features'
        >>> type(layer.in_features)
        <class 'int'>
    """
    kept: list[tuple[dict[str, Any], str, Any]] = []
    seen: set[int] = set()
    try:
        for name, part in module.named_modules():
            if id(part) in seen:
                continue
            seen.add(id(part))
            held = part.__dict__
            for key, value in list(held.items()):
                if key.startswith("_") or key in _SPATIAL:
                    continue
                traced = _traced(value, name, key)
                if traced is not None:
                    kept.append((held, key, value))
                    held[key] = traced
        yield
    finally:
        for held, key, value in kept:
            held[key] = value


def set_attribute(module: nn.Module, spot: AttributeSpot, value: float) -> None:
    """Write a number where a module holds it.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> set_attribute(layer, AttributeSpot("", "in_features", None), 6)
        >>> layer.in_features
        6
    """
    part = module.get_submodule(spot.module)
    if spot.index is None:
        part.__dict__[spot.attribute] = value
        return
    held = part.__dict__[spot.attribute]
    values = list(held)
    values[spot.index] = value
    part.__dict__[spot.attribute] = values if isinstance(held, list) else tuple(values)


def read_attribute(module: nn.Module, spot: AttributeSpot) -> int:
    """The integer that a module holds there.

    Example:
        >>> read_attribute(nn.Linear(4, 2), AttributeSpot("", "in_features", None))
        4
    """
    held: Any = module.get_submodule(spot.module).__dict__[spot.attribute]
    return int(held if spot.index is None else held[spot.index])


def _traced(value: Any, module: str, key: str) -> Any:  # noqa: ANN401 - any attribute
    if type(value) is int:
        return TracedInt(value).of(spot=AttributeSpot(module, key, None))
    if type(value) in (list, tuple) and value and all(type(item) is int for item in value):
        return type(value)(
            TracedInt(item).of(spot=AttributeSpot(module, key, index)) for index, item in enumerate(value)
        )
    return None
