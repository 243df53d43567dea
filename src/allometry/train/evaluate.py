"""How good a network is on images it has not trained on."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from allometry.base import Progress, SilentProgress
from allometry.data import Split, view_batches
from allometry.train.inputs import Preprocessing, to_input

_BATCH = 128
_THUMBNAIL = 96


class Predictions(NamedTuple):
    """What a network says of a split.

    Attributes:
        labels: the truth, int64 [N].
        probabilities: float32 [N, classes].
        loss: mean cross-entropy.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    loss: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong answer, with the picture.

    Attributes:
        image: the image's name.
        truth: the right class.
        predicted: the network's answer.
        confidence: the probability it gave to that answer.
        thumbnail: the picture as base64 PNG.
    """

    image: str
    truth: str
    predicted: str
    confidence: float
    thumbnail: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one split.

    Attributes:
        split: its name.
        images: how many.
        accuracy: share whose most probable class is right.
        interval: 95 % interval of the accuracy (Wilson).
        top5: share whose class is among the five most probable.
        loss: mean cross-entropy.
        classes: their names.
        confusion: counts, a row per true class and a column per answer.
        mistakes: the most confident wrong answers.
    """

    split: str
    images: int
    accuracy: float
    interval: tuple[float, float]
    top5: float
    loss: float
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values, with the accuracy of each class."""
        per_class = [
            {"name": name, "images": sum(row), "accuracy": row[index] / sum(row) if sum(row) else None}
            for index, (name, row) in enumerate(zip(self.classes, self.confusion, strict=True))
        ]
        return {**asdict(self), "per_class": per_class}


class Score(NamedTuple):
    """Accuracy and loss of a split, without the details."""

    accuracy: float
    loss: float


def evaluate(module: nn.Module, split: Split, *, preprocessing: Preprocessing, device: torch.device) -> Score:
    """Accuracy and mean cross-entropy of `module` on `split`. Puts the module into evaluation mode."""
    said = predict(module, split, preprocessing=preprocessing, device=device)
    right = said.probabilities.argmax(1) == said.labels
    return Score(float(right.mean()), said.loss)


def predict(
    module: nn.Module,
    split: Split,
    *,
    preprocessing: Preprocessing,
    device: torch.device,
    progress: Progress = SilentProgress(),
) -> Predictions:
    """Probabilities of every image of `split`, in its order. Puts the module into evaluation mode."""
    module.eval()
    probabilities, losses = [], 0.0
    labels = np.asarray(split.labels)
    batches = view_batches(
        split, resolution=preprocessing.resolution, batch_size=_BATCH, crop=preprocessing.crop
    )
    progress.start("evaluating", len(labels))
    with torch.inference_mode():
        for batch in batches:
            scores = module(to_input(batch.images, preprocessing, device)).float().cpu()
            losses += float(F.cross_entropy(scores, torch.from_numpy(batch.labels), reduction="sum"))
            probabilities.append(scores.softmax(1).numpy())
            progress.advance(len(scores))
    progress.stop()
    return Predictions(labels, np.concatenate(probabilities), losses / len(labels))


def summarise(
    said: Predictions, split: Split, *, name: str, classes: tuple[str, ...], most_mistakes: int = 24
) -> Evaluation:
    """Everything the report shows about a split, from the predictions."""
    count = len(classes)
    answers = said.probabilities.argmax(1)
    confusion = np.zeros((count, count), dtype=np.int64)
    np.add.at(confusion, (said.labels, answers), 1)
    best = np.argsort(-said.probabilities, axis=1, kind="stable")[:, :5]
    right = answers == said.labels
    confidence = said.probabilities.max(1)
    wrong = sorted(np.flatnonzero(~right), key=lambda index: -confidence[index])[:most_mistakes]
    mistakes = tuple(
        Mistake(
            image=split.names[index],
            truth=classes[said.labels[index]],
            predicted=classes[answers[index]],
            confidence=float(confidence[index]),
            thumbnail=_thumbnail(split.image(int(index), at_least=_THUMBNAIL)),
        )
        for index in wrong
    )
    return Evaluation(
        split=name,
        images=len(right),
        accuracy=float(right.mean()),
        interval=wilson_interval(int(right.sum()), len(right)),
        top5=float((best == said.labels[:, None]).any(1).mean()),
        loss=said.loss,
        classes=classes,
        confusion=tuple(tuple(int(cell) for cell in row) for row in confusion),
        mistakes=mistakes,
    )


def wilson_interval(right: int, total: int, *, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share that was seen `right` times in `total`.

    Source: Wilson 1927.

    Example:
        >>> [round(bound, 3) for bound in wilson_interval(90, 100)]
        [0.826, 0.945]
    """
    share = right / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def _thumbnail(image: np.ndarray) -> str:
    from PIL import Image

    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
