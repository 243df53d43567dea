"""Whether a network is as sure as it should be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from allometry.runs import CalibrationBin, Interval
from allometry.training.metrics.intervals import Groups, fraction_interval

BINS = 15
_CHANCES = 200
Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


def reliability(
    confidence: Floats, correct: Bools, *, bins: int = BINS, groups: Groups | None = None
) -> tuple[CalibrationBin, ...]:
    """Answers by their probability, in bins of equal width: the table of a reliability diagram.

    Args:
        confidence: probability of each answer, [N].
        correct: whether each answer is correct, [N].
        bins: how many.
        groups: of the images, int64 [N], by which the intervals are; None for each image on its own.

    Source: Guo et al. 2017, section 2.

    Example:
        >>> table = reliability(np.array([0.6, 0.9, 0.8]), np.array([True, True, False]), bins=2)
        >>> [(row.low, row.images) for row in table]
        [(0.0, 0), (0.5, 3)]
        >>> round(table[1].accuracy, 3), round(table[1].confidence, 3)
        (0.667, 0.767)
    """
    places = bins_of(confidence, bins=bins)
    images = np.bincount(places, minlength=bins).tolist()
    sure = np.bincount(places, weights=confidence, minlength=bins).tolist()
    hits = np.bincount(places, weights=correct, minlength=bins).tolist()
    return tuple(
        CalibrationBin(
            low=place / bins,
            high=(place + 1) / bins,
            images=number,
            confidence=sure[place] / number if number else None,
            accuracy=hits[place] / number if number else None,
            interval=_fraction(correct, places == place, groups) if number else None,
        )
        for place, number in enumerate(images)
    )


def _fraction(correct: Bools, chosen: Bools, groups: Groups | None) -> Interval:
    return fraction_interval(correct[chosen], None if groups is None else groups[chosen])


def bins_of(confidence: Floats, *, bins: int = BINS) -> npt.NDArray[np.int64]:
    """The bin of each probability, from 0; a probability on an edge belongs to the lower bin.

    Shape:
        [N] -> int64 [N]

    Example:
        >>> bins_of(np.array([0.0, 0.2, 0.21, 1.0]), bins=5).tolist()
        [0, 0, 1, 4]
    """
    edges = np.arange(1, bins) / bins
    return np.searchsorted(edges, np.asarray(confidence, np.float64), side="left").astype(np.int64)


def calibration_error(confidence: Floats, correct: Bools, *, bins: int = BINS) -> float:
    """The expected calibration error: by how much answers are more or less probable than they are correct.

    The mean over the bins of |accuracy - confidence|, weighted by their images: 0 for a network that is correct in 80 %
    of the cases where it says 80 %, and so on.

    Args:
        confidence: probability of each answer, [N].
        correct: whether each answer is correct, [N].
        bins: of equal width.

    Source: Guo et al. 2017, equation 3.

    Example:
        >>> round(calibration_error(np.array([0.9, 0.9]), np.array([True, False])), 3)
        0.4
    """
    gaps = np.asarray(confidence, np.float64) - correct
    return binned_error(bins_of(confidence, bins=bins), gaps, bins=bins)


def binned_error(
    places: npt.NDArray[np.int64], gaps: Floats, *, bins: int = BINS, images: int | None = None
) -> float:
    """The calibration error of answers whose bins and whose differences between confidence and truth are known.

    Args:
        places: bin of each answer, int64 [N].
        gaps: confidence - 1 of a correct answer, confidence of a wrong one, [N].
        bins: how many.
        images: how many answers these are, if some of them stand for several or for none; by default N.

    Example:
        >>> round(binned_error(np.array([1, 1]), np.array([-0.1, 0.9]), bins=2), 3)
        0.4
    """
    return float(np.abs(np.bincount(places, weights=gaps, minlength=bins)).sum() / (images or len(gaps)))


def chance_error(confidence: Floats, *, seed: int, bins: int = BINS) -> float:
    """The calibration error that chance alone gives: that of a perfectly calibrated network, equally sure.

    On few images even such a network has an error, because some bins are luckier than others. A measured error is
    only worth a thought where it is well above this one.

    Args:
        confidence: probability of each answer, [N].
        seed: of the draws; the mean of 200 is given.
        bins: of equal width.

    Source: consistency resampling, Broecker & Smith 2007.

    Example:
        >>> confidence = np.full(10_000, 0.8)
        >>> chance_error(confidence[:10], seed=0) > 10 * chance_error(confidence, seed=0)
        True
    """
    random = np.random.default_rng(seed)
    places, sure = bins_of(confidence, bins=bins), np.asarray(confidence, np.float64)
    errors = [
        binned_error(places, sure - (random.random(len(sure)) < sure), bins=bins) for _ in range(_CHANCES)
    ]
    return float(np.mean(errors))
