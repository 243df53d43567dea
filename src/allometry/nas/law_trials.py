"""The trainings of a fit: networks of its grid, each with several seeds; none is done twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np

from allometry.arch import Network, digest
from allometry.base import NonFiniteLossError, Progress, RunFolderError, SilentProgress
from allometry.base.decoding import Amount, Count
from allometry.base.files import append_line, read_lines
from allometry.cost import count
from allometry.nas.law_ranking import CorrectMatrix, read_correct, write_correct
from allometry.nas.trial_training import TrialConfig, threads, trial_job
from allometry.runs import EpochMetrics
from allometry.runs.files import METRICS
from allometry.runs.values import FLAT, Record, Share
from allometry.training import Predictions, predict, train
from allometry.training.images import Images

_HOPELESS = 1e9  # the loss of a training that diverged, for ranking


@dataclass(frozen=True, slots=True, kw_only=True)
class GridTraining:
    """A network whose short training is wanted.

    Attributes:
        network: what is trained.
        seed: of its training.
    """

    network: Network
    seed: int

    @property
    def label(self) -> str:
        """What people know it as."""
        return f"{self.network.name or 'baseline'}, seed {self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GridTrainingResult(Record):
    """What came of it.

    Attributes:
        accuracy: on the validation images, 0 to 1.
        loss: on the validation images.
        epochs: that were trained.
        seconds: that they took.
        images: training images seen.
        correct: which validation images were correct, as hexadecimal digits of packed bits; of images with several
            labels, what each adds to the mean average precision, of 32-bit numbers.
        diverged: the loss became infinite or not a number: nothing was correct.
    """

    accuracy: Share
    loss: float
    epochs: Count
    seconds: Amount
    images: Count
    correct: str
    diverged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line(Record):
    """A training and what came of it, as `trainings.jsonl` has it."""

    key: str
    macs: Count
    result: Annotated[GridTrainingResult, FLAT]


def run_grid_training(
    training: GridTraining,
    images: Images,
    settings: TrialConfig,
    *,
    folder: Path,
    progress: Progress = SilentProgress(),
    should_stop: Callable[[], bool] = lambda: False,
) -> GridTrainingResult:
    """Train a network of a grid, and judge it image by image.

    Args:
        training: what is trained.
        images: to learn from, and to be judged on: the validation split.
        settings: of all trainings; their seed is the training's own.
        folder: of the grid; what stopped goes on there.
        progress: is told how it goes.
        should_stop: True stops the training at a checkpoint.

    Raises:
        Stopped: `should_stop` asked for it.
        OutOfMemoryError: a step did not fit into the memory.
    """
    job = trial_job(
        training.network, images, replace(settings, seed=training.seed), folder=folder, progress=progress
    )
    job = replace(job, label=training.label, should_stop=should_stop)
    val = images.dataset.splits["val"]
    try:
        with threads(settings.threads):
            trained = train(job)
            predictions = predict(trained.module, val, preprocessing=job.preprocessing, device=job.device)
    except NonFiniteLossError:
        return _diverged(METRICS.read(job.folder), len(val))
    history = trained.history
    return GridTrainingResult(
        accuracy=history[-1].val_accuracy,
        loss=history[-1].val_loss,
        epochs=len(history),
        seconds=sum(record.seconds for record in history),
        images=sum(record.images for record in history),
        correct=correct_text(predictions),
    )


def _diverged(history: Sequence[EpochMetrics], number: int) -> GridTrainingResult:
    """A training that came to nothing, which one of many may."""
    return GridTrainingResult(
        accuracy=0.0,
        loss=_HOPELESS,
        epochs=len(history),
        seconds=sum(record.seconds for record in history),
        images=sum(record.images for record in history),
        correct=write_correct(np.zeros(number, bool)),
        diverged=True,
    )


def correct_text(predictions: Predictions) -> str:
    """What each image adds to the accuracy, as `write_correct` has it."""
    return write_correct(predictions.image_scores if predictions.multi_label else predictions.correct)


FILE = "trainings.jsonl"


class Trainer(Protocol):
    """Trains networks, here or elsewhere."""

    slots: int

    def train(self, training: GridTraining) -> Future[GridTrainingResult]:
        """Begin with one."""


@dataclass(frozen=True, slots=True)
class Trainings:
    """Trainings that are remembered: none is done twice, also by a later process.

    Attributes:
        trainer: does them.
        folder: of the fit; a line for each training in its `trainings.jsonl`.
        record_cost: told of what each training took: a name, seconds, images.
        progress: is told how far it is.
    """

    trainer: Trainer
    folder: Path
    record_cost: Callable[[str, float, int], None]
    progress: Progress

    def __call__(self, trainings: Sequence[GridTraining], *, label: str) -> list[GridTrainingResult]:
        """Train these, and give the results in their order.

        Raises:
            Stopped: the user asked for it.
            AllometryError: one of them could not be trained.
        """
        known = self._known()
        for training in trainings:
            if (
                _key(training) in known
            ):  # a kill may have come before it was charged; nothing is charged twice
                self._record_cost(training, known)
        left = [training for training in dict.fromkeys(trainings) if _key(training) not in known]
        show = self.trainer.slots > 1
        if show:
            self.progress.start(label, len(trainings), len(trainings) - len(left), unit="trainings")
        try:
            futures: dict[Future[GridTrainingResult], GridTraining] = {}
            for training in left:
                future = self.trainer.train(training)
                futures[future] = training
                if future.done():  # one after the other, in this process: written down at once
                    self._keep(futures.pop(future), future.result(), known)
            for future in as_completed(futures):
                self._keep(futures[future], future.result(), known)
                if show:
                    self.progress.advance(1)
        finally:
            if show:
                self.progress.stop()
        return [known[_key(training)] for training in trainings]

    def _keep(
        self, training: GridTraining, result: GridTrainingResult, known: dict[str, GridTrainingResult]
    ) -> None:
        key = _key(training)
        line = _Line(key=key, macs=count(training.network).macs, result=result)
        append_line(self.folder / FILE, line.to_dict())
        known[key] = result
        self._record_cost(training, known)

    def _record_cost(self, training: GridTraining, known: dict[str, GridTrainingResult]) -> None:
        result = known[_key(training)]
        self.record_cost(training.label, result.seconds, result.images)

    def _known(self) -> dict[str, GridTrainingResult]:
        return {line.key: line.result for line in _lines(self.folder)}


def grid_trainings(networks: Sequence[Network], seeds: Sequence[int]) -> list[GridTraining]:
    """Each network with each seed.

    Example:
        >>> from allometry.catalog import get
        >>> len(grid_trainings([get("efficientnet-b0")], [0, 1]))
        2
    """
    return [GridTraining(network=network, seed=seed) for network in networks for seed in seeds]


def correct_matrix(results: Sequence[GridTrainingResult], images: int) -> CorrectMatrix:
    """What each image adds to the accuracy of each of these, [trainings, images]: 1 where it was correct, else 0."""
    return np.stack([read_correct(result.correct, images, FILE) for result in results])


def _lines(folder: Path) -> list[_Line]:
    """The trainings of a fit.

    Raises:
        RunFolderError: a line is damaged.
    """
    lines = []
    for number, plain in enumerate(read_lines(folder / FILE), start=1):
        try:
            lines.append(_Line.from_dict(plain))
        except RunFolderError as error:
            raise RunFolderError(f"{folder / FILE} is damaged in line {number}: {error}") from error
    return lines


def trained_macs(folder: Path) -> float:
    """MACs of all passes over images in the trainings of a fit."""
    return float(sum(line.result.images * line.macs for line in _lines(folder)))


def _key(training: GridTraining) -> str:
    return f"{digest(training.network)[:16]} {training.seed}"
