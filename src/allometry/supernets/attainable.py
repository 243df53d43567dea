"""How well accuracies on few images tell which networks are better: the bound of every predictor's tau."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from allometry.base import InputError
from allometry.supernets.predictor_quality import correlation

_FEWEST = 3


def attainable_tau(rights: npt.NDArray[np.integer]) -> float:
    """About what tau a predictor has that knows how good networks are, judged by accuracies on these images.

    Part of what differs between accuracies on the same images is chance, which no knowledge of the networks predicts.
    Accuracies on one half of the images correlate with those on the other as far as networks differ, and not their
    luck. From that follows how far accuracies on all images follow what they measure, and from this, for normal
    deviations, tau. All ways to halve the parts are averaged.

    Args:
        rights: right answers of each network in equal parts of the images, [N, parts]; an even number of parts.

    Returns:
        From 0 to 1.

    Raises:
        InputError: there are fewer than three networks, or the parts cannot be halved.

    Source: Spearman 1910, *Correlation calculated from faulty data*; Brown 1910, *Some experimental results in the
    correlation of mental abilities*; Greiner 1909 for tau from a correlation.

    Example:
        >>> random = np.random.default_rng(0)
        >>> good = random.normal(0.8, 0.02, (500, 1))
        >>> few, many = (random.binomial(images, good, (500, 8)) for images in (20, 2000))
        >>> round(attainable_tau(few), 1), round(attainable_tau(many), 1)
        (0.3, 0.9)
    """
    if rights.ndim != 2 or len(rights) < _FEWEST or rights.shape[1] < 2 or rights.shape[1] % 2:
        raise InputError(
            f"Right answers are those of {_FEWEST} networks or more in an even number of parts, not an array of "
            f"{list(rights.shape)}."
        )
    parts, whole = range(rights.shape[1]), rights.sum(1).astype(np.float64)
    found = []
    for others in combinations(parts[1:], len(parts) // 2 - 1):  # the half that has the first part
        half = rights[:, [0, *others]].sum(1)
        found.append(correlation(half, whole - half))
    halves = max(0.0, float(np.mean(found)))
    return float(2 / np.pi * np.arcsin(np.sqrt(2 * halves / (1 + halves))))
