"""Steps that every verb of a run folder shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allometry.arch import Network
from allometry.base import Progress, RunFolderError, Stopped
from allometry.base.files import read_json, write_json
from allometry.base.runs import RunFolder, open_run
from allometry.data import Dataset, Normalization, Summary, looks_drawn, normalization, open_data, summarize
from allometry.data.sources.naming import full_name, short_name
from allometry.pipeline.devices import describe_device, find_device
from allometry.report import write_report
from allometry.train import (
    ALONE,
    Job,
    Preprocessing,
    Ranks,
    Recipe,
    RecipeMaker,
    Teacher,
    Trained,
    change,
)

_SHOWN_REJECTED = 5


@dataclass(frozen=True, slots=True)
class Images:
    """A data set with what was found out about its pixels, once.

    Attributes:
        dataset: the images.
        normal: mean and deviation of their channels.
        drawn: whether they are one-color drawings.
    """

    dataset: Dataset
    normal: Normalization
    drawn: bool

    def preprocessing(self, network: Network, recipe: Recipe) -> Preprocessing:
        """How these images become the network's input."""
        return Preprocessing(
            channels=self.dataset.channels,
            resolution=network.resolution,
            crop=recipe.crop,
            mean=self.normal.mean,
            std=self.normal.std,
            classes=self.dataset.classes,
        )

    def recipe(self, make: RecipeMaker, network: Network, settings: Sequence[str]) -> Recipe:
        """A recipe made for a network and these images, with the user's changes."""
        plain = make(network, images=len(self.dataset.splits["train"]), drawings=self.drawn)
        return change(plain, *settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One call of a command in its run folder: what every phase needs.

    Attributes:
        run: the folder.
        seed: of everything random.
        device: where the work runs.
        progress: is told how it goes.
        stopping: says whether the user wants it to stop.
        ranks: this process among those that train together.
    """

    run: RunFolder
    seed: int
    device: torch.device
    progress: Progress
    stopping: Callable[[], bool]
    ranks: Ranks = ALONE

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
        recorded: Callable[[Mapping[str, Any]], None] = lambda _record: None,
    ) -> Job:
        """The training of `network` in `folder`."""
        return Job(
            network=network,
            dataset=images.dataset,
            preprocessing=images.preprocessing(network, recipe),
            recipe=recipe,
            folder=folder,
            seed=self.seed,
            device=self.device,
            start=start,
            teacher=teacher,
            ranks=self.ranks,
            label=label,
            progress=self.progress,
            stopping=self.stopping,
            recorded=recorded,
        )

    def halt_if_asked(self) -> None:
        """Between two phases, do what the user asked while neither could.

        Raises:
            Stopped: the user wants it.
        """
        if self.stopping():
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
    stopping: Callable[[], bool],
    ranks: Ranks = ALONE,
) -> Iterator[Session]:
    """Open the run folder of a command that trains, on a device by its name.

    Raises:
        InputError: no such device.
        RunFolderError: the folder is in use or was made by another command.
        StorageError: the folder cannot be written.
    """
    place = find_device(device)
    with open_run(
        folder,
        command=command,
        arguments={**arguments, "seed": seed},
        device=describe_device(place),
        seed=seed,
    ) as opened:
        yield Session(run=opened, seed=seed, device=place, progress=progress, stopping=stopping, ranks=ranks)


def finished_result(session: Session) -> dict[str, Any] | None:
    """The result of a run that came to its end in an earlier call, else None."""
    folder = session.run.path
    if not session.run.finished:
        return None
    session.progress.say(f"{folder} is finished; this is its result.")
    if not (folder / "report.html").exists():
        write_report([folder], out=folder / "report.html")
    return read_json(folder / "result.json")


def finish(session: Session, result: dict[str, Any]) -> dict[str, Any]:
    """Write the result, mark the run as finished, and write the report."""
    folder = session.run.path
    whole = {"folder": str(folder), **result, "report": str(folder / "report.html")}
    write_json(folder / "result.json", whole)
    session.run.finish()
    write_report([folder], out=folder / "report.html")
    return whole


def tested(trained: Trained, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """A result's figures on how good the network is."""
    return {
        "validation_accuracy": trained.accuracy,
        "test_accuracy": evaluation["accuracy"],
        "test_interval": list(evaluation["interval"]),
        "test_images": evaluation["images"],
    }


def data_argument(data: str) -> str:
    """The data set as run folders remember it: a folder, file or pattern by its full path."""
    return full_name(data)


def plain_name(text: str) -> str:
    """A network's or space's part of a run folder's name.

    Example:
        >>> plain_name("ofa-mobilenetv3-1.0"), plain_name("networks/mine.json")
        ('ofa-mobilenetv3-1.0', 'mine')
    """
    return Path(text).name.removesuffix(".json")


def data_name(data: str) -> str:
    """The data set's part of a run folder's name."""
    return short_name(data)


def read_data(session: Session, data: str) -> Images:
    """Open the data set, write its summary into the run folder, and tell what was left out.

    Raises:
        DataError: the data cannot be opened.
        RunFolderError: it has changed since something was trained on it in the folder.
    """
    dataset = open_data(data, seed=session.seed, progress=session.progress)
    summary = summarize(dataset)
    _refuse_changed(session, data, dataset, summary)
    write_json(session.run.path / "data.json", _describe(dataset, summary))
    session.progress.say(f"data: {summary}")
    for rejected in dataset.rejected[:_SHOWN_REJECTED]:
        session.progress.say(f"left out: {rejected.path}: {rejected.reason}")
    if len(dataset.rejected) > _SHOWN_REJECTED:
        session.progress.say(
            f"left out: {len(dataset.rejected) - _SHOWN_REJECTED} more; data.json lists them all"
        )
    return Images(dataset, normalization(dataset), looks_drawn(dataset))


def _refuse_changed(session: Session, data: str, dataset: Dataset, summary: Summary) -> None:
    """A training that goes on with other images would end with weights that nothing explains."""
    file = session.run.path / "data.json"
    if not session.run.begun or not file.exists():
        return
    before = read_json(file)
    if before.get("fingerprint") in (None, dataset.fingerprint):
        return
    counts, now = before.get("images", {}), summary.images
    differing = [
        f"{counts.get(name, 0):,} are now {now[name]:,} in {name}"
        for name in now
        if counts.get(name) != now[name]
    ]
    how = ", ".join(differing) or "as many as before, but not the same"
    raise RunFolderError(
        f"The images of {data} have changed since {session.run.path} was begun: {how}. "
        "Bring the old ones back to go on, or give another folder with --out to train on these."
    )


def _describe(dataset: Dataset, summary: Summary) -> dict[str, Any]:
    rejected = [{"path": each.path, "reason": each.reason} for each in dataset.rejected]
    return {
        **summary.to_dict(),
        "classes": list(dataset.classes),
        "fingerprint": dataset.fingerprint,
        "rejected": rejected,
    }
