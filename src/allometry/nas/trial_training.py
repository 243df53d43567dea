"""The short trainings of a search: what they share, and one trial, that may end early at a rung."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from allometry.arch import Network, digest, from_json, to_json
from allometry.base import NonFiniteLossError, OutOfMemoryError, Progress, SilentProgress
from allometry.base.errors import Stopped
from allometry.nas.objectives import Objective
from allometry.nas.trials import Halving, TrialCandidate, TrialOutcome
from allometry.runs import EpochMetrics
from allometry.training import FINAL, ClassificationJob, Recipe, at_full_size, small, train
from allometry.training.callbacks.base import Callback, EpochEnd
from allometry.training.devices import resolve_device
from allometry.training.forecast import seconds_per_image
from allometry.training.history import recorded_history
from allometry.training.images import Images
from allometry.training.recipes.settings import Setting, setting_texts

TRIAL_SHARE = 8  # a trial has an eighth of a full training's epochs
FEWEST_EPOCHS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialConfig:
    """What all trials of a search share; whoever has it and the images comes to the same results.

    Attributes:
        data: the images, as `open_data` takes them.
        seed: of weights, order and augmentation.
        device: a name, or None for a GPU if there is one.
        settings: changes to the recipe.
        epochs: of a trial that is not stopped.
        objectives: as they are written.
        halving: when a trial is stopped.
        threads: of a trial's arithmetic.
    """

    data: str
    seed: int
    device: str | None
    settings: tuple[Setting, ...]
    epochs: int
    objectives: tuple[str, ...]
    halving: Halving
    threads: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values; a loss by its name."""
        return {**asdict(replace(self, settings=())), "settings": tuple(setting_texts(self.settings))}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TrialConfig:
        """Read what `to_dict` gave."""
        halving = Halving(**{**fields["halving"], "rungs": tuple(fields["halving"]["rungs"])})
        lists = {name: tuple(fields[name]) for name in ("settings", "objectives")}
        return cls(**{**fields, **lists, "halving": halving})


def trial_recipe(
    images: Images, network: Network, settings: Sequence[Setting], epochs: int | None = None
) -> Recipe:
    """The recipe of a short training.

    Trials see images of their full size throughout: smaller ones would favor networks that need fewer pixels.

    Args:
        images: to learn from.
        network: what is trained.
        settings: changes to the recipe.
        epochs: None for an eighth of a full training's, two at least.
    """
    recipe = images.recipe(small, network, settings)
    short = epochs or max(FEWEST_EPOCHS, round(recipe.epochs / TRIAL_SHARE))
    return at_full_size(replace(recipe, epochs=short, head_epochs=0))


def trial_folder(folder: Path, network: Network, seed: int) -> Path:
    """Where a trial is trained, below the folder of its search."""
    return folder / "trials" / f"{digest(network)[:12]}-{seed}"


def trial_job(
    network: Network, images: Images, settings: TrialConfig, *, folder: Path, progress: Progress
) -> ClassificationJob:
    """The training of a network with the settings that all trials share.

    Args:
        network: what is trained.
        images: to learn from, and to be judged on: the validation split.
        settings: of all trials.
        folder: of their search.
        progress: is told how it goes.
    """
    recipe = trial_recipe(images, network, settings.settings, settings.epochs)
    return ClassificationJob(
        network=network,
        dataset=images.dataset,
        preprocessing=images.preprocessing(network, recipe),
        recipe=recipe,
        folder=trial_folder(folder, network, settings.seed),
        seed=settings.seed,
        device=resolve_device(settings.device),
        progress=progress,
    )


