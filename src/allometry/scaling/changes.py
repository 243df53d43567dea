"""What differs in the sizes of two networks of the same form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, NamedTuple

from allometry.arch import Network


class SizeChange(NamedTuple):
    """One size of a network that is another one in the other.

    Attributes:
        place: in the network: `input`, `stem`, `stage 3`, `head`; a stage that others continue stands for all of them.
        size: what it is, such as `channels` or `layers`.
        before: in the first network.
        after: in the second.
    """

    place: str
    size: str
    before: float
    after: float


def size_changes(old: Network, new: Network) -> tuple[SizeChange, ...]:
    """Where a network has other sizes than the one that it comes from, from the input to the head.

    Args:
        old: before it grew or shrank; its stages give the numbers.
        new: after that.

    Example:
        >>> from allometry.arch import apply_multipliers
        >>> from allometry.catalog import get
        >>> b0 = get("efficientnet-b0")
        >>> changes = size_changes(b0, apply_multipliers(b0, depth=1.2, resolution=1.1))
        >>> [tuple(change) for change in changes[:2]]
        [('input', 'resolution', 224, 246), ('stage 1', 'layers', 1, 2)]
    """
    return tuple(_changes(old, new))


def _changes(old: Network, new: Network) -> Iterator[SizeChange]:
    if old.resolution != new.resolution:
        yield SizeChange("input", "resolution", old.resolution, new.resolution)
    yield from _fields("stem", old.stem, new.stem)
    number = 1
    for before, after in zip(old.groups, new.groups, strict=True):
        yield from _fields(f"stage {number}", before[0].block, after[0].block)
        layers = [sum(stage.repeats for stage in group) for group in (before, after)]
        if layers[0] != layers[1]:
            yield SizeChange(f"stage {number}", "layers", *layers)
        number += len(before)
    yield from _fields("head", old.head, new.head)


def _fields(place: str, old: Any, new: Any) -> Iterator[SizeChange]:  # noqa: ANN401 - a stem, a block, a head
    for entry in fields(old):
        before, after = getattr(old, entry.name), getattr(new, entry.name, None)
        if type(before) in (int, float) and isinstance(after, int | float) and before != after:
            yield SizeChange(place, entry.name, before, after)
