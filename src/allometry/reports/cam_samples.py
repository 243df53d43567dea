"""What a trained network looks at in some of its test images: `explain.json` of a run folder."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from allometry.data import Split, center_view, with_levels
from allometry.nn import class_activation_map
from allometry.reports.cam_overlays import enlarged, image_png, layer_png
from allometry.runs import Explanation
from allometry.runs.files import Explanations
from allometry.training import Predictions, Preprocessing, to_input

Group = Literal["drawn", "wrong", "correct"]
_DRAWN = 6
_SUREST = 6
_SIDE = 128
_BATCH = 8


def choose_samples(split: Split, predictions: Predictions) -> dict[Group, list[int]]:
    """Which test images to show, by their places in the split.

    `drawn` are images of different classes that do not depend on the network: they are the first by the digests of
    their contents. Runs on the same images, whatever their seed, have them in common. `wrong` and `correct` are the
    answers that the network was surest of, of different classes as long as there are some.

    Args:
        split: the test images.
        predictions: the network's answers.

    Returns:
        Up to six places each for `drawn`, `wrong` and `correct`.
    """
    labels = predictions.labels.tolist()
    by_digest = sorted(range(len(split)), key=split.digest)
    drawn = _of_different_classes(by_digest, labels, most=_DRAWN)
    right = predictions.correct
    confidence = predictions.probabilities.max(1)
    surest = [int(index) for index in np.argsort(-confidence, kind="stable") if index not in drawn]
    return {
        "drawn": drawn,
        "wrong": _of_different_classes((place for place in surest if not right[place]), labels, most=_SUREST),
        "correct": _of_different_classes((place for place in surest if right[place]), labels, most=_SUREST),
    }


def explain_samples(
    module: nn.Module,
    split: Split,
    predictions: Predictions,
    *,
    preprocessing: Preprocessing,
    device: torch.device,
) -> Explanations:
    """The images of chosen test images with the class activation maps of the network's answers.

    Args:
        module: the trained network, on `device`.
        split: the test images.
        predictions: what the network says of each of them.
        preprocessing: of the network's input.
        device: where to work.
    """
    split = with_levels(split, preprocessing.levels)
    chosen = choose_samples(split, predictions)
    places = [place for group in chosen.values() for place in group]
    answers, truths = predictions.probabilities[places].argmax(1), predictions.labels[places]
    maps = _maps(module, split, places, answers, preprocessing, device)
    missed = [number for number in range(len(places)) if answers[number] != truths[number]]
    truth_maps = dict(
        zip(
            missed,
            _maps(
                module, split, [places[number] for number in missed], truths[missed], preprocessing, device
            ),
            strict=True,
        )
    )
    groups = [group for group, members in chosen.items() for _ in members]
    truth_layers = {
        number: _text(layer_png(layer, side=_SIDE, crop=preprocessing.crop))
        for number, layer in truth_maps.items()
    }
    explanations = []
    for number, place in enumerate(places):
        probabilities = predictions.probabilities[place]
        thumbnail = image_png(enlarged(split.image(place, min_side=_SIDE), side=_SIDE))
        explanations.append(
            Explanation(
                group=groups[number],
                image=split.names[place],
                digest=split.digest(place),
                truth=preprocessing.classes[truths[number]],
                predicted=preprocessing.classes[answers[number]],
                confidence=float(probabilities[answers[number]]),
                truth_probability=float(probabilities[truths[number]]),
                thumbnail=_text(thumbnail),
                map=_text(layer_png(maps[number], side=_SIDE, crop=preprocessing.crop)),
                truth_map=truth_layers.get(number, ""),
            )
        )
    return Explanations(explanations=tuple(explanations))


def _maps(
    module: nn.Module,
    split: Split,
    places: Sequence[int],
    classes: npt.NDArray[np.int64],
    preprocessing: Preprocessing,
    device: torch.device,
) -> list[npt.NDArray[np.float32]]:
    maps: list[npt.NDArray[np.float32]] = []
    for start in range(0, len(places), _BATCH):
        views = [
            center_view(
                split.image(place, min_side=preprocessing.kept_side),
                resolution=preprocessing.resolution,
                crop=preprocessing.crop,
            )
            for place in places[start : start + _BATCH]
        ]
        batch = to_input(np.stack(views), preprocessing, device)
        wanted = classes[start : start + _BATCH].tolist()
        maps.extend(class_activation_map(module, batch, wanted).cpu().numpy())
    return maps


def _of_different_classes(places: Iterable[int], labels: Sequence[int], *, most: int) -> list[int]:
    """The first places of each class, as many as wanted; then others, in their order."""
    ordered = list(places)
    first: dict[int, int] = {}
    for place in ordered:
        first.setdefault(labels[place], place)
    kept = list(first.values())[:most]
    taken = set(kept)
    rest = [place for place in ordered if place not in taken]
    return kept + rest[: most - len(kept)]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