def epochs_of(job: ClassificationJob) -> tuple[EpochMetrics, ...]:
    """The epochs of a trial so far, whether it is finished or not.

    Raises:
        RunFolderError: its files are damaged.
    """
    final = job.folder / "checkpoints" / FINAL
    return recorded_history(job.folder, EpochMetrics, final=final, label=job.label, say=job.progress.say)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """With so many threads for torch's arithmetic."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def candidate_to_dict(candidate: TrialCandidate) -> dict[str, Any]:
    """A candidate as JSON-ready values, for another process."""
    return {
        "number": candidate.number,
        "network": to_json(candidate.network),
        "metrics": dict(candidate.metrics),
        "rung_values": candidate.rung_values,
    }


def candidate_from_dict(fields: Mapping[str, Any]) -> TrialCandidate:
    """Read what `candidate_to_dict` gave."""
    rung_values = tuple(tuple(tuple(values) for values in rung) for rung in fields["rung_values"])
    return TrialCandidate(
        number=fields["number"],
        network=from_json(fields["network"]),
        metrics=fields["metrics"],
        rung_values=rung_values,
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
    metrics = dict(candidate.metrics)
    if any("step_time" in objective.measures for objective in objectives):
        metrics["step_time"] = _step_time(job)

    def objective_values(record: EpochMetrics) -> tuple[float, ...]:
        known = {**metrics, "accuracy": record.val_accuracy, "loss": record.val_loss}
        return tuple(float(objective(known)) for objective in objectives)

    tracker = _RungTracker(settings.halving, candidate.rung_values, objective_values)
    for record in epochs_of(job):
        tracker.record(record)
    # Of a trial that came to its end before its weights are gone, but its figures are all here.
    if not tracker.over and len(tracker.history) < job.recipe.epochs:
        watched = replace(job, callbacks=(tracker,), should_stop=lambda: tracker.over or should_stop())
        try:
            with threads(settings.threads):
                train(watched)
        except Stopped:
            if not tracker.over:
                raise
        except (NonFiniteLossError, OutOfMemoryError) as error:
            return TrialOutcome(metrics=metrics, failed=str(error))
    return _outcome(metrics, tracker)


class _RungTracker(Callback):
    """A training from rung to rung."""

    def __init__(
        self,
        halving: Halving,
        rung_values: Sequence[Sequence[tuple[float, ...]]],
        objective_values: Callable[[EpochMetrics], tuple[float, ...]],
    ) -> None:
        self._halving, self._bars, self._objective_values = halving, rung_values, objective_values
        self._epochs: dict[int, EpochMetrics] = {}
        self.rungs: list[tuple[float, ...]] = []
        self.over = False

    @property
    def history(self) -> list[EpochMetrics]:
        """The epochs so far."""
        return [self._epochs[number] for number in sorted(self._epochs)]

    def on_epoch_end(self, epoch: EpochEnd) -> None:
        """An epoch has ended."""
        assert isinstance(epoch.record, EpochMetrics)  # noqa: S101
        self.record(epoch.record)

    def record(self, record: EpochMetrics) -> None:
        """An epoch has ended."""
        self._epochs[record.epoch] = record
        place = len(self.rungs)
        rungs = self._halving.rungs
        if self.over or place == len(rungs) or record.epoch != rungs[place]:
            return
        values = self._objective_values(record)
        self.rungs.append(values)
        before = self._bars[place] if place < len(self._bars) else ()
        self.over = record.epoch < record.epochs and self._halving.stops(values, before)


def _outcome(metrics: Mapping[str, float], tracker: _RungTracker) -> TrialOutcome:
    history = tracker.history
    last = history[-1]
    return TrialOutcome(
        metrics={**metrics, "accuracy": last.val_accuracy, "loss": last.val_loss},
        epochs=len(history),
        seconds=sum(record.seconds for record in history),
        images=sum(record.images for record in history),
        rungs=tuple(tracker.rungs),
        stopped=tracker.over,
    )


def _step_time(job: ClassificationJob) -> float:
    """Seconds of a training step here."""
    per_image = seconds_per_image(
        job.recipe.applied_to(job.network),
        job.recipe,
        resolution=job.network.resolution,
        images=job.recipe.batch_size,
        device=job.device,
    )
    return per_image * job.recipe.batch_size
