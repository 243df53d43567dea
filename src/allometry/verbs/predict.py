"""`allometry predict`: the most probable classes of some images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from allometry.base import InputError
from allometry.data import center_view, read_image
from allometry.training import Preprocessing, to_input
from allometry.training.pretrained import open_finished, open_pretrained


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network says of one image.

    Attributes:
        image: the file.
        classes: the most probable classes, best first, with their probabilities.
    """

    image: str
    classes: tuple[tuple[str, float], ...]


def predict_images(run: Path, images: Sequence[Path], *, top: int = 5) -> tuple[Prediction, ...]:
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
    return classify_images(finished.module, finished.preprocessing, images, top=top)


def classify_images(
    module: nn.Module, asked: Preprocessing, images: Sequence[Path], *, top: int = 5
) -> tuple[Prediction, ...]:
    """The most probable classes of some image files, by a module in evaluation mode.

    Raises:
        DataError: an image is missing or unreadable.
    """
    answers = []
    for path in images:
        pixels = read_image(path, channels=asked.channels, min_side=asked.resolution)
        view = center_view(pixels, resolution=asked.resolution, crop=asked.crop)
        batch = to_input(np.ascontiguousarray(view[None]), asked, torch.device("cpu"))
        with torch.inference_mode():
            probabilities = module(batch).softmax(1)[0]
        values, places = probabilities.topk(min(top, len(asked.classes)))
        pairs = zip(places.tolist(), values.tolist(), strict=True)
        answers.append(Prediction(str(path), tuple((asked.classes[place], value) for place, value in pairs)))
    return tuple(answers)


def predict_pretrained(
    network: str, weights: str, images: Sequence[Path], *, top: int = 5, crop: float | None = None
) -> tuple[Prediction, ...]:
    """The most probable classes of some image files, by a network with published weights.

    Args:
        network: a name of the zoo, a network's JSON file, `timm:NAME` or `package.module:factory`.
        weights: a file, `hf://owner/name`, or a run folder.
        images: files of any kind that training takes.
        top: how many classes for each.
        crop: fraction of the shorter side that the view shows; by default what the weights expect.

    Raises:
        InputError: network, weights or crop are wrong.
        DataError: an image is missing or unreadable.
    """
    if crop is not None and not 0 < crop <= 1:
        raise InputError(f"The crop must be a fraction above 0 and at most 1, not {crop:g}.")
    ready = open_pretrained(network, weights)
    asked = ready.preprocessing if crop is None else replace(ready.preprocessing, crop=crop)
    return classify_images(ready.module, asked, images, top=top)
