"""What trained laws say of those between them: a surface over the shares of depth, width and resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from allometry.base import LawError
from allometry.base.checks import is_number
from allometry.scaling.laws import ScalingLaw

Matrix = list[list[float]]
_SINGULAR = 1e-7  # of a pivot, beside the largest entry of its column at first


class Shares(NamedTuple):
    """What part of the growth of the MACs, in logarithms, goes to each dimension; they sum to 1.

    Example:
        >>> from allometry.scaling import COMPOUND
        >>> [round(share, 2) for share in shares_of(COMPOUND)]
        [0.28, 0.29, 0.43]
    """

    depth: float
    width: float
    resolution: float


def shares_of(law: ScalingLaw) -> Shares:
    """Give the shares of a law: log alpha, 2 log beta and 2 log gamma over their sum.

    Example:
        >>> from allometry.scaling import DEPTH, FAST
        >>> shares_of(DEPTH)
        Shares(depth=1.0, width=0.0, resolution=0.0)
        >>> [round(share, 6) for share in shares_of(FAST)]
        [0.1, 0.8, 0.1]
    """
    logs = (math.log(law.alpha), 2 * math.log(law.beta), 2 * math.log(law.gamma))
    return Shares(*(log / math.fsum(logs) for log in logs))


@dataclass(frozen=True, slots=True, kw_only=True)
class LawAccuracy:
    """What networks of a law reached.

    Attributes:
        shares: of the law.
        accuracy: mean of its trainings.
        variance: of that mean, by seeds and images; above 0.

    Raises:
        LawError: the variance is not above 0.
    """

    shares: Shares
    accuracy: float
    variance: float

    def __post_init__(self) -> None:
        if not is_number(self.variance) or not self.variance > 0:
            raise LawError(f"The variance of a law's accuracy must be above 0, not {self.variance!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LawSurface:
    """Accuracy over the shares: a mixture's polynomial, fitted to laws that were trained.

    Attributes:
        degree: 2 where there are six laws or more, spread over the shares; else 1.
        coefficients: of depth, width and resolution: what the law of that dimension alone would reach; of degree 2 then
            those of their products, depth with width, depth with resolution, width with resolution.
        covariance: of the coefficients.
        misfit: by how much the laws lie off the surface, in variances of their noise: about 1 where noise is all there
            is; 1 where no more laws than coefficients were trained, and so nothing is off.
    """

    degree: int
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    misfit: float


class Expected(NamedTuple):
    """What a law would reach, and the standard error of that."""

    accuracy: float
    standard_error: float


def fit_surface(laws: Sequence[LawAccuracy]) -> LawSurface:
    """Fit a polynomial in the shares to trained laws, by least squares weighted with their noise.

    It has no constant, as the shares sum to 1 (Scheffe's form). Where laws lie further off the surface than their
    noise, its standard errors are as much larger, by the root of `misfit`.

    Args:
        laws: that were trained; three or more that differ in two directions.

    Raises:
        LawError: there are too few laws, or all have the same proportion of two dimensions.

    Source: Scheffe 1958, *Experiments with mixtures*; the larger errors: Birge 1932, *The calculation of errors by the
    method of least squares*.

    Example:
        >>> def reached(*shares):
        ...     depth, width, resolution = shares
        ...     accuracy = 0.7 + 0.2 * width * resolution - 0.1 * depth
        ...     return LawAccuracy(shares=Shares(*shares), accuracy=accuracy, variance=1e-4)
        >>> corners = [reached(1, 0, 0), reached(0, 1, 0), reached(0, 0, 1)]
        >>> between = [reached(0.5, 0.5, 0), reached(0.5, 0, 0.5), reached(0, 0.5, 0.5)]
        >>> surface = fit_surface(corners + between)
        >>> surface.degree, round(expected_accuracy(surface, Shares(0, 0.5, 0.5)).accuracy, 6)
        (2, 0.75)
    """
    for degree, least in ((2, 6), (1, 3)):
        if len(laws) < least:
            continue
        surface = _fitted(laws, degree)
        if surface is not None:
            return surface
    raise LawError(
        "A surface needs three trained laws or more that differ in two directions, such as deeper, wider and with "
        f"larger images; these are {len(laws)}."
    )


def expected_accuracy(surface: LawSurface, shares: Shares) -> Expected:
    """What a law of these shares would reach, by the surface; see `fit_surface` for an example."""
    terms = _terms(shares, surface.degree)
    variance = _dot(terms, [_dot(row, terms) for row in surface.covariance])
    return Expected(_dot(terms, surface.coefficients), math.sqrt(max(variance, 0.0)))


class Region(NamedTuple):
    """The laws that may be the best.

    Attributes:
        best: place of the law with the highest expected accuracy.
        places: of all laws within one standard error of that, the best included, in their order.
        middle: the mean of their shares.
    """

    best: int
    places: tuple[int, ...]
    middle: Shares


def best_region(candidates: Sequence[Shares], expected: Sequence[Expected]) -> Region:
    """Find the laws within one standard error of the best, and their middle.

    Args:
        candidates: shares of the laws to choose from.
        expected: what each would reach.

    Source: the one-standard-error rule, Breiman et al. 1984, *Classification and regression trees*, section 3.4.3.

    Example:
        >>> laws = [Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1)]
        >>> best_region(laws, [Expected(0.6, 0.01), Expected(0.71, 0.02), Expected(0.7, 0.01)])
        Region(best=1, places=(1, 2), middle=Shares(depth=0.0, width=0.5, resolution=0.5))
    """
    best = max(range(len(expected)), key=lambda place: expected[place].accuracy)
    least = expected[best].accuracy - expected[best].standard_error
    places = tuple(place for place, value in enumerate(expected) if value.accuracy >= least)
    inside = [candidates[place] for place in places]
    middle = Shares(*(math.fsum(column) / len(inside) for column in zip(*inside, strict=True)))
    return Region(best, places, middle)


def spread_out(candidates: Sequence[Shares], number: int) -> tuple[int, ...]:
    """Choose laws that lie far from each other: the corners first, then whatever is furthest from those chosen.

    Args:
        candidates: shares of the laws to choose from.
        number: how many; all, where there are no more.

    Returns:
        Their places, in the order of the candidates.

    Source: Kennard & Stone 1969, *Computer aided design of experiments*.

    Example:
        >>> corners = [Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1)]
        >>> spread_out([Shares(0.4, 0.3, 0.3), *corners, Shares(0.9, 0.1, 0)], 4)
        (0, 1, 2, 3)
    """
    middle = Shares(1 / 3, 1 / 3, 1 / 3)
    chosen: list[int] = []
    left = list(range(len(candidates)))
    while left and len(chosen) < number:
        others = [candidates[place] for place in chosen] or [middle]
        furthest = max(left, key=lambda place: min(math.dist(candidates[place], other) for other in others))
        chosen.append(furthest)
        left.remove(furthest)
    return tuple(sorted(chosen))


def _terms(shares: Shares, degree: int) -> list[float]:
    depth, width, resolution = shares
    products = [depth * width, depth * resolution, width * resolution]
    return [depth, width, resolution, *(products if degree == 2 else ())]


def _fitted(laws: Sequence[LawAccuracy], degree: int) -> LawSurface | None:
    """The surface by its normal equations; None where they have no single solution."""
    rows = [_terms(law.shares, degree) for law in laws]
    weights = [1 / law.variance for law in laws]
    size = len(rows[0])
    scale = math.fsum(weights)
    normal = [
        [_dot(weights, [row[one] * row[other] for row in rows]) / scale for other in range(size)]
        for one in range(size)
    ]
    inverse = _inverse(normal)
    if inverse is None:
        return None
    right = [
        _dot(weights, [row[one] * law.accuracy for row, law in zip(rows, laws, strict=True)]) / scale
        for one in range(size)
    ]
    coefficients = [_dot(row, right) for row in inverse]
    off = [law.accuracy - _dot(row, coefficients) for row, law in zip(rows, laws, strict=True)]
    freedom = len(laws) - size
    misfit = _dot(weights, [value * value for value in off]) / freedom if freedom else 1.0
    wider = max(misfit, 1.0) / scale
    return LawSurface(
        degree=degree,
        coefficients=tuple(coefficients),
        covariance=tuple(tuple(wider * value for value in row) for row in inverse),
        misfit=misfit,
    )


def _inverse(matrix: Matrix) -> Matrix | None:
    """By Gauss-Jordan with row pivots; None where it is singular."""
    size = len(matrix)
    rows = [[*row, *(float(one == other) for other in range(size))] for one, row in enumerate(matrix)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(rows[row][column]))
        largest = max(abs(row[column]) for row in matrix)
        if abs(rows[pivot][column]) <= _SINGULAR * largest:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        divisor = rows[column][column]
        rows[column] = [value / divisor for value in rows[column]]
        for row in range(size):
            if row != column:
                factor = rows[row][column]
                rows[row] = [
                    value - factor * above for value, above in zip(rows[row], rows[column], strict=True)
                ]
    return [row[size:] for row in rows]


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))
