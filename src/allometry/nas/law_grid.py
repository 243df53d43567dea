"""The laws of the paper's step 1, which double the cost, and the networks that they make."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from allometry.arch import Network, digest
from allometry.base import BudgetError, LawError
from allometry.cost import Budget, Cost
from allometry.scaling import COMPOUND, Multipliers, ScalingLaw, solve

STEP_GROWTH = 2.0
_HAIR = 0.01  # alpha = 1 and gamma = 1.41 leave no room for beta, which is what resolution alone means
DEFAULT_GRID = ((1.0, 1.2), (1.0, 1.15, 1.3))
"""Alphas and gammas; beta follows from alpha * beta^2 * gamma^2 = 2."""


@dataclass(frozen=True, slots=True)
class Point:
    """Something to try: a law of the grid with its network at twice the baseline's cost.

    Attributes:
        law: what made the network.
        network: what is trained.
        cost: `count(network)`.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> b0 = get("efficientnet-b0")
        >>> Point(COMPOUND, b0, count(b0)).law.alpha
        1.2
    """

    law: ScalingLaw
    network: Network
    cost: Cost


def grid(
    alphas: Sequence[float] = DEFAULT_GRID[0],
    gammas: Sequence[float] = DEFAULT_GRID[1],
    *,
    ratio: float = STEP_GROWTH,
) -> tuple[ScalingLaw, ...]:
    """Every law with these alphas and gammas whose beta is at least 1.

    Args:
        alphas: of depth, at least 1.
        gammas: of resolution, at least 1.
        ratio: of the MACs in a step: alpha * beta^2 * gamma^2.

    Raises:
        LawError: no such law.

    Source: EfficientNet (Tan & Le 2019), section 3.3, step 1.

    Example:
        >>> len(grid()), all(abs(law.growth - 2) < 1e-9 for law in grid())
        (5, True)
    """
    laws = []
    for alpha in alphas:
        for gamma in gammas:
            square = ratio / (alpha * gamma**2)
            if square >= 1 - _HAIR:
                laws.append(ScalingLaw(alpha, max(1.0, math.sqrt(square)), gamma))
    if not laws:
        raise LawError(
            f"This grid has no law: every alpha * gamma^2 is above {ratio:g}, so that beta is below 1."
        )
    return tuple(laws)


def grid_points(
    network: Network,
    budget: Budget,
    *,
    start: Multipliers,
    laws: Iterable[ScalingLaw] = (),
    largest_resolution: int | None = None,
) -> tuple[Point, ...]:
    """The networks to try: for each law the largest within `budget`; laws that round to one network once.

    Args:
        network: what the laws grow.
        budget: of the trials; twice the baseline's cost.
        start: the baseline's multipliers against `network`.
        laws: by default `grid()`.
        largest_resolution: as in `solve`.

    Raises:
        BudgetError: no law reaches the budget.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import as_budget, count
        >>> from allometry.scaling import IDENTITY
        >>> b0 = get("efficientnet-b0")
        >>> budget = as_budget("2x", count(b0))
        >>> points = grid_points(b0, budget, start=IDENTITY, laws=grid((1.2,), (1.0, 1.15)))
        >>> [point.law.gamma for point in points], all(budget.allows(point.cost) for point in points)
        ([1.0, 1.15], True)
    """
    points: dict[str, Point] = {}
    refused: BudgetError | None = None
    # Of laws that round to the same network the one nearest to the paper's stands for all.
    for law in sorted(laws or grid(), key=distance_from_paper):
        try:
            solution = solve(network, budget, law=law, start=start, largest_resolution=largest_resolution)
        except BudgetError as error:
            refused = error
            continue
        points.setdefault(digest(solution.network), Point(law, solution.network, solution.cost))
    if not points and refused is not None:
        raise refused
    return tuple(sorted(points.values(), key=lambda point: (point.law.alpha, point.law.gamma)))


def distance_from_paper(law: ScalingLaw) -> float:
    """How far a law is from EfficientNet's: the sum of what the logarithms of the coefficients differ by.

    Example:
        >>> distance_from_paper(COMPOUND)
        0.0
    """
    pairs = ((law.alpha, COMPOUND.alpha), (law.beta, COMPOUND.beta), (law.gamma, COMPOUND.gamma))
    return sum(abs(math.log(ours / papers)) for ours, papers in pairs)
