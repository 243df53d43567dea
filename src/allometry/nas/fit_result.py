"""What a fit has found: the law, how sure it is, and what more MACs would buy."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from allometry.arch import digest, save
from allometry.base import LawError, SearchError
from allometry.cost import count
from allometry.data import group_numbers
from allometry.nas.fit_setup import FitSetup
from allometry.nas.law_grid import Point
from allometry.nas.law_ranking import LawRanking, extrapolate, law_noise, rank_laws
from allometry.nas.law_trials import GridTrainingResult, correct_matrix, trained_macs
from allometry.runs import FitResult, Interval, LawTrialRecord, SizeAccuracy, TrainedLaw
from allometry.runs.files import COSTS, LAW, LAW_TRIALS, NETWORK
from allometry.scaling import (
    Expected,
    LawAccuracy,
    LawSurface,
    Region,
    ScalingLaw,
    Shares,
    best_region,
    expected_accuracy,
    fit_surface,
    shares_of,
)
from allometry.training.session import Session

_AHEAD = (2, 4, 8)  # times the MACs of the fitted step, that the outlook goes to

Trained = Mapping[int, Sequence[GridTrainingResult]]
"""The trainings of laws, one for each seed, by their place in the grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the trained laws say of the grid.

    Attributes:
        law: the middle of those that may be the best.
        candidates: places of the laws that it was chosen from: the grid's, or where the trained laws are too few for a
            surface, these.
        expected: what each of them would reach.
        region: which of them may be the best, by their places among the candidates.
        surface: through the trained laws; None where they are too few for one.
        standard_error: of a law's mean accuracy.
    """

    law: ScalingLaw
    candidates: tuple[int, ...]
    expected: tuple[Expected, ...]
    region: Region
    surface: LawSurface | None
    standard_error: float

    @property
    def near_best(self) -> tuple[int, ...]:
        """Places in the grid of the laws that may be the best."""
        return tuple(self.candidates[place] for place in self.region.places)


def choose_law(setup: FitSetup, trained: Trained) -> Choice:
    """Find the laws that may be the best, and their middle.

    Args:
        setup: of the fit.
        trained: the laws that were trained; one of which a training diverged tells nothing of those between.

    Raises:
        SearchError: a training of every law diverged.
    """
    points = setup.grown.points
    kept = {place: results for place, results in trained.items() if not any(one.diverged for one in results)}
    if not kept:
        raise SearchError(
            "The trainings of all laws diverged; try a lower learning rate (--set learning_rate=...), stronger "
            "clipping (--set clip=1) or float32."
        )
    split = setup.images.dataset.splits["val"]
    matrices = {place: correct_matrix(results, len(split)) for place, results in kept.items()}
    variance = law_noise(list(matrices.values()), groups=group_numbers(split))
    laws = {
        place: LawAccuracy(
            shares=shares_of(points[place].law), accuracy=float(matrix.mean()), variance=variance
        )
        for place, matrix in matrices.items()
    }
    shares = [shares_of(point.law) for point in points]
    error = variance**0.5
    surface = _surface(list(laws.values()))
    candidates = tuple(laws) if surface is None else tuple(range(len(points)))
    expected = tuple(
        Expected(laws[place].accuracy, error)
        if surface is None
        else expected_accuracy(surface, shares[place])
        for place in candidates
    )
    region = best_region([shares[place] for place in candidates], expected)
    return Choice(
        law=_law(points[candidates[region.best]].law, region, ratio=setup.config.ratio),
        candidates=candidates,
        expected=expected,
        region=region,
        surface=surface,
        standard_error=error,
    )


def _surface(laws: Sequence[LawAccuracy]) -> LawSurface | None:
    """None where the laws are too few for one, or lie on a line."""
    try:
        return fit_surface(laws)
    except LawError:
        return None


def _law(best: ScalingLaw, region: Region, *, ratio: float) -> ScalingLaw:
    """The middle of a region, or its only law."""
    if len(region.places) == 1:
        return best
    return ScalingLaw.from_exponents(**region.middle._asdict(), growth=ratio)


def fitted_result(
    session: Session,
    setup: FitSetup,
    trained: Trained,
    choice: Choice,
    *,
    chosen: tuple[Point, Sequence[GridTrainingResult]],
    base: Sequence[GridTrainingResult],
) -> FitResult:
    """Write the law and all trainings down, and give the fit's result.

    Args:
        session: of the fit.
        setup: the grid.
        trained: the trainings of the laws.
        choice: among them.
        chosen: the law with its network and trainings.
        base: trainings of the baseline.
    """
    folder, grown = session.run.path, setup.grown
    split = setup.images.dataset.splits["val"]
    groups, (point, results) = group_numbers(split), chosen
    point.law.save(folder / LAW)
    save(point.network, folder / NETWORK)
    sizes = [
        (float(cost.macs), correct_matrix(trainings, len(split)))
        for cost, trainings in ((count(grown.baseline), base), (point.cost, results))
    ]
    macs = [factor * point.cost.macs for factor in _AHEAD]
    ahead = extrapolate(sizes, macs, groups=groups, seed=session.seed)
    correct = {str(place): correct_matrix(some, len(split)) for place, some in trained.items()}
    rankings = rank_laws(correct, groups=groups, seed=session.seed)
    _write_trials(session, setup, trained, chosen)
    spent = [entry for entry in COSTS.read(folder) if entry.phase == "fit"]
    images = len(setup.images.dataset.splits["train"])
    full = setup.full_epochs * images * sum(one.cost.macs for one in grown.points)
    return FitResult(
        data=setup.images.dataset.name,
        network=grown.baseline.name,
        cost=count(grown.baseline),
        law=point.law,
        region=_ranges([shares_of(grown.points[place].law) for place in choice.near_best]),
        near_best=len(choice.near_best),
        laws=len(choice.candidates),
        degree=0 if choice.surface is None else choice.surface.degree,
        misfit=1.0 if choice.surface is None else choice.surface.misfit,
        standard_error=choice.standard_error,
        epochs=setup.trial_config.epochs,
        trained=tuple(
            _trained_law(grown.points[place], place, rankings[str(place)], choice, seeds=len(some))
            for place, some in trained.items()
        ),
        sizes=tuple(SizeAccuracy(macs=macs, accuracy=float(correct.mean())) for macs, correct in sizes),
        forecast=tuple(
            SizeAccuracy(macs=size.macs, accuracy=size.accuracy, interval=size.interval) for size in ahead
        ),
        training_seconds=round(sum(entry.seconds for entry in spent), 1),
        training_images=sum(entry.images for entry in spent),
        fraction_of_full=trained_macs(folder) / full,
    )


def _ranges(shares: Sequence[Shares]) -> dict[str, Interval]:
    """Between what the shares of these laws lie."""
    return {
        name: (min(values), max(values))
        for name, values in zip(Shares._fields, zip(*shares, strict=True), strict=True)
    }


def _trained_law(point: Point, place: int, ranking: LawRanking, choice: Choice, *, seeds: int) -> TrainedLaw:
    expected = dict(zip(choice.candidates, choice.expected, strict=True)).get(place)
    return TrainedLaw(
        law=point.law,
        macs=point.cost.macs,
        params=point.cost.params,
        resolution=point.network.resolution,
        seeds=seeds,
        accuracy=ranking.accuracy,
        interval=ranking.interval,
        behind=ranking.behind,
        expected=None if choice.surface is None or expected is None else expected.accuracy,
        near_best=place in choice.near_best,
    )


def _write_trials(
    session: Session,
    setup: FitSetup,
    trained: Trained,
    chosen: tuple[Point, Sequence[GridTrainingResult]],
) -> None:
    """A line for each law, as the report shows them, and no checkpoints any more."""
    folder, point = session.run.path, chosen[0]
    lines = [(setup.grown.points[place], results) for place, results in trained.items()]
    known = {digest(one.network) for one, _ in lines}
    lines += [] if digest(point.network) in known else [chosen]
    LAW_TRIALS.write(folder, [_trial_record(one, results, digest(point.network)) for one, results in lines])
    for kept in (folder / "trials").glob("*/checkpoints"):
        shutil.rmtree(kept, ignore_errors=True)


def _trial_record(point: Point, results: Sequence[GridTrainingResult], chosen: str) -> LawTrialRecord:
    """The mean of a law's trainings, and what they cost together."""
    return LawTrialRecord(
        name=str(point.law),
        law=point.law,
        network=digest(point.network),
        resolution=point.network.resolution,
        macs=point.cost.macs,
        params=point.cost.params,
        epochs=max(result.epochs for result in results),
        accuracy=sum(result.accuracy for result in results) / len(results),
        loss=sum(result.loss for result in results) / len(results),
        seconds=sum(result.seconds for result in results),
        images=sum(result.images for result in results),
        chosen=digest(point.network) == chosen,
    )
