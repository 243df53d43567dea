"""Everything that is said of a network's answers on a split: one `Evaluation` from its predictions."""

from __future__ import annotations

import base64
import io
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.data import Split
from allometry.training.metrics.calibration import (
    Bin,
    binned_error,
    bins_of,
    calibration_error,
    chance_error,
    reliability,
)
from allometry.training.metrics.classes import (
    ClassFigures,
    balanced_accuracy,
    brier_score,
    class_figures,
    confusion_matrix,
    ranks,
)
from allometry.training.metrics.evaluate import Predictions
from allometry.training.metrics.intervals import Interval, bootstrap_interval, resamples, wilson_interval

_THUMBNAIL = 96
_BEST = 5


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Figures of one split. Intervals are of 95 %: Wilson's for shares of images, else by the bootstrap.

    Attributes:
        split: its name.
        images: how many.
        accuracy: share whose most probable class is right.
        interval: of the accuracy.
        top5: share whose class is among the five most probable.
        top5_interval: of that share.
        balanced_accuracy: mean of the classes' accuracies.
        balanced_interval: of that mean.
        loss: mean cross-entropy, that is the negative log-likelihood of the truth, in nats.
        loss_interval: of the loss.
        brier: mean over the images of the sum over the classes of (probability - truth)^2; 0 to 2.
        calibration_error: expected calibration error of the most probable class, in 15 bins.
        calibration_interval: of that error.
        calibration_by_chance: the error of a perfectly calibrated network that is equally sure, on as many images.
        calibration: the bins.
        classes: their names.
        confusion: counts, a row per true class and a column per answer.
        per_class: the figures of each class.
        mistakes: the most confident wrong answers.
    """

    split: str
    images: int
    accuracy: float
    interval: Interval
    top5: float
    top5_interval: Interval
    balanced_accuracy: float
    balanced_interval: Interval
    loss: float
    loss_interval: Interval
    brier: float
    calibration_error: float
    calibration_interval: Interval
    calibration_by_chance: float
    calibration: tuple[Bin, ...]
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    per_class: tuple[ClassFigures, ...]
    mistakes: tuple[Mistake, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        # asdict() would copy each of a million cells of a large confusion matrix on its own.
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {
            "calibration": [each._asdict() for each in self.calibration],
            "per_class": [asdict(each) for each in self.per_class],
            "mistakes": [asdict(each) for each in self.mistakes],
        }


def summarize(
    said: Predictions,
    split: Split,
    *,
    name: str,
    classes: tuple[str, ...],
    seed: int = 0,
    most_mistakes: int = 24,
) -> Evaluation:
    """Everything the report shows about a split, from the predictions.

    Args:
        said: what the network says of each image.
        split: the images.
        name: of the split.
        classes: names of the classes.
        seed: of the resampling behind the intervals.
        most_mistakes: how many wrong answers to keep with their pictures.
    """
    labels, answers = said.labels, said.probabilities.argmax(1)
    right = answers == labels
    confidence = said.probabilities.max(1)
    confusion = confusion_matrix(labels, answers, classes=len(classes))
    in_top = int((ranks(said.probabilities, labels) < _BEST).sum())
    measured = _Measured(balanced_accuracy(labels, right), said.loss, calibration_error(confidence, right))
    balanced, loss, calibration = _intervals(measured, labels, right, said.losses, confidence, seed=seed)
    return Evaluation(
        split=name,
        images=len(right),
        accuracy=float(right.mean()),
        interval=wilson_interval(int(right.sum()), len(right)),
        top5=in_top / len(right),
        top5_interval=wilson_interval(in_top, len(right)),
        balanced_accuracy=measured.balanced,
        balanced_interval=balanced,
        loss=measured.loss,
        loss_interval=loss,
        brier=brier_score(said.probabilities, labels),
        calibration_error=measured.calibration,
        calibration_interval=calibration,
        calibration_by_chance=chance_error(confidence, seed=seed),
        calibration=reliability(confidence, right),
        classes=classes,
        confusion=tuple(map(tuple, confusion.tolist())),
        per_class=class_figures(confusion, classes),
        mistakes=_mistakes(split, labels, answers, confidence, classes, most=most_mistakes),
    )


class _Measured(NamedTuple):
    """The figures whose intervals need the bootstrap."""

    balanced: float
    loss: float
    calibration: float


def _intervals(
    measured: _Measured,
    labels: npt.NDArray[np.int64],
    right: npt.NDArray[np.bool_],
    losses: npt.NDArray[np.floating],
    confidence: npt.NDArray[np.floating],
    *,
    seed: int,
) -> tuple[Interval, Interval, Interval]:
    places, gaps = bins_of(confidence), confidence.astype(np.float64) - right
    exact = losses.astype(np.float64)
    drawn = np.array(
        [
            (
                balanced_accuracy(labels, right, counts=counts),
                float(counts @ exact) / len(labels),
                binned_error(places, counts * gaps),
            )
            for counts in resamples(len(labels), seed=seed)
        ]
    )
    return (
        bootstrap_interval(measured.balanced, drawn[:, 0], most=1.0),
        bootstrap_interval(measured.loss, drawn[:, 1]),
        bootstrap_interval(measured.calibration, drawn[:, 2], most=1.0),
    )


def _mistakes(
    split: Split,
    labels: npt.NDArray[np.int64],
    answers: npt.NDArray[np.int64],
    confidence: npt.NDArray[np.floating],
    classes: tuple[str, ...],
    *,
    most: int,
) -> tuple[Mistake, ...]:
    wrong = sorted(np.flatnonzero(answers != labels).tolist(), key=lambda index: -confidence[index])[:most]
    return tuple(
        Mistake(
            image=split.names[index],
            truth=classes[labels[index]],
            predicted=classes[answers[index]],
            confidence=float(confidence[index]),
            thumbnail=_thumbnail(split.image(index, at_least=_THUMBNAIL)),
        )
        for index in wrong
    )


def _thumbnail(image: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
