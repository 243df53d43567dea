"""What a fit has found: the law, how sure it is, and what more MACs would buy."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from allometry.arch import digest, save
from allometry.base import SearchError
from allometry.base.files import read_lines, write_json, write_lines
from allometry.cost import count
from allometry.nas.fit_setup import FitSetup
from allometry.nas.law_grid import Point
from allometry.nas.law_ranking import Extrapolation, LawRanking, extrapolate, rank_laws
from allometry.nas.law_trials import GridTrainingResult, correct_matrix, trained_macs
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
) -> dict[str, Any]:
    """Choose the law, write it and all trainings down, and give the figures of the fit.

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
    if all(each.diverged for results in judged.values() for each in results):
        raise SearchError(
            "The trainings of all finalists diverged; try a lower learning rate (--set learning_rate=...), stronger "
            "clipping (--set clip=1) or float32."
        )
    images = len(setup.images.dataset.splits["val"])
    right = {str(place): correct_matrix(results, images) for place, results in judged.items()}
    found = {int(place): each for place, each in rank_laws(right, seed=session.seed).items()}
    chosen = max(judged, key=lambda place: (found[place].accuracy, -_loss(judged[place])))
    point = points[chosen]
    point.law.save(folder / "law.json")
    save(point.network, folder / "network.json")
    sizes = [
        (float(count(setup.baseline).macs), correct_matrix(base, images)),
        (float(point.cost.macs), right[str(chosen)]),
    ]
    ahead = extrapolate(sizes, [factor * point.cost.macs for factor in _AHEAD], seed=session.seed)
    fitted = {
        "law": point.law.to_dict(),
        "likely": _likely([points[place].law for place, each in found.items() if each.best >= _LIKELY]),
        "epochs": setup.trial_config.epochs,
        "finalists": [_finalist(points[place], each, len(judged[place])) for place, each in found.items()],
        "sizes": [{"macs": macs, "accuracy": float(each.mean())} for macs, each in sizes],
        "outlook": [_ahead(each) for each in ahead],
    }
    write_json(folder / "fit.json", fitted)
    write_lines(folder / "trials.jsonl", _trial_lines(setup, first, chosen))
    for kept in (folder / "trials").glob("*/checkpoints"):
        shutil.rmtree(kept, ignore_errors=True)
    spent = [line for line in read_lines(folder / "costs.jsonl") if line["phase"] == "fit"]
    full = (
        setup.full_epochs * len(setup.images.dataset.splits["train"]) * sum(each.cost.macs for each in points)
    )
    return {
        "data": setup.images.dataset.name,
        "network": setup.baseline.name,
        **count(setup.baseline).to_dict(),
        **fitted,
        "laws": len(points),
        "training_seconds": round(sum(line["seconds"] for line in spent), 1),
        "training_images": sum(line["images"] for line in spent),
        "share_of_full": trained_macs(folder) / full,
    }


def _likely(laws: Sequence[ScalingLaw]) -> dict[str, list[float]]:
    """Between what the coefficients of these laws lie."""
    names = ("alpha", "beta", "gamma")
    found = {name: [float(getattr(law, name)) for law in laws] for name in names}
    return {name: [min(values), max(values)] for name, values in found.items()}


def _loss(results: Sequence[GridTrainingResult]) -> float:
    return sum(result.loss for result in results) / len(results)


def _finalist(point: Point, standing: LawRanking, seeds: int) -> dict[str, Any]:
    return {
        "law": point.law.to_dict(),
        "macs": point.cost.macs,
        "params": point.cost.params,
        "resolution": point.network.resolution,
        "seeds": seeds,
        "accuracy": standing.accuracy,
        "interval": list(standing.interval),
        "best": standing.best,
        "behind": list(standing.behind),
    }


def _ahead(each: Extrapolation) -> dict[str, Any]:
    return {"macs": each.macs, "accuracy": each.accuracy, "interval": list(each.interval)}


def _trial_lines(setup: FitSetup, first: Sequence[GridTrainingResult], chosen: int) -> list[dict[str, Any]]:
    """The first round, in which all laws were trained alike, as the report shows it."""
    return [
        {
            "name": str(point.law),
            "kind": "grid",
            "law": point.law.to_dict(),
            "network": digest(point.network),
            "resolution": point.network.resolution,
            "macs": point.cost.macs,
            "params": point.cost.params,
            "epochs": result.epochs,
            "accuracy": result.accuracy,
            "loss": result.loss,
            "seconds": result.seconds,
            "images": result.images,
            "chosen": place == chosen,
        }
        for place, (point, result) in enumerate(zip(setup.points, first, strict=True))
    ]
