"""`allometry predict`: the most probable classes of some images, or all the labels that they have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import torch

from allometry.arch import Network
from allometry.base import InputError
from allometry.base.html import html_table
from allometry.base.units import plural
from allometry.data import NamedImage, as_images, center_view
from allometry.training import to_input
from allometry.training.pretrained import Classifier
from allometry.verbs.arguments import RunLike, open_classifier

_AT_ONCE = 64  # images


class ClassProbability(NamedTuple):
    """A class, and how probable it is, from 0 to 1."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network says of one image.

    Attributes:
        image: the file, or `image 0` and so on.
        classes: the most probable classes, best first; of a network for several labels those whose probability is at
            least their threshold, which may be none.

    Example:
        >>> Prediction("cat.jpg", (ClassProbability("cat", 0.75), ClassProbability("dog", 0.25)))
        Prediction(cat.jpg: cat 75.0%, dog 25.0%)
    """

    image: str
    classes: tuple[ClassProbability, ...]

    @property
    def best(self) -> str:
        """The most probable class; empty text where the image has no label."""
        return self.classes[0].name if self.classes else ""

    @property
    def probability(self) -> float:
        """Of the most probable class; 0 where the image has no label."""
        return self.classes[0].probability if self.classes else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"image": self.image, "classes": [one._asdict() for one in self.classes]}

    def __repr__(self) -> str:
        classes = ", ".join(f"{name} {probability:.1%}" for name, probability in self.classes) or "no label"
        return f"Prediction({self.image}: {classes})"


@dataclass(frozen=True, slots=True)
class Predictions(Sequence[Prediction]):
    """Predictions, one for each image, in their order.

    Attributes:
        predictions: one for each image.
    """

    predictions: tuple[Prediction, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"predictions": [one.to_dict() for one in self.predictions]}

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: int | slice) -> Prediction | Predictions:
        """The prediction of an image by its place, or those of some."""
        return Predictions(self.predictions[index]) if isinstance(index, slice) else self.predictions[index]

    def __len__(self) -> int:
        return len(self.predictions)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)

    def __repr__(self) -> str:
        best = ", ".join(f"{one.best or 'no label'} {one.probability:.1%}" for one in self.predictions[:3])
        return f"Predictions({plural(len(self), 'image')}: {best}{', ...' if len(self) > 3 else ''})"

    def _repr_html_(self) -> str:
        rows = [
            (one.image, *(f"{name} {probability:.1%}" for name, probability in one.classes))
            for one in self.predictions
        ]
        places = max((len(row) - 1 for row in rows), default=0)
        return html_table(("image", *(f"{place}." for place in range(1, places + 1))), rows)


def predict(
    run: RunLike | None = None,
    images: object = (),
    *,
    network: Network | str | Path | None = None,
    pretrained: RunLike | None = None,
    top: int = 5,
    crop: float | None = None,
) -> Predictions:
    """The most probable classes of one image or of many; of a network for several labels all that an image has.

    Args:
        run: a run or its folder; None where a network is given.
        images: image files, PIL images, uint8 arrays or tensors, one or many: a sequence of them, an array [N, height,
            width] or [N, height, width, channels], or a tensor [N, channels, height, width].
        network: instead of a run: a network, a name of the zoo, a network's JSON file, `timm:NAME` or
            `package.module:factory`.
        pretrained: its weights: a file, `hf://owner/name`, or a run.
        top: how many classes for each image; of several labels, all that reach their thresholds are given.
        crop: with a network, fraction of the shorter side that the view shows; by default what the weights expect.

    Returns:
        A prediction for each image, in their order; one for a single image, too.

    Raises:
        RunFolderError: the run is missing or not finished.
        InputError: network, weights or crop are wrong.
        DataError: an image is missing, unreadable, or of another kind.

    Example, with a run, `trained`, and its `images`:
        >>> predictions = predict(trained, images[:3])
        >>> len(predictions), predictions[0].best in ("0", "1")
        (3, True)
    """
    if top < 1:
        raise InputError(f"top must be at least 1, not {top}.")
    classifier = open_classifier(run, network, pretrained, crop)
    return classify(classifier, as_images(images), top=top)


def classify(classifier: Classifier, images: Sequence[NamedImage], *, top: int = 5) -> Predictions:
    """The most probable classes of images, by a network that is open already.

    Raises:
        DataError: an image is missing or unreadable.
    """
    made: list[Prediction] = []
    for first in range(0, len(images), _AT_ONCE):
        made += _classify(classifier, images[first : first + _AT_ONCE], top)
    return Predictions(tuple(made))


def _classify(classifier: Classifier, images: Sequence[NamedImage], top: int) -> Iterator[Prediction]:
    preprocessing = classifier.preprocessing
    resolution, classes = preprocessing.resolution, preprocessing.classes
    views = [
        center_view(
            image.pixels(channels=preprocessing.channels, min_side=resolution),
            resolution=resolution,
            crop=preprocessing.crop,
        )
        for image in images
    ]
    batch = to_input(np.stack(views), preprocessing, torch.device("cpu"))
    with torch.inference_mode():
        probabilities = preprocessing.probabilities(classifier.module(batch))
        thresholds = preprocessing.thresholds
        values, places = probabilities.topk(len(classes) if thresholds else min(top, len(classes)))
    for image, own, named in zip(images, values.tolist(), places.tolist(), strict=True):
        pairs = zip(named, own, strict=True)
        chosen = [pair for pair in pairs if thresholds is None or pair[1] >= thresholds[pair[0]]]
        yield Prediction(
            image.name, tuple(ClassProbability(classes[place], value) for place, value in chosen)
        )
