"""What a front is worth as a whole: the volume of all that it is better than, exact, and over a search's cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from allometry.base import InputError
from allometry.nas.encodings import Values
from allometry.nas.searchers.base import dominates

_MARGIN = 0.1  # of each objective's range, so that the ends of a front count, too


def hypervolume(values_of_all: Sequence[Values], reference: Values) -> float:
    """The volume between a reference point and the front of these values, each the larger the better.

    Exact for any number of objectives: the volume is cut into slices along the last one, and each slice is a volume of
    one objective less. Two and three objectives take moments for hundreds of values; with each more it is as many times
    as long as the front has members.

    Args:
        values_of_all: of the networks; what is nowhere above the reference, or worth nothing, adds nothing.
        reference: the least that counts of each objective.

    Returns:
        The volume, in the product of the objectives' units.

    Raises:
        InputError: the reference is not finite, or has another number of objectives than the values.

    Source: Zitzler & Thiele 1998, *Multiobjective optimization using evolutionary algorithms: a comparative case
    study*; by slices as in While et al. 2006, *A faster algorithm for calculating hypervolume*.

    Example:
        >>> hypervolume([(0.8, -2.0), (0.6, -1.0)], (0.0, -4.0))
        2.2
    """
    if not all(map(math.isfinite, reference)):
        raise InputError(
            f"The reference point of a hypervolume must be finite numbers, not {tuple(reference)}."
        )
    if any(len(values) != len(reference) for values in values_of_all):
        raise InputError(
            f"The reference point has {len(reference)} numbers; give the values as many each, one for each objective."
        )
    above = [
        tuple(values)
        for values in values_of_all
        if all(value > least for value, least in zip(values, reference, strict=True))
    ]
    return _volume(list(dict.fromkeys(above)), tuple(reference))


def hypervolumes(values_of_all: Sequence[Values], reference: Values) -> list[float]:
    """The hypervolume after each of these, in their order: what a search had reached by then.

    Raises:
        InputError: the reference is not finite, or has another number of objectives than the values.

    Example:
        >>> hypervolumes([(0.5, -1.0), (0.5, -2.0), (0.75, -2.0)], (0.0, -4.0))
        [1.5, 1.5, 2.0]
    """
    front: list[Values] = []
    volumes: list[float] = []
    for values in values_of_all:
        known = values in front or any(dominates(other, values) for other in front)
        if not (known and volumes):
            front = [other for other in front if not dominates(values, other)] + [values]
            volumes.append(hypervolume(front, reference))
        else:
            volumes.append(volumes[-1])
    return volumes


def reference_point(values_of_all: Sequence[Values]) -> Values | None:
    """A reference point for these values: the worst of each objective, less a tenth of its range.

    Without that tenth the two ends of a front, which are the worst in one objective, would count for nothing. Where all
    are alike in an objective, the tenth is of the value itself.

    Args:
        values_of_all: of the networks; those that are worth nothing do not count.

    Returns:
        The point; None where no network is worth anything.

    Example:
        >>> reference_point([(0.5, -3.0), (0.75, -8.0)])
        (0.475, -8.5)
    """
    able = [values for values in values_of_all if all(map(math.isfinite, values))]
    if not able:
        return None
    point = []
    for values in zip(*able, strict=True):
        worst, best = min(values), max(values)
        point.append(worst - _MARGIN * ((best - worst) or abs(worst) or 1.0))
    return tuple(point)


def _volume(points: list[Values], reference: Values) -> float:
    """The volume of different points, all of them above the reference in everything."""
    if not points:
        return 0.0
    if len(reference) == 1:
        return max(point[0] for point in points) - reference[0]
    ordered = sorted(points, key=lambda point: point[-1], reverse=True)
    ends = [*(point[-1] for point in ordered[1:]), reference[-1]]
    slices, reached = [], 0.0
    for number, (point, end) in enumerate(zip(ordered, ends, strict=True), start=1):
        if len(reference) == 2:  # a slice is as wide as the widest so far
            reached = max(reached, point[0] - reference[0])
        if point[-1] > end:
            if len(reference) > 2:
                reached = _volume(_outer([other[:-1] for other in ordered[:number]]), reference[:-1])
            slices.append(reached * (point[-1] - end))
    return math.fsum(slices)


def _outer(points: list[Values]) -> list[Values]:
    """Those of some points that are dominated by none, each once."""
    different = list(dict.fromkeys(points))
    return [point for point in different if not any(dominates(other, point) for other in different)]
