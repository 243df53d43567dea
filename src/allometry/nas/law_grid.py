"""The paper's step 1: try laws that double the cost, by short trainings, and take the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from allometry.arch import Network, digest
from allometry.base import BudgetError, LawError
from allometry.cost import Budget, Cost
from allometry.runs import LawTrialRecord
from allometry.runs.files import LAW_TRIALS
from allometry.scaling import COMPOUND, Multipliers, ScalingLaw, solve

STEP_GROWTH = 2.0
_HAIR = 0.01  # alpha = 1 and gamma = 1.41 leave no room for beta, which is what resolution alone means
DEFAULT_GRID = ((1.0, 1.2), (1.0, 1.15, 1.3))
"""Alphas and gammas; beta follows from alpha * beta^2 * gamma^2 = 2."""


@dataclass(frozen=True, slots=True)
class Point:
    """Something to try: a law of the grid with its network at twice the baseline's cost, or the baseline.

    Attributes:
        law: what made the network.
        network: what is trained.
        cost: `count(network)`.
        kind: `grid`, or `baseline`, which is there to compare with and is never chosen.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> b0 = get("efficientnet-b0")
        >>> Point(COMPOUND, b0, count(b0)).kind
        'grid'
    """

    law: ScalingLaw
    network: Network
    cost: Cost
    kind: Literal["grid", "baseline"] = "grid"


@dataclass(frozen=True, slots=True)
class LawTrial:
    """The result of one short training.

    Attributes:
        point: what was tried.
        accuracy: on the validation images, 0 to 1.
        loss: on the validation images.
        epochs: of the short training.
        seconds: what it took.
        images: training images seen.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> b0 = get("efficientnet-b0")
        >>> point = Point(COMPOUND, b0, count(b0))
        >>> LawTrial(point, accuracy=0.8, loss=0.7, epochs=4, seconds=60.0, images=4000).point.network.name
        'efficientnet-b0'
    """

    point: Point
    accuracy: float
    loss: float
    epochs: int
    seconds: float
    images: int


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
    for law in sorted(laws or grid(), key=_distance_from_paper):
        try:
            solution = solve(network, budget, law=law, start=start, largest_resolution=largest_resolution)
        except BudgetError as error:
            refused = error
            continue
        points.setdefault(digest(solution.network), Point(law, solution.network, solution.cost))
    if not points and refused is not None:
        raise refused
    return tuple(sorted(points.values(), key=lambda point: (point.law.alpha, point.law.gamma)))


def try_points(
    points: Sequence[Point], run: Callable[[Point, Path], LawTrial], *, folder: Path
) -> tuple[tuple[LawTrial, ...], LawTrial]:
    """Train each point, in order, and give all trials and the best one of the grid.

    A finished trial is written to `folder/trials.jsonl` at once and not trained again.

    Args:
        points: what to try.
        run: trains one point in the folder it is given.
        folder: of the whole run.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> networks = [get("efficientnet-b0"), get("efficientnet-b1")]
        >>> points = [Point(COMPOUND, network, count(network)) for network in networks]
        >>> def run(point, folder):
        ...     accuracy = 0.7 if point.network.name == "efficientnet-b0" else 0.8
        ...     return LawTrial(point, accuracy=accuracy, loss=1.0, epochs=4, seconds=60.0, images=4000)
        >>> with TemporaryDirectory() as folder:
        ...     trials, best = try_points(points, run, folder=Path(folder))
        >>> len(trials), best.point.network.name
        (2, 'efficientnet-b1')
    """
    known = {record.network: record for record in LAW_TRIALS.read(folder)}
    trials = []
    for point in points:
        key = digest(point.network)
        if key in known:
            trials.append(_from_record(point, known[key]))
            continue
        trial = run(point, folder / "trials" / key[:12])
        LAW_TRIALS.append(folder, _to_record(trial))
        trials.append(trial)
    # Equal accuracies are common on few validation images; the loss then tells more.
    candidates = [trial for trial in trials if trial.point.kind == "grid"]
    best = max(candidates, key=lambda trial: (trial.accuracy, -trial.loss))
    LAW_TRIALS.write(folder, [replace(_to_record(trial), chosen=trial is best) for trial in trials])
    return tuple(trials), best


def _to_record(trial: LawTrial) -> LawTrialRecord:
    law, network, on_grid = trial.point.law, trial.point.network, trial.point.kind == "grid"
    return LawTrialRecord(
        name=str(law) if on_grid else "baseline",
        kind=trial.point.kind,
        law=law if on_grid else None,
        network=digest(network),
        resolution=network.resolution,
        macs=trial.point.cost.macs,
        params=trial.point.cost.params,
        epochs=trial.epochs,
        accuracy=trial.accuracy,
        loss=trial.loss,
        seconds=trial.seconds,
        images=trial.images,
    )


def _from_record(point: Point, record: LawTrialRecord) -> LawTrial:
    return LawTrial(point, record.accuracy, record.loss, record.epochs, record.seconds, record.images)


def _distance_from_paper(law: ScalingLaw) -> float:
    pairs = ((law.alpha, COMPOUND.alpha), (law.beta, COMPOUND.beta), (law.gamma, COMPOUND.gamma))
    return sum(abs(math.log(ours / papers)) for ours, papers in pairs)
