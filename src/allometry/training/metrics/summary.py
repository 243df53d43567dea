"""Everything that is predictions of a network's answers on a split: one `Evaluation` from its predictions."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.data import Split
from allometry.runs import Evaluation, Interval, Mistake
from allometry.training.metrics.calibration import (
    binned_error,
    bins_of,
    calibration_error,
    chance_error,
    reliability,
)
from allometry.training.metrics.classes import (
    balanced_accuracy,
    brier_score,
    class_metrics,
    confusion_matrix,
    ranks,
)
from allometry.training.metrics.evaluate import Predictions
from allometry.training.metrics.intervals import Groups, bootstrap_interval, fraction_interval, resamples

_THUMBNAIL = 96
_BEST = 5


def summarize(
    predictions: Predictions,
    split: Split,
    *,
    name: str,
    classes: tuple[str, ...],
    seed: int = 0,
    most_mistakes: int = 24,
) -> Evaluation:
    """Everything the report shows about a split, from the predictions.

    Args:
        predictions: what the network says of each image.
        split: the images.
        name: of the split.
        classes: names of the classes.
        seed: of the resampling behind the intervals.
        most_mistakes: how many wrong answers to keep with their images.

    Example:
        >>> from allometry.data import ArraySplit
        >>> pixels = np.zeros((2, 8, 8, 1), np.uint8)
        >>> split = ArraySplit(images=pixels, labels=np.array([0, 1]), names=("a", "b"))
        >>> predictions = Predictions(
        ...     labels=split.labels,
        ...     probabilities=np.array([[0.75, 0.25], [0.75, 0.25]], np.float32),
        ...     losses=-np.log(np.array([0.75, 0.25], np.float32)),
        ... )
        >>> evaluation = summarize(predictions, split, name="val", classes=("cat", "dog"))
        >>> evaluation.accuracy, [(mistake.image, mistake.predicted) for mistake in evaluation.mistakes]
        (0.5, [('b', 'cat')])
    """
    labels, answers = predictions.labels, predictions.probabilities.argmax(1)
    correct = answers == labels
    confidence = predictions.probabilities.max(1)
    confusion = confusion_matrix(labels, answers, classes=len(classes))
    in_top, groups = ranks(predictions.probabilities, labels) < _BEST, predictions.groups
    measured = _Measured(
        balanced_accuracy(labels, correct), predictions.loss, calibration_error(confidence, correct)
    )
    balanced, loss, calibration = _intervals(
        measured, labels, correct, predictions.losses, confidence, groups, seed=seed
    )
    return Evaluation(
        split=name,
        images=len(correct),
        accuracy=float(correct.mean()),
        groups=predictions.group_count,
        interval=fraction_interval(correct, groups),
        top5=float(in_top.mean()),
        top5_interval=fraction_interval(in_top, groups),
        balanced_accuracy=measured.balanced,
        balanced_interval=balanced,
        loss=measured.loss,
        loss_interval=loss,
        brier=brier_score(predictions.probabilities, labels),
        calibration_error=measured.calibration,
        calibration_interval=calibration,
        calibration_by_chance=chance_error(confidence, seed=seed),
        calibration=reliability(confidence, correct, groups=groups),
        classes=classes,
        confusion=tuple(map(tuple, confusion.tolist())),
        per_class=class_metrics(labels, answers, classes, groups=groups),
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
    correct: npt.NDArray[np.bool_],
    losses: npt.NDArray[np.floating],
    confidence: npt.NDArray[np.floating],
    groups: Groups | None,
    *,
    seed: int,
) -> tuple[Interval, Interval, Interval]:
    places, gaps = bins_of(confidence), confidence.astype(np.float64) - correct
    exact = losses.astype(np.float64)
    drawn = np.array(
        [
            (
                balanced_accuracy(labels, correct, counts=counts),
                float(counts @ exact) / counts.sum(),
                binned_error(places, counts * gaps, images=int(counts.sum())),
            )
            for counts in resamples(len(labels), seed=seed, groups=groups)
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
            thumbnail=_thumbnail(split.image(index, min_side=_THUMBNAIL)),
        )
        for index in wrong
    )


def _thumbnail(image: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    thumbnail = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    thumbnail.thumbnail((_THUMBNAIL, _THUMBNAIL))
    file = io.BytesIO()
    thumbnail.save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
