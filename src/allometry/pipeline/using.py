"""What is done with a finished run: evaluate, predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from allometry.base import DataError, Progress, SilentProgress, UnknownNameError
from allometry.data import Dataset, center_view, open_data, read_image
from allometry.pipeline.common import data_argument
from allometry.pipeline.devices import find_device
from allometry.pipeline.finished import FinishedRun, open_finished
from allometry.train import Preprocessing, predict, summarize, to_input


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network says of one image.

    Attributes:
        image: the file.
        classes: the most probable classes, best first, with their probabilities.
    """

    image: str
    classes: tuple[tuple[str, float], ...]


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
    place = find_device(device)
    said = predict(
        finished.module.to(place),
        dataset.splits[split],
        preprocessing=finished.preprocessing,
        device=place,
        progress=progress,
    )
    return summarize(said, dataset.splits[split], name=split, classes=dataset.classes).to_dict()


def predict_images(run: Path, images: Sequence[Path], *, top: int = 5) -> tuple[Answer, ...]:
    """The most probable classes of some image files.

    Args:
        run: the run folder.
        images: files of any kind that training takes.
        top: how many classes for each.

    Raises:
        RunFolderError: the run is missing or not finished.
        DataError: an image is missing or unreadable.
    """
    finished = open_finished(run)
    return answer_images(finished.module, finished.preprocessing, images, top=top)


def answer_images(
    module: nn.Module, asked: Preprocessing, images: Sequence[Path], *, top: int = 5
) -> tuple[Answer, ...]:
    """The most probable classes of some image files, by a module in evaluation mode.

    Raises:
        DataError: an image is missing or unreadable.
    """
    answers = []
    for path in images:
        pixels = read_image(path, channels=asked.channels, at_least=asked.resolution)
        view = center_view(pixels, resolution=asked.resolution, crop=asked.crop)
        batch = to_input(np.ascontiguousarray(view[None]), asked, torch.device("cpu"))
        with torch.inference_mode():
            probabilities = module(batch).softmax(1)[0]
        values, places = probabilities.topk(min(top, len(asked.classes)))
        pairs = zip(places.tolist(), values.tolist(), strict=True)
        answers.append(Answer(str(path), tuple((asked.classes[place], value) for place, value in pairs)))
    return tuple(answers)


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
