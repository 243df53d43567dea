"""What is done with a finished run: evaluate, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from allometry.base import DataError, Progress, SilentProgress, UnknownNameError
from allometry.data import Dataset, data_argument, open_data
from allometry.training import predict, summarize
from allometry.training.devices import resolve_device
from allometry.training.pretrained import FinishedRun, open_finished


def evaluate_run(
    run: Path,
    *,
    data: str | None = None,
    split: str = "test",
    device: str | None = None,
    progress: Progress = SilentProgress(),
) -> dict[str, Any]:
    """Judge a trained run on a split of its own data or of another set with the same classes.

    Args:
        run: the run folder.
        data: whatever `open_data` takes; by default the run's own.
        split: `train`, `val` or `test`.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        progress: is told how it goes.

    Raises:
        RunFolderError: the run is missing or not finished.
        DataError: the data's classes are not the run's.
        UnknownNameError: no such split.
    """
    finished = open_finished(run)
    dataset = data_of(finished, data, progress)
    if split not in dataset.splits:
        raise UnknownNameError("split", split, dataset.splits)
    place = resolve_device(device)
    said = predict(
        finished.module.to(place),
        dataset.splits[split],
        preprocessing=finished.preprocessing,
        device=place,
        progress=progress,
    )
    return summarize(said, dataset.splits[split], name=split, classes=dataset.classes).to_dict()


def data_of(finished: FinishedRun, data: str | None, progress: Progress) -> Dataset:
    """The data of a finished run, or other data with the same classes.

    Raises:
        DataError: the classes differ.
    """
    folder, own = finished.folder.path, str(finished.arguments.get("data", "icons"))
    where = own if data is None else data_argument(data)
    seed = int(finished.arguments.get("seed", 0))
    dataset = open_data(where, seed=seed, progress=progress)
    if dataset.classes != finished.preprocessing.classes:
        only = sorted(set(dataset.classes) ^ set(finished.preprocessing.classes))[:5]
        raise DataError(
            f"{where} has other classes than {folder} was trained on ({', '.join(map(repr, only))} are not in both); "
            "give data with the same classes."
        )
    return dataset
