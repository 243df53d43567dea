"""How good a network is class by class, and metrics of the probabilities that it gives to the classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from allometry.runs import ClassMetrics, Interval
from allometry.training.metrics.intervals import Groups, fraction_interval

Counts = npt.NDArray[np.int64]


def confusion_matrix(labels: Counts, answers: Counts, *, classes: int) -> Counts:
    """Counts of images, a row per true class and a column per answer.

    Shape:
        int64 [N], int64 [N] -> int64 [classes, classes]

    Example:
        >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    cells = np.bincount(labels * classes + answers, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def class_metrics(
    labels: Counts, answers: Counts, names: tuple[str, ...], *, groups: Groups | None = None
) -> tuple[ClassMetrics, ...]:
    """Accuracy, precision and F1 of each class.

    Args:
        labels: the truth, int64 [N].
        answers: the most probable classes, int64 [N].
        names: of the classes.
        groups: of the images, int64 [N], by which the intervals are; None for each image on its own.

    Example:
        >>> cat, dog = class_metrics(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), ("cat", "dog"))
        >>> round(cat.accuracy, 3), cat.precision, dog.precision
        (0.667, 1.0, 0.5)
    """
    correct = labels == answers

    def fraction(of: npt.NDArray[np.bool_]) -> tuple[float | None, Interval | None]:
        hits = correct[of]
        if not len(hits):
            return None, None
        return float(hits.mean()), fraction_interval(hits, None if groups is None else groups[of])

    metrics = []
    for place, name in enumerate(names):
        true, given = labels == place, answers == place
        (accuracy, interval), (precision, precision_interval) = fraction(true), fraction(given)
        images, predictions, hits = int(true.sum()), int(given.sum()), int((true & given).sum())
        metrics.append(
            ClassMetrics(
                name=name,
                images=images,
                predictions=predictions,
                accuracy=accuracy,
                interval=interval,
                precision=precision,
                precision_interval=precision_interval,
                f1=2 * hits / (images + predictions) if images + predictions else None,
            )
        )
    return tuple(metrics)


def balanced_accuracy(
    labels: Counts, correct: npt.NDArray[np.bool_], *, counts: Counts | None = None
) -> float:
    """The mean of the classes' accuracies: each class counts alike, however many images it has.

    Args:
        labels: the truth, [N].
        correct: whether each answer is correct, [N].
        counts: how often each image counts, [N]; by default once. A class without images does not count.

    Example:
        >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([True, True, True, False]))
        0.5
    """
    weights = np.ones(len(labels)) if counts is None else counts
    images = np.bincount(labels, weights=weights)
    hits = np.bincount(labels, weights=weights * correct)
    seen = images > 0
    return float((hits[seen] / images[seen]).mean())


_ROWS = 4096  # of probabilities looked at in one piece: 50,000 x 1000 of them would need temporary gigabytes


def ranks(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many classes come before the true one: those more probable, and equally probable ones with a lower index.

    Shape:
        [N, classes], int64 [N] -> int64 [N]

    Example:
        >>> ranks(np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]), np.array([2, 1])).tolist()
        [1, 1]
    """
    places = np.empty(len(labels), np.int64)
    columns = np.arange(probabilities.shape[1])
    for start in range(0, len(labels), _ROWS):
        piece, truth = probabilities[start : start + _ROWS], labels[start : start + _ROWS, None]
        own = np.take_along_axis(piece, truth, 1)
        places[start : start + _ROWS] = ((piece > own) | ((piece == own) & (columns < truth))).sum(1)
    return places


def brier_score(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """The mean over the images of the summed squared differences between probabilities and truth.

    0 for a network that is always sure and correct, 2 for one that is always sure and wrong.

    Shape:
        [N, classes], int64 [N] -> a number

    Source: Brier 1950, equation 2.

    Example:
        >>> round(brier_score(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 0])), 6)
        0.4
    """
    squares = np.einsum("nc,nc->n", probabilities, probabilities, dtype=np.float64)
    own = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0].astype(np.float64)
    return float((squares - 2 * own + 1).mean())
