"""How far a figure measured on some images may be from the truth: 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from allometry.runs import Interval

RESAMPLES = 1000


def wilson_interval(correct: int, total: int, *, z: float = 1.959964) -> Interval:
    """The 95 % interval of a fraction that was seen `correct` times in `total`.

    Source: Wilson 1927.

    Example:
        >>> [round(bound, 3) for bound in wilson_interval(90, 100)]
        [0.826, 0.945]
    """
    share = correct / total
    center = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)


def resamples(
    images: int, *, seed: int, times: int = RESAMPLES
) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Draw as many images as there are, with replacement, again and again: how often each one was drawn.

    Shape:
        int64 [images], `times` times

    Source: the bootstrap, Efron 1979.

    Example:
        >>> counts = next(resamples(5, seed=0))
        >>> counts.shape, int(counts.sum())
        ((5,), 5)
    """
    random = np.random.default_rng(seed)
    for _ in range(times):
        yield np.bincount(random.integers(0, images, images), minlength=images)


def bootstrap_interval(
    value: float, resampled: npt.ArrayLike, *, least: float = 0.0, most: float = math.inf
) -> Interval:
    """The 95 % interval of a figure, from its values on resampled images.

    It is the basic (reverse percentile) interval: it takes the resampled figures' distance from the measured one for
    that of the measured one from the truth. Where chance pushes a figure one way, as it does with the calibration
    error, it is pushed again in each resample, and this interval corrects that; the interval of plain percentiles
    would double it.

    Args:
        value: the figure on the images as they are.
        resampled: the figure on each resample.
        least: the figure cannot be lower.
        most: the figure cannot be higher.

    Source: Davison & Hinkley 1997, section 5.2.

    Example:
        >>> bootstrap_interval(0.5, [0.5, 0.6, 0.7], least=0.35)
        (0.35, 0.495)
    """
    low, high = np.quantile(np.asarray(resampled, dtype=np.float64), (0.025, 0.975)).tolist()
    bounds = (min(max(bound, least), most) for bound in (2 * value - high, 2 * value - low))
    return next(bounds), next(bounds)
