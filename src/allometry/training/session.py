"""One call of a verb in its run folder, by one process or several: what every phase needs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allometry.arch import Network
from allometry.base import Progress, RunFolderError, SilentProgress, Stopped
from allometry.data import (
    Dataset,
    Summary,
    as_dataset,
    data_argument,
    is_line_art,
    normalization,
    summarize,
    tell_oddities,
)
from allometry.runs import ClassSizes, DataSummary, RejectedFile
from allometry.runs.files import DATA
from allometry.runs.folder import RunFolder, open_run
from allometry.training.callbacks import Callback, as_callbacks
from allometry.training.classification import ClassificationJob
from allometry.training.devices import describe_device, resolve_device
from allometry.training.distillation import Teacher
from allometry.training.distributed import ALONE, DistContext, join, local_rank
from allometry.training.images import Images
from allometry.training.recipes.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One call of a command in its run folder: what every phase needs.

    Attributes:
        run: the folder.
        seed: of everything random.
        device: where the work runs.
        progress: is told how it goes.
        should_stop: says whether the user wants it to stop.
        dist: this process among those that train together.
        callbacks: are told of the training that the command is for.
    """

    run: RunFolder
    seed: int
    device: torch.device
    progress: Progress
    should_stop: Callable[[], bool]
    dist: DistContext = ALONE
    callbacks: tuple[Callback, ...] = ()

    def job(
        self,
        network: Network,
        images: Images,
        recipe: Recipe,
        *,
        folder: Path,
        label: str = "training",
        start: Mapping[str, Tensor] | None = None,
        teacher: Teacher | None = None,
        smaller: tuple[tuple[Network, int], ...] = (),
        watched: bool = True,
    ) -> ClassificationJob:
        """The training of `network` in `folder`; the callbacks are told of it where it is watched."""
        return ClassificationJob(
            network=network,
            dataset=images.dataset,
            preprocessing=images.preprocessing(network, recipe),
            recipe=recipe,
            folder=folder,
            seed=self.seed,
            device=self.device,
            start=start,
            teacher=teacher,
            smaller=smaller,
            dist=self.dist,
            label=label,
            progress=self.progress,
            should_stop=self.should_stop,
            callbacks=self.callbacks if watched else (),
        )

    def halt_if_requested(self) -> None:
        """Between two phases, do what the user asked while neither could.

        Raises:
            Stopped: the user wants it.
        """
        if self.should_stop():
            raise Stopped("Stopped between two phases; the same command goes on from there.")


@contextmanager
def open_session(
    folder: Path,
    *,
    command: str,
    arguments: Mapping[str, Any],
    seed: int,
    device: str | None,
    progress: Progress,
    should_stop: Callable[[], bool],
    dist: DistContext = ALONE,
    callbacks: Sequence[Callback | str] = (),
) -> Iterator[Session]:
    """Open the run folder of a command that trains, on a device by its name.

    Raises:
        InputError: no such device or callback.
        RunFolderError: the folder is in use or was made by another command.
        StorageError: the folder cannot be written.
    """
    place, watching = resolve_device(device), as_callbacks(callbacks)
    with open_run(
        folder,
        command=command,
        arguments={**arguments, "seed": seed},
        device=describe_device(place),
        seed=seed,
    ) as opened:
        yield Session(
            run=opened,
            seed=seed,
            device=place,
            progress=progress,
            should_stop=should_stop,
            dist=dist,
            callbacks=watching,
        )


def read_data(session: Session, data: Dataset | str) -> Images:
    """Open the data set that a name stands for, write its summary into the run folder, and tell what was left out.

    Raises:
        DataError: the data cannot be opened.
        RunFolderError: it has changed since something was trained on it in the folder.
    """
    dataset = as_dataset(data, seed=session.seed, progress=session.progress)
    summary = summarize(dataset)
    _refuse_changed(session, data, dataset, summary)
    DATA.write(session.run.path, _describe(dataset, summary))
    session.progress.say(f"data: {summary}")
    tell_oddities(dataset, session.progress, listed_in="data.json")
    return Images(dataset, normalization(dataset), is_line_art(dataset))


def _refuse_changed(session: Session, data: Dataset | str, dataset: Dataset, summary: Summary) -> None:
    """A training that goes on with other images would end with weights that nothing explains."""
    before = DATA.read(session.run.path) if session.run.begun else None
    if before is None or before.fingerprint == dataset.fingerprint:
        return
    counts, now = before.images, summary.images
    differing = [
        f"{counts.get(name, 0):,} are now {now[name]:,} in {name}"
        for name in now
        if counts.get(name) != now[name]
    ]
    difference = ", ".join(differing) or "as many as before, but not the same"
    raise RunFolderError(
        f"The images of {data_argument(data)} have changed since {session.run.path} was begun: {difference}. "
        "Bring the old ones back to go on, or give another folder with --out to train on these."
    )


def _describe(dataset: Dataset, summary: Summary) -> DataSummary:
    return DataSummary(
        name=summary.name,
        classes=dataset.classes,
        channels=summary.channels,
        image_size=summary.image_size,
        images=summary.images,
        per_class={name: ClassSizes(**sizes._asdict()) for name, sizes in summary.per_class.items()},
        rejected=tuple(RejectedFile(path=file.path, reason=file.reason) for file in dataset.rejected),
        fingerprint=dataset.fingerprint,
        multi_label=dataset.multi_label,
        remarks=dataset.remarks,
        grouped_by=dataset.grouped_by,
        groups={
            name: len(set(split.groups)) for name, split in dataset.splits.items() if split.groups is not None
        },
    )


@contextmanager
def open_joint_session(
    folder: Path,
    *,
    command: str,
    arguments: Mapping[str, Any],
    seed: int,
    device: str | None,
    progress: Progress,
    should_stop: Callable[[], bool],
    callbacks: Sequence[Callback | str] = (),
) -> Iterator[Session]:
    """Open the run folder of a command that several processes may carry out; only the first writes and tells.

    Raises:
        InputError: no such device, or `torchrun`'s variables are not whole.
        RunFolderError: the folder is in use or was made by another command.
        StorageError: the folder cannot be written.
    """
    place = resolve_device(device, local=local_rank())
    with (
        join(place) as dist,
        _own_folder(dist, folder) as own,
        open_session(
            own,
            command=command,
            arguments=arguments,
            seed=seed,
            device=str(place),
            progress=progress if dist.is_main else SilentProgress(),
            should_stop=should_stop,
            dist=dist,
            callbacks=callbacks,
        ) as session,
    ):
        yield session


def read_in_turn(session: Session, data: Dataset | str) -> Images:
    """The images; the leader reads first, so that the others find its index.

    Raises:
        DataError: the data cannot be opened.
        RunFolderError: it has changed since something was trained on it in the folder.
    """
    if not session.dist.is_main:
        session.dist.broadcast_object(None)
    images = read_data(session, data)
    if session.dist.is_main:
        session.dist.broadcast_object(None)
    return images


@contextmanager
def _own_folder(dist: DistContext, folder: Path) -> Iterator[Path]:
    """The run folder, or a passing one for a process that does not write."""
    if dist.is_main:
        yield folder
        return
    with tempfile.TemporaryDirectory() as passing:
        yield Path(passing) / folder.name
