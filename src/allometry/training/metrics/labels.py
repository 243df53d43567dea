"""How good a network is at several labels an image: average precision, and from which probability a label is given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from allometry.data.dataset import Labels
from allometry.runs import Interval
from allometry.training.metrics.intervals import RESAMPLES, Groups, bootstrap_interval, resamples

Floats = npt.NDArray[np.floating]


_AT_MOST = 200_000_000  # images times labels times resamples: seconds
_FEWEST = 100


def resamples_for(labels: Labels) -> int:
    """How often images are drawn for an interval: 1000 times, less often where there are very many answers.

    Example:
        >>> resamples_for(np.zeros((1000, 20), np.uint8)), resamples_for(np.zeros((10_000, 100), np.uint8))
        (1000, 200)
    """
    return max(_FEWEST, min(RESAMPLES, _AT_MOST // max(1, labels.size)))


class Ranking:
    """The images in the order of their scores for one label, for which any weights of images are judged quickly.

    Args:
        truth: whether each image has the label, [N].
        scores: the larger the likelier, [N].

    Example:
        >>> ranking = Ranking(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7]))
        >>> round(ranking.average_precision(), 3), ranking.average_precision(np.array([1, 0, 2]))
        (0.833, 1.0)
    """

    def __init__(self, truth: Labels, scores: Floats) -> None:
        self._order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
        ordered = np.asarray(scores, np.float64)[self._order]
        self._truth = np.asarray(truth, np.float64)[self._order]
        # Images of equal scores cannot be told apart: only the last of them ends a step of the curve.
        self._ends = np.flatnonzero(np.append(np.diff(ordered) != 0, True))

    def average_precision(self, counts: npt.NDArray[np.integer] | None = None) -> float:
        """The sum over the steps of the curve of precision times the rise of recall; not a number without positives.

        Args:
            counts: how often each image counts, [N]; by default once.
        """
        weights = np.ones(len(self._order)) if counts is None else counts[self._order].astype(np.float64)
        hits, given = self._curve(weights)
        if not hits[-1]:
            return float("nan")
        precision = np.divide(hits, given, out=np.zeros_like(hits), where=given > 0)
        return float((np.diff(hits, prepend=0) * precision).sum() / hits[-1])

    def precisions(self) -> Floats:
        """The precision at each image's own score, in the order of the images, [N]."""
        hits, given = self._curve(np.ones(len(self._order)))
        steps = np.searchsorted(self._ends, np.arange(len(self._order)))
        precisions = np.empty(len(self._order))
        precisions[self._order] = (hits / given)[steps]
        return precisions

    def best_threshold(self, scores: Floats) -> float:
        """The score from which on giving the label has the largest F1, halfway to the next lower score.

        Args:
            scores: as this was made from.
        """
        hits, given = self._curve(np.ones(len(self._order)))
        if not hits[-1]:
            return 1.0
        best = int(np.argmax(2 * hits / (given + hits[-1])))
        ordered = np.asarray(scores, np.float64)[self._order]
        lowest = ordered[self._ends[best]]
        below = ordered[self._ends[best] + 1] if self._ends[best] + 1 < len(ordered) else 0.0
        return float((lowest + below) / 2)

    def _curve(
        self, weights: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Positives, and all images, from the best score down to the end of each step."""
        return np.cumsum(weights * self._truth)[self._ends], np.cumsum(weights)[self._ends]


def average_precision(truth: Labels, scores: Floats) -> float:
    """The area under the curve of precision over recall, by its steps; not a number without positives.

    Args:
        truth: whether each image has the label, [N].
        scores: the larger the likelier, [N].

    Source: as `average_precision_score` of scikit-learn; without interpolation, as Manning et al. 2008, section 8.4.

    Example:
        >>> round(average_precision(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 3)
        0.833
    """
    return Ranking(truth, scores).average_precision()


def rankings(labels: Labels, scores: Floats) -> list[Ranking]:
    """The ranking of each label.

    Shape:
        [N, classes], [N, classes] -> classes
    """
    return [Ranking(truth, own) for truth, own in zip(labels.T, scores.T, strict=True)]


def mean_average_precision(labels: Labels, scores: Floats) -> float:
    """The mean over the labels of the average precision; labels that no image has are left out. 0 without any.

    Shape:
        [N, classes], [N, classes] -> a number

    Example:
        >>> labels, scores = np.array([[1, 0, 0], [0, 1, 0]]), np.array([[0.9, 0.4, 0.1], [0.2, 0.3, 0.1]])
        >>> mean_average_precision(labels, scores)
        0.75
    """
    return _mean([ranking.average_precision() for ranking in rankings(labels, scores)])


def image_parts(labels: Labels, scores: Floats) -> npt.NDArray[np.float64]:
    """What each image adds to the mean average precision, times their number: their mean is that precision.

    For each label that it has, the precision at its own score, divided by how many have that label. So means over
    resampled images can stand for the precision on them, where precisions are taken as they are.

    Shape:
        [N, classes], [N, classes] -> [N]

    Example:
        >>> labels, scores = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.4], [0.2, 0.3]])
        >>> image_parts(labels, scores).tolist()
        [1.0, 0.5]
    """
    totals = labels.sum(0)
    known = totals > 0
    parts = np.zeros(len(labels))
    for place in np.flatnonzero(known).tolist():
        precisions = Ranking(labels[:, place], scores[:, place]).precisions()
        parts += labels[:, place] * precisions / totals[place]
    return parts * len(labels) / max(1, int(known.sum()))


def precision_interval(
    labels: Labels, scores: Floats, *, seed: int = 0, groups: Groups | None = None
) -> Interval:
    """The 95 % interval of the mean average precision, by the bootstrap over images, or over groups of them.

    Shape:
        [N, classes], [N, classes] -> two numbers
    """
    every = rankings(labels, scores)
    value = _mean([ranking.average_precision() for ranking in every])
    drawn = [
        _mean([ranking.average_precision(counts) for ranking in every])
        for counts in resamples(len(labels), seed=seed, times=resamples_for(labels), groups=groups)
    ]
    return bootstrap_interval(value, drawn, most=1.0)


def best_thresholds(labels: Labels, probabilities: Floats) -> tuple[float, ...]:
    """For each label, the probability from which on giving it has the largest F1; 1 where no image has it.

    Shape:
        [N, classes], [N, classes] -> classes

    Example:
        >>> best_thresholds(np.array([[1], [1], [0]]), np.array([[0.75], [0.5], [0.25]]))
        (0.375,)
    """
    pairs = zip(rankings(labels, probabilities), probabilities.T, strict=True)
    return tuple(ranking.best_threshold(own) for ranking, own in pairs)


def _mean(values: list[float]) -> float:
    known = [value for value in values if value == value]  # noqa: PLR0124 - not those that are no numbers
    return sum(known) / len(known) if known else 0.0
