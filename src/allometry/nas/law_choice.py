"""Which law a run goes by: the paper's, unless short trials of another say otherwise by more than their noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from allometry.arch import digest
from allometry.nas.law_grid import Point, distance_from_paper
from allometry.nas.law_ranking import (
    CorrectMatrix,
    Groups,
    LawDifference,
    law_difference,
    read_correct,
)
from allometry.runs import LawTrialRecord
from allometry.runs.files import LAW_TRIALS

WORTH_ANOTHER = 1.0
"""Standard errors that a law has to be ahead after one seed, to be tried with another."""
SURE = 2.0
"""Standard errors that it has to be ahead over both seeds, to be taken."""
_FILE = "trials.jsonl"


@dataclass(frozen=True, slots=True)
class LawTrial:
    """The result of one short training.

    Attributes:
        point: what was tried.
        seed: of the training.
        accuracy: on the validation images, 0 to 1.
        loss: on the validation images.
        epochs: of the short training.
        seconds: what it took.
        images: training images seen.
        correct: which validation images it had correct, as `write_correct` has it.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> from allometry.scaling import COMPOUND
        >>> b0 = get("efficientnet-b0")
        >>> trial = LawTrial(
        ...     Point(COMPOUND, b0, count(b0)), seed=0, accuracy=0.75, loss=0.7, epochs=4, seconds=60.0, images=4000,
        ...     correct="e0",
        ... )
        >>> trial.point.network.name
        'efficientnet-b0'
    """

    point: Point
    seed: int
    accuracy: float
    loss: float
    epochs: int
    seconds: float
    images: int
    correct: str


@dataclass(frozen=True, slots=True)
class LawChoice:
    """The law that a run goes by, and why.

    Attributes:
        point: the law with the network that was tried.
        trials: all that were trained.
        rival: the law furthest ahead of the paper's; None where there is no other.
        difference: how far that is ahead, over all its seeds.
        seeds: of its trials.
    """

    point: Point
    trials: tuple[LawTrial, ...]
    rival: Point | None = None
    difference: LawDifference | None = None
    seeds: int = 1

    @property
    def switched(self) -> bool:
        """Whether it is another law than the paper's."""
        return self.point is self.rival


def try_laws(
    points: Sequence[Point],
    run: Callable[[Point, int, Path], LawTrial],
    *,
    folder: Path,
    seeds: tuple[int, int],
    images: int,
    groups: Groups | None = None,
) -> LawChoice:
    """Try each law shortly, and keep the one nearest to the paper's unless another is better by more than the noise.

    All are trained with the first seed. If the one furthest ahead of the paper's, image by image, is so by more than
    one standard error, both are trained with the second seed, too; and if it is ahead by two standard errors over
    both, to which images and seeds add, it is taken. A finished trial is written to `folder/trials.jsonl` at once and
    not trained again.

    Args:
        points: the laws, each with its network; one at least.
        run: trains a network with a seed in the folder it is given.
        folder: of the whole run.
        seeds: of the trials.
        images: for validation.
        groups: of each of them, [images]; None for each on its own.

    Raises:
        RunFolderError: `trials.jsonl` is damaged.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> from allometry.nas.law_ranking import write_correct
        >>> from allometry.scaling import COMPOUND, WIDTH
        >>> points = [
        ...     Point(law, network, count(network))
        ...     for law, network in ((COMPOUND, get("efficientnet-b1")), (WIDTH, get("efficientnet-b2")))
        ... ]
        >>> def run(point, seed, folder):
        ...     correct = np.arange(400) % 10 < (8 if point.law == WIDTH else 6)
        ...     return LawTrial(point, seed, correct.mean(), 1.0, 4, 60.0, 4000, write_correct(correct))
        >>> with TemporaryDirectory() as folder:
        ...     choice = try_laws(points, run, folder=Path(folder), seeds=(0, 1), images=400)
        >>> choice.switched, len(choice.trials), round(choice.difference.ahead, 2)
        (True, 4, 0.2)
    """
    prior = min(points, key=lambda point: distance_from_paper(point.law))
    others = [point for point in points if point is not prior]
    trials = {(point, seeds[0]): _tried(point, seeds[0], run, folder) for point in points}

    def difference(point: Point, of: Sequence[int]) -> LawDifference:
        ours, theirs = (_matrix([trials[one, seed] for seed in of], images) for one in (point, prior))
        return law_difference(ours, theirs, groups=groups)

    first = {point: difference(point, seeds[:1]) for point in others}
    choice = LawChoice(prior, ())
    if first:
        rival = max(first, key=lambda point: first[point].ahead)
        choice = LawChoice(prior, (), rival, first[rival])
        if _is_ahead(first[rival], WORTH_ANOTHER):
            for point in (rival, prior):
                trials[point, seeds[1]] = _tried(point, seeds[1], run, folder)
            both = difference(rival, seeds)
            choice = LawChoice(rival if _is_ahead(both, SURE) else prior, (), rival, both, seeds=2)
    choice = replace(choice, trials=tuple(trials.values()))
    LAW_TRIALS.write(
        folder, [replace(_to_record(trial), chosen=trial.point is choice.point) for trial in choice.trials]
    )
    return choice


def _is_ahead(difference: LawDifference, times: float) -> bool:
    return difference.ahead > times * difference.noise


def _tried(point: Point, seed: int, run: Callable[[Point, int, Path], LawTrial], folder: Path) -> LawTrial:
    """The trial of a law, from the folder if it was finished before."""
    key = digest(point.network)
    for record in LAW_TRIALS.read(folder):
        if (record.network, record.seed) == (key, seed):
            return _from_record(point, seed, record)
    trial = run(point, seed, folder / "trials" / f"{key[:12]}-{seed}")
    LAW_TRIALS.append(folder, _to_record(trial))
    return trial


def _matrix(trials: Sequence[LawTrial], images: int) -> CorrectMatrix:
    return np.stack([read_correct(trial.correct, images, _FILE) for trial in trials])


def _to_record(trial: LawTrial) -> LawTrialRecord:
    law, network = trial.point.law, trial.point.network
    return LawTrialRecord(
        name=str(law),
        law=law,
        network=digest(network),
        resolution=network.resolution,
        macs=trial.point.cost.macs,
        params=trial.point.cost.params,
        seed=trial.seed,
        epochs=trial.epochs,
        accuracy=trial.accuracy,
        loss=trial.loss,
        seconds=trial.seconds,
        images=trial.images,
        correct=trial.correct,
    )


def _from_record(point: Point, seed: int, record: LawTrialRecord) -> LawTrial:
    return LawTrial(
        point,
        seed,
        record.accuracy,
        record.loss,
        record.epochs,
        record.seconds,
        record.images,
        record.correct,
    )
