"""One trial of a search: a short training, stopped early where others of its age were better."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from allometry.arch import Network, digest, from_json, to_json
from allometry.base import NonFiniteLossError, OutOfMemoryError, Progress, SilentProgress
from allometry.base.errors import Stopped
from allometry.base.files import read_lines
from allometry.data import looks_drawn, normalisation, open_data
from allometry.pipeline.common import Images
from allometry.pipeline.devices import find_device
from allometry.pipeline.forecast import seconds_per_image
from allometry.search import Candidate, Halving, Objective, Outcome
from allometry.train import Job, Recipe, at_full_size, predict, small, train

TRIAL_SHARE = 8  # a trial has an eighth of a full training's epochs
FEWEST_EPOCHS = 2
_HOPELESS = 1e9  # the loss of a training that diverged, for ranking


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSettings:
    """What all trials of a search share; whoever has it and the images comes to the same results.

    Attributes:
        data: the images, as `open_data` takes them.
        seed: of weights, order and augmentation.
        device: a name, or None for a GPU if there is one.
        settings: changes to the recipe.
        epochs: of a trial that is not stopped; 0 for an eighth of a full training's.
        objectives: as they are written.
        halving: when a trial is stopped.
        threads: of a trial's arithmetic.
    """

    data: str
    seed: int
    device: str | None
    settings: tuple[str, ...]
    epochs: int
    objectives: tuple[str, ...]
    halving: Halving
    threads: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TrialSettings:
        """Read what `to_dict` gave."""
        halving = Halving(**{**fields["halving"], "rungs": tuple(fields["halving"]["rungs"])})
        lists = {name: tuple(fields[name]) for name in ("settings", "objectives")}
        return cls(**{**fields, **lists, "halving": halving})


def candidate_to_dict(candidate: Candidate) -> dict[str, Any]:
    """A candidate as JSON-ready values, for another process."""
    return {
        "number": candidate.number,
        "network": to_json(candidate.network),
        "figures": dict(candidate.figures),
        "bars": candidate.bars,
    }


def candidate_from_dict(fields: Mapping[str, Any]) -> Candidate:
    """Read what `candidate_to_dict` gave."""
    bars = tuple(tuple(tuple(values) for values in rung) for rung in fields["bars"])
    return Candidate(
        number=fields["number"],
        network=from_json(fields["network"]),
        figures=fields["figures"],
        bars=bars,
    )


def open_images(data: str, *, seed: int, progress: Progress = SilentProgress()) -> Images:
    """The images, with what is found out about their pixels."""
    dataset = open_data(data, seed=seed, progress=progress)
    return Images(dataset, normalisation(dataset), looks_drawn(dataset))


def trial_recipe(images: Images, network: Network, settings: Sequence[str], epochs: int = 0) -> Recipe:
    """The recipe of a short training.

    Trials see images of their full size throughout: smaller ones would favour networks that need fewer pixels.

    Args:
        images: to learn from.
        network: what is trained.
        settings: changes to the recipe.
        epochs: 0 for an eighth of a full training's, two at least.
    """
    recipe = images.recipe(small, network, settings)
    short = epochs or max(FEWEST_EPOCHS, round(recipe.epochs / TRIAL_SHARE))
    return at_full_size(replace(recipe, epochs=short, head_epochs=0))


def trial_folder(folder: Path, network: Network, seed: int) -> Path:
    """Where a trial is trained, below the folder of its search."""
    return folder / "trials" / f"{digest(network)[:12]}-{seed}"


def try_candidate(
    candidate: Candidate,
    images: Images,
    settings: TrialSettings,
    *,
    folder: Path,
    progress: Progress = SilentProgress(),
    stopping: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train a candidate briefly, and say what came of it; what diverges or does not fit is worth nothing.

    Args:
        candidate: what is tried.
        images: to learn from and to be judged on: the validation split.
        settings: of all trials.
        folder: of the search; a trial that was stopped by a kill goes on there.
        progress: is told how it goes.
        stopping: True stops the training at a checkpoint.

    Raises:
        Stopped: `stopping` asked for it.
    """
    objectives = [Objective(text) for text in settings.objectives]
    job = _job(candidate.network, images, settings, folder=folder, progress=progress)
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
        watched = replace(job, recorded=climb.record, stopping=lambda: climb.over or stopping())
        try:
            with threads(settings.threads):
                train(watched)
        except Stopped:
            if not climb.over:
                raise
        except (NonFiniteLossError, OutOfMemoryError) as error:
            return Outcome(figures=figures, failed=str(error))
    return _outcome(job, figures, climb)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A network whose short training is wanted, whole or up to an epoch.

    Attributes:
        network: what is trained.
        seed: of its training.
        until: epochs; the training goes on from there when more are wanted.
    """

    network: Network
    seed: int
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """What came of it so far.

    Attributes:
        accuracy: on the validation images, 0 to 1.
        loss: on the validation images.
        epochs: that were trained.
        seconds: that they took.
        images: training images seen.
        right: once the training is over, which validation images were right, as hexadecimal digits of packed bits.
        diverged: the loss became infinite or not a number: nothing was right.
    """

    accuracy: float
    loss: float
    epochs: int
    seconds: float
    images: int
    right: str = ""
    diverged: bool = False


def train_arm(
    arm: Arm,
    images: Images,
    settings: TrialSettings,
    *,
    folder: Path,
    progress: Progress = SilentProgress(),
    stopping: Callable[[], bool] = lambda: False,
) -> ArmResult:
    """Train a network of a grid up to an epoch, or to the end, where it is judged image by image.

    Args:
        arm: what is trained, and how far.
        images: to learn from, and to be judged on: the validation split.
        settings: of all trainings; their seed is the arm's own.
        folder: of the grid; what stopped goes on there.
        progress: is told how it goes.
        stopping: True stops the training at a checkpoint.

    Raises:
        Stopped: `stopping` asked for it.
        OutOfMemoryError: a step did not fit into the memory.
    """
    job = _job(arm.network, images, replace(settings, seed=arm.seed), folder=folder, progress=progress)
    job = replace(job, label=f"{arm.network.name}, seed {arm.seed}")
    metrics = job.folder / "metrics.jsonl"
    whole = arm.until >= job.recipe.epochs
    far = len(read_lines(metrics)) >= arm.until

    def reached(record: Mapping[str, Any]) -> None:
        nonlocal far
        far = record["epoch"] >= arm.until

    right = ""
    if whole or not far:
        try:
            with threads(settings.threads):
                watched = replace(job, recorded=reached, stopping=lambda: (far and not whole) or stopping())
                trained = train(watched)
                said = predict(
                    trained.module,
                    images.dataset.splits["val"],
                    preprocessing=job.preprocessing,
                    device=job.device,
                )
            right = np.packbits(said.probabilities.argmax(1) == said.labels).tobytes().hex()
        except Stopped:
            if not far or whole:
                raise
        except NonFiniteLossError:
            return _diverged(read_lines(metrics), len(images.dataset.splits["val"]))
    history = read_lines(metrics)[: arm.until]
    return ArmResult(
        accuracy=history[-1]["val_accuracy"],
        loss=history[-1]["val_loss"],
        epochs=len(history),
        seconds=sum(record["seconds"] for record in history),
        images=sum(record["images"] for record in history),
        right=right,
    )


def _diverged(history: Sequence[Mapping[str, Any]], number: int) -> ArmResult:
    """A training that came to nothing, which one of many may."""
    return ArmResult(
        accuracy=0.0,
        loss=_HOPELESS,
        epochs=len(history),
        seconds=sum(record["seconds"] for record in history),
        images=sum(record["images"] for record in history),
        right=np.packbits(np.zeros(number, bool)).tobytes().hex(),
        diverged=True,
    )


def answer(
    request: Mapping[str, Any],
    images: Images,
    settings: TrialSettings,
    *,
    progress: Progress = SilentProgress(),
    stopping: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Do what is asked for, in this process or another: try a candidate, or train a network of a grid.

    Raises:
        Stopped: `stopping` asked for it.
        AllometryError: a network of a grid could not be trained.
    """
    how: dict[str, Any] = {"folder": Path(request["folder"]), "progress": progress, "stopping": stopping}
    if "candidate" in request:
        candidate = candidate_from_dict(request["candidate"])
        return {"outcome": try_candidate(candidate, images, settings, **how).to_dict()}
    arm = Arm(**{**request["arm"], "network": from_json(request["arm"]["network"])})
    return {"arm": asdict(train_arm(arm, images, settings, **how))}


def _job(
    network: Network, images: Images, settings: TrialSettings, *, folder: Path, progress: Progress
) -> Job:
    recipe = trial_recipe(images, network, settings.settings, settings.epochs)
    return Job(
        network=network,
        dataset=images.dataset,
        preprocessing=images.preprocessing(network, recipe),
        recipe=recipe,
        folder=trial_folder(folder, network, settings.seed),
        seed=settings.seed,
        device=find_device(settings.device),
        progress=progress,
    )


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


def _outcome(job: Job, figures: Mapping[str, float], climb: _Climb) -> Outcome:
    history = read_lines(job.folder / "metrics.jsonl")
    last = history[-1]
    return Outcome(
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


@contextmanager
def threads(number: int) -> Iterator[None]:
    """With so many threads for torch's arithmetic."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
