"""`allometry predict`: the most probable classes of some images, or all the labels that they have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import torch

from allometry.arch import Network
from allometry.base import DataError, InputError
from allometry.base.html import html_table
from allometry.base.reading import is_folder
from allometry.base.units import plural
from allometry.data import NamedImage, as_images, center_view, image_files
from allometry.data.images.pixels import Pixels
from allometry.training import to_input
from allometry.training.pretrained import Classifier
from allometry.verbs.arguments import RunLike, open_classifier

_AT_ONCE = 64  # images
_LEVELS = 8  # of 255; between fewer there is hardly a picture


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
        error: why the image could not be read, in which case there are no classes; empty text where it could.
        remark: what is odd about what the network sees of the image; mostly empty text.

    Example:
        >>> Prediction("cat.jpg", (ClassProbability("cat", 0.75), ClassProbability("dog", 0.25)))
        Prediction(cat.jpg: cat 75.0%, dog 25.0%)
    """

    image: str
    classes: tuple[ClassProbability, ...]
    error: str = ""
    remark: str = ""

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
        told = {name: text for name, text in (("error", self.error), ("remark", self.remark)) if text}
        return {"image": self.image, "classes": [one._asdict() for one in self.classes], **told}

    def __repr__(self) -> str:
        if self.error:
            return f"Prediction({self.image}: {self.error})"
        classes = ", ".join(f"{name} {probability:.1%}" for name, probability in self.classes) or "no label"
        return f"Prediction({self.image}: {classes})"


@dataclass(frozen=True, slots=True)
class Predictions(Sequence[Prediction]):
    """Predictions, one for each image, in their order.

    Attributes:
        predictions: one for each image.
    """

    predictions: tuple[Prediction, ...]

    @property
    def failed(self) -> Predictions:
        """Those whose images could not be read."""
        return Predictions(tuple(one for one in self.predictions if one.error))

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
        answers = (
            one.error or f"{one.best or 'no label'} {one.probability:.1%}" for one in self.predictions[:3]
        )
        best = ", ".join(answers)
        return f"Predictions({plural(len(self), 'image')}: {best}{', ...' if len(self) > 3 else ''})"

    def _repr_html_(self) -> str:
        rows = [
            (
                one.image,
                *([one.error] if one.error else (f"{name} {value:.1%}" for name, value in one.classes)),
            )
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
        images: image files, folders with image files in them, PIL images, uint8 arrays or tensors, one or many: a
            sequence of them, an array [N, height, width] or [N, height, width, channels], or a tensor [N, channels,
            height, width].
        network: instead of a run: a network, a name of the zoo, a network's JSON file, `timm:NAME` or
            `package.module:factory`.
        pretrained: its weights: a file, `hf://owner/name`, or a run.
        top: how many classes for each image; of several labels, all that reach their thresholds are given.
        crop: with a network, fraction of the shorter side that the view shows; by default what the weights expect.

    Returns:
        A prediction for each image, in their order; one for a single image, too. Where there are several, that of an
        image that cannot be read has an `error`, and the others have their answers.

    Raises:
        RunFolderError: the run is missing or not finished.
        InputError: network, weights or crop are wrong.
        DataError: the only image is missing or unreadable, or one is of another kind.

    Example, with a run, `trained`, and its `images`:
        >>> predictions = predict(trained, images[:3])
        >>> len(predictions), predictions[0].best in ("0", "1")
        (3, True)
    """
    if top < 1:
        raise InputError(f"top must be at least 1, not {top}.")
    classifier = open_classifier(run, network, pretrained, crop)
    return classify(classifier, as_images(_without_folders(images)), top=top)


def _without_folders(images: object) -> object:
    """The images, with those in a folder in its place."""
    if isinstance(images, str | Path):
        return image_files(Path(images)) if is_folder(images) else images
    if isinstance(images, list | tuple):
        return [
            one
            for image in images
            for one in (
                image_files(Path(image)) if isinstance(image, str | Path) and is_folder(image) else [image]
            )
        ]
    return images


def classify(classifier: Classifier, images: Sequence[NamedImage], *, top: int = 5) -> Predictions:
    """The most probable classes of images, by a network that is open already.

    Raises:
        DataError: the only image is missing or unreadable.
    """
    made: list[Prediction] = []
    for first in range(0, len(images), _AT_ONCE):
        made += _classify(classifier, images[first : first + _AT_ONCE], top, alone=len(images) == 1)
    return Predictions(tuple(made))


def _classify(
    classifier: Classifier, images: Sequence[NamedImage], top: int, *, alone: bool
) -> Iterator[Prediction]:
    views: list[Pixels] = []
    errors: dict[int, str] = {}
    for place, image in enumerate(images):
        try:
            views.append(view_of(classifier, image))
        except DataError as error:
            if alone:  # of several, each says for itself what is wrong with it
                raise
            errors[place] = str(error)
    answers = iter(zip(_answers(classifier, views, top), views, strict=True) if views else ())
    for place, image in enumerate(images):
        if place in errors:
            yield Prediction(image.name, (), errors[place])
        else:
            classes, view = next(answers)
            yield Prediction(image.name, classes, remark=_remark(image.name, view))


def _remark(name: str, view: Pixels) -> str:
    """What is to be said where hardly anything is seen, as of 16 bits that use other values than those learned from."""
    low, high = int(view.min()), int(view.max())
    if high - low >= _LEVELS:
        return ""
    return (
        f"{name} shows the network hardly anything: all levels that it sees lie between {low} and {high} of 255, so "
        "that the answer means little."
    )


def view_of(classifier: Classifier, image: NamedImage) -> Pixels:
    """What a network sees of an image, uint8 [resolution, resolution, channels]: the same as when it is evaluated.

    Raises:
        DataError: the image is missing or unreadable.
    """
    preprocessing = classifier.preprocessing
    return center_view(
        image.pixels(
            channels=preprocessing.channels,
            min_side=preprocessing.kept_side,  # as when it is evaluated
            levels=preprocessing.levels,
        ),
        resolution=preprocessing.resolution,
        crop=preprocessing.crop,
    )


def _answers(
    classifier: Classifier, views: Sequence[Pixels], top: int
) -> Iterator[tuple[ClassProbability, ...]]:
    """The classes of each view."""
    preprocessing, classes = classifier.preprocessing, classifier.preprocessing.classes
    batch = to_input(np.stack(views), preprocessing, torch.device("cpu"))
    with torch.inference_mode():
        probabilities = preprocessing.probabilities(classifier.module(batch))
        thresholds = preprocessing.thresholds
        values, places = probabilities.topk(len(classes) if thresholds else min(top, len(classes)))
    for own, named in zip(values.tolist(), places.tolist(), strict=True):
        pairs = zip(named, own, strict=True)
        chosen = [pair for pair in pairs if thresholds is None or pair[1] >= thresholds[pair[0]]]
        yield tuple(ClassProbability(classes[place], value) for place, value in chosen)
