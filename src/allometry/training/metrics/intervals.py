"""How far a figure measured on some images may be from the truth: 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from allometry.runs import Interval

RESAMPLES = 1000
Groups = npt.NDArray[np.int64]
"""The group of each image, [N], as a number."""
_NORMAL = 1.959964
_FEW = (12.706, 4.303, 3.182)


def wilson_interval(correct: int, total: int, *, z: float = _NORMAL) -> Interval:
    """The 95 % interval of a fraction that was seen `correct` times in `total`.

    Source: Wilson 1927.

    Example:
        >>> [round(bound, 3) for bound in wilson_interval(90, 100)]
        [0.826, 0.945]
    """
    return _wilson(correct / total, total, z=z)


def _wilson(share: float, total: float, *, z: float) -> Interval:
    center = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)


def fraction_interval(hits: npt.ArrayLike, groups: Groups | None = None) -> Interval:
    """The 95 % interval of the fraction of images that are hits, by images, or by groups of images that are alike.

    Images of one group, such as photos of one patient, are hits or not together, and tell less than as many images
    on their own. So Wilson's interval is taken of as many images as tell as much, for Student's t of the groups: the
    variance of the fraction is that between the groups. Where all images are hits, or none, a group counts as one.

    Shape:
        [N], int64 [N] -> two numbers

    Source: the variance of a ratio over clusters, Cochran 1977, section 9.4 onwards; the effective number of images in
    Wilson's interval, Korn & Graubard 1998.

    Example:
        >>> hits = np.arange(100) % 10 > 0
        >>> [round(bound, 3) for bound in fraction_interval(hits)]
        [0.826, 0.945]
        >>> [round(bound, 3) for bound in fraction_interval(hits, np.arange(100) % 10)]
        [0.523, 0.987]
    """
    values = np.asarray(hits, np.float64)
    total, share = len(values), float(values.mean())
    if groups is None:
        return wilson_interval(round(values.sum()), total)
    places, number = _numbered(groups)
    if number < 2:
        return 0.0, 1.0  # what another group would give, one group cannot tell
    variance = share * (1 - share)
    off = np.bincount(places, weights=values - share)
    between = number / (number - 1) * float((off**2).sum()) / total**2
    telling = min(float(total), variance / between) if between > 0 and variance > 0 else float(number)
    return _wilson(share, telling, z=_student(number - 1))


def resamples(
    images: int, *, seed: int, times: int = RESAMPLES, groups: Groups | None = None
) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Draw as many images as there are, or groups, with replacement, again and again: how often each image was drawn.

    Args:
        images: how many there are.
        seed: of the draws.
        times: how often.
        groups: of each image, int64 [images]; groups are drawn whole, so that the drawn images are more or fewer.

    Shape:
        int64 [images], `times` times

    Source: the bootstrap, Efron 1979; of groups, Davison & Hinkley 1997, section 3.8.

    Example:
        >>> counts = next(resamples(5, seed=0))
        >>> counts.shape, int(counts.sum())
        ((5,), 5)
        >>> next(resamples(4, seed=0, groups=np.array([0, 0, 1, 1]))).tolist()
        [0, 0, 2, 2]
    """
    random = np.random.default_rng(seed)
    places, number = (None, images) if groups is None else _numbered(groups)
    for _ in range(times):
        counts = np.bincount(random.integers(0, number, number), minlength=number)
        yield counts if places is None else counts[places]


def _numbered(groups: Groups) -> tuple[Groups, int]:
    """The groups numbered from 0, and how many there are."""
    names, places = np.unique(groups, return_inverse=True)
    return places, len(names)


def _student(freedom: int) -> float:
    """The 97.5 % point of Student's t, by its series around the normal distribution's.

    Source: Abramowitz & Stegun 1964, 26.7.5; off by less than 0.01 from four degrees of freedom on, so those below
    are listed.
    """
    if freedom <= len(_FEW):
        return _FEW[freedom - 1]
    z = _NORMAL
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


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
