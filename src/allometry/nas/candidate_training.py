"""One trial of a search: a short training, stopped early where others of its age were better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from allometry.arch import from_json, to_json
from allometry.base import NonFiniteLossError, OutOfMemoryError, Progress, SilentProgress
from allometry.base.errors import Stopped
from allometry.base.files import read_lines
from allometry.nas.objective import Objective
from allometry.nas.trial_setup import TrialConfig, threads, trial_job
from allometry.nas.trials import Halving, TrialCandidate, TrialOutcome
from allometry.training import Job, train
from allometry.training.forecast import seconds_per_image
from allometry.training.images import Images


def candidate_to_dict(candidate: TrialCandidate) -> dict[str, Any]:
    """A candidate as JSON-ready values, for another process."""
    return {
        "number": candidate.number,
        "network": to_json(candidate.network),
        "figures": dict(candidate.figures),
        "bars": candidate.bars,
    }


def candidate_from_dict(fields: Mapping[str, Any]) -> TrialCandidate:
    """Read what `candidate_to_dict` gave."""
    bars = tuple(tuple(tuple(values) for values in rung) for rung in fields["bars"])
    return TrialCandidate(
        number=fields["number"],
        network=from_json(fields["network"]),
        figures=fields["figures"],
        bars=bars,
    )


def try_candidate(
    candidate: TrialCandidate,
    images: Images,
    settings: TrialConfig,
    *,
    folder: Path,
    progress: Progress = SilentProgress(),
    should_stop: Callable[[], bool] = lambda: False,
) -> TrialOutcome:
    """Train a candidate briefly, and say what came of it; what diverges or does not fit is worth nothing.

    Args:
        candidate: what is tried.
        images: to learn from and to be judged on: the validation split.
        settings: of all trials.
        folder: of the search; a trial that was stopped by a kill goes on there.
        progress: is told how it goes.
        should_stop: True stops the training at a checkpoint.

    Raises:
        Stopped: `should_stop` asked for it.
    """
    objectives = [Objective(text) for text in settings.objectives]
    job = trial_job(candidate.network, images, settings, folder=folder, progress=progress)
    job = replace(job, label=f"trial {candidate.number}")
    figures = dict(candidate.figures)
    if any("step_time" in objective.measures for objective in objectives):
        figures["step_time"] = _step_time(job)

    def worth(record: Mapping[str, Any]) -> tuple[float, ...]:
        known = {**figures, "accuracy": record["val_accuracy"], "loss": record["val_loss"]}
        return tuple(float(objective(known)) for objective in objectives)

    climb = _Climb(settings.halving, candidate.bars, worth)
    history = read_lines(job.folder / "metrics.jsonl")
    for record in history:
        climb.record(record)
    # Of a trial that came to its end before its weights are gone, but its figures are all here.
    if not climb.over and len(history) < job.recipe.epochs:
        watched = replace(job, recorded=climb.record, should_stop=lambda: climb.over or should_stop())
        try:
            with threads(settings.threads):
                train(watched)
        except Stopped:
            if not climb.over:
                raise
        except (NonFiniteLossError, OutOfMemoryError) as error:
            return TrialOutcome(figures=figures, failed=str(error))
    return _outcome(job, figures, climb)


class _Climb:
    """A training from rung to rung."""

    def __init__(
        self,
        halving: Halving,
        bars: Sequence[Sequence[tuple[float, ...]]],
        worth: Callable[[Mapping[str, Any]], tuple[float, ...]],
    ) -> None:
        self._halving, self._bars, self._worth = halving, bars, worth
        self.rungs: list[tuple[float, ...]] = []
        self.over = False

    def record(self, record: Mapping[str, Any]) -> None:
        """An epoch has ended."""
        place = len(self.rungs)
        rungs = self._halving.rungs
        if self.over or place == len(rungs) or record["epoch"] != rungs[place]:
            return
        values = self._worth(record)
        self.rungs.append(values)
        before = self._bars[place] if place < len(self._bars) else ()
        self.over = record["epoch"] < record["epochs"] and self._halving.stops(values, before)


def _outcome(job: Job, figures: Mapping[str, float], climb: _Climb) -> TrialOutcome:
    history = read_lines(job.folder / "metrics.jsonl")
    last = history[-1]
    return TrialOutcome(
        figures={**figures, "accuracy": last["val_accuracy"], "loss": last["val_loss"]},
        epochs=len(history),
        seconds=sum(record["seconds"] for record in history),
        images=sum(record["images"] for record in history),
        rungs=tuple(climb.rungs),
        stopped=climb.over,
    )


def _step_time(job: Job) -> float:
    """Seconds of a training step here."""
    per_image = seconds_per_image(
        job.recipe.applied_to(job.network),
        job.recipe,
        resolution=job.network.resolution,
        images=job.recipe.batch_size,
        device=job.device,
    )
    return per_image * job.recipe.batch_size
