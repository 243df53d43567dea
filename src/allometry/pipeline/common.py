"""Steps that every verb of a run folder shares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from allometry.arch import Network
from allometry.base import Progress, Stopped
from allometry.base.files import write_json
from allometry.base.runs import INDEX, RunFolder
from allometry.data import Dataset, Summary, normalisation, open_data, summarise
from allometry.train import Preprocessing, Recipe

_SHOWN_REJECTED = 5


def data_argument(data: str) -> str:
    """The data set as run folders remember it: a folder by its full path."""
    return data if data == "icons" else str(Path(data).resolve())


def data_name(data: str) -> str:
    """The data set's part of a run folder's name."""
    return data if data == "icons" else Path(data).resolve().name or "images"


def read_data(opened: RunFolder, data: str, *, seed: int, progress: Progress) -> Dataset:
    """Open the data set, write its summary into the run folder, and tell what was left out."""
    dataset = open_data(data, index=opened.path / INDEX, seed=seed, progress=progress)
    summary = summarise(dataset)
    write_json(opened.path / "data.json", _describe(dataset, summary))
    progress.say(f"data: {summary}")
    for rejected in dataset.rejected[:_SHOWN_REJECTED]:
        progress.say(f"left out: {rejected.path}: {rejected.reason}")
    if len(dataset.rejected) > _SHOWN_REJECTED:
        progress.say(f"left out: {len(dataset.rejected) - _SHOWN_REJECTED} more; data.json lists them all")
    return dataset


def halt_if(stopping: Callable[[], bool]) -> None:
    """Between two phases, do what the user asked while neither could.

    Raises:
        Stopped: `stopping` says so.
    """
    if stopping():
        raise Stopped("Stopped between two phases; the same command goes on from there.")


def _describe(dataset: Dataset, summary: Summary) -> dict[str, Any]:
    rejected = [{"path": each.path, "reason": each.reason} for each in dataset.rejected]
    return {**summary.to_dict(), "classes": list(dataset.classes), "rejected": rejected}


def preprocessing_for(dataset: Dataset, network: Network, recipe: Recipe) -> Preprocessing:
    """How this data set's images become this network's input."""
    normal = normalisation(dataset)
    return Preprocessing(
        channels=dataset.channels,
        resolution=network.resolution,
        crop=recipe.crop,
        mean=normal.mean,
        std=normal.std,
        classes=dataset.classes,
    )
