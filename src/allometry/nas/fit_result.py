"""What a fit has found: the law, how sure it is, and what more MACs would buy."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

from allometry.arch import digest, save
from allometry.base import SearchError
from allometry.cost import count
from allometry.nas.fit_setup import FitSetup
from allometry.nas.law_grid import Point
from allometry.nas.law_ranking import LawRanking, extrapolate, rank_laws
from allometry.nas.law_trials import GridTrainingResult, correct_matrix, trained_macs
from allometry.runs import Finalist, FitResult, Interval, LawTrialRecord, SizeAccuracy
from allometry.runs.files import COSTS, LAW, LAW_TRIALS, NETWORK
from allometry.scaling import ScalingLaw
from allometry.training.session import Session

_AHEAD = (2, 4, 8)  # times the MACs of the fitted step, that the outlook goes to
_LIKELY = 0.05  # a law that is the best in so many of the resamples may be the best


def fitted_result(
    session: Session,
    setup: FitSetup,
    first: Sequence[GridTrainingResult],
    judged: Mapping[int, Sequence[GridTrainingResult]],
    base: Sequence[GridTrainingResult],
) -> FitResult:
    """Choose the law, write it and all trainings down, and give the fit's result.

    Args:
        session: of the fit.
        setup: the grid.
        first: the first round of all laws, in their order.
        judged: the trainings of the finalists, by the number of their law.
        base: those of the baseline.

    Raises:
        SearchError: the trainings of all finalists diverged.
    """
    folder, points = session.run.path, setup.points
    if all(training.diverged for results in judged.values() for training in results):
        raise SearchError(
            "The trainings of all finalists diverged; try a lower learning rate (--set learning_rate=...), stronger "
            "clipping (--set clip=1) or float32."
        )
    images = len(setup.images.dataset.splits["val"])
    correct = {str(place): correct_matrix(results, images) for place, results in judged.items()}
    rankings = {int(place): ranking for place, ranking in rank_laws(correct, seed=session.seed).items()}
    chosen = max(judged, key=lambda place: (rankings[place].accuracy, -_loss(judged[place])))
    point = points[chosen]
    point.law.save(folder / LAW)
    save(point.network, folder / NETWORK)
    sizes = [
        (float(count(setup.baseline).macs), correct_matrix(base, images)),
        (float(point.cost.macs), correct[str(chosen)]),
    ]
    ahead = extrapolate(sizes, [factor * point.cost.macs for factor in _AHEAD], seed=session.seed)
    LAW_TRIALS.write(folder, _trial_records(setup, first, chosen))
    for kept in (folder / "trials").glob("*/checkpoints"):
        shutil.rmtree(kept, ignore_errors=True)
    spent = [entry for entry in COSTS.read(folder) if entry.phase == "fit"]
    full = (
        setup.full_epochs
        * len(setup.images.dataset.splits["train"])
        * sum(point.cost.macs for point in points)
    )
    return FitResult(
        data=setup.images.dataset.name,
        network=setup.baseline.name,
        cost=count(setup.baseline),
        law=point.law,
        likely=_likely([points[place].law for place, ranking in rankings.items() if ranking.best >= _LIKELY]),
        epochs=setup.trial_config.epochs,
        finalists=tuple(
            _finalist(points[place], ranking, len(judged[place])) for place, ranking in rankings.items()
        ),
        sizes=tuple(SizeAccuracy(macs=macs, accuracy=float(correct.mean())) for macs, correct in sizes),
        forecast=tuple(
            SizeAccuracy(macs=size.macs, accuracy=size.accuracy, interval=size.interval) for size in ahead
        ),
        laws=len(points),
        training_seconds=round(sum(entry.seconds for entry in spent), 1),
        training_images=sum(entry.images for entry in spent),
        fraction_of_full=trained_macs(folder) / full,
    )


def _likely(laws: Sequence[ScalingLaw]) -> dict[str, Interval]:
    """Between what the coefficients of these laws lie."""
    names = ("alpha", "beta", "gamma")
    coefficients = {name: [float(getattr(law, name)) for law in laws] for name in names}
    return {name: (min(values), max(values)) for name, values in coefficients.items()}


def _loss(results: Sequence[GridTrainingResult]) -> float:
    return sum(result.loss for result in results) / len(results)


def _finalist(point: Point, ranking: LawRanking, seeds: int) -> Finalist:
    return Finalist(
        law=point.law,
        macs=point.cost.macs,
        params=point.cost.params,
        resolution=point.network.resolution,
        seeds=seeds,
        accuracy=ranking.accuracy,
        interval=ranking.interval,
        best=ranking.best,
        behind=ranking.behind,
    )


def _trial_records(setup: FitSetup, first: Sequence[GridTrainingResult], chosen: int) -> list[LawTrialRecord]:
    """The first round, in which all laws were trained alike, as the report shows it."""
    return [
        LawTrialRecord(
            name=str(point.law),
            kind="grid",
            law=point.law,
            network=digest(point.network),
            resolution=point.network.resolution,
            macs=point.cost.macs,
            params=point.cost.params,
            epochs=result.epochs,
            accuracy=result.accuracy,
            loss=result.loss,
            seconds=result.seconds,
            images=result.images,
            chosen=place == chosen,
        )
        for place, (point, result) in enumerate(zip(setup.points, first, strict=True))
    ]
