"""Validation images in two halves: networks are learned about from one, and what was learned is judged by the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.base import InputError
from allometry.data import Split
from allometry.data.dataset import group_numbers
from allometry.supernets.predictor_quality import Accuracies, correlation

PARTS = 8
"""Into which the images are divided, where there are so many groups or images; the even ones are the first half."""


def validation_parts(split: Split, *, seed: int) -> npt.NDArray[np.int64]:
    """The part of each image, int64 [N], from 0: an even number of them, of about as many images each.

    Images of a group are in one part, so that what one half tells of another is told by other groups; where all are of
    one group, each counts for itself. Without groups the images of each class are dealt out in turn.

    Args:
        split: whose images they are.
        seed: of the draw.

    Raises:
        InputError: there is one image only.

    Example:
        >>> from allometry.data import open_data
        >>> val = open_data("icons").splits["val"]
        >>> parts = validation_parts(val, seed=0)
        >>> owners = {(group, part) for group, part in zip(val.groups, parts.tolist())}
        >>> int(parts.max()), len(owners) == len(set(val.groups))
        (7, True)
    """
    if len(split) < 2:
        raise InputError(
            "A predictor is fitted to one half of the validation images and judged by the other, and there is only "
            f"{len(split)}; use more images."
        )
    random = np.random.default_rng([seed, 7])
    groups = group_numbers(split)
    if groups is None or groups.max() == 0:
        labels = np.asarray(split.labels)
        classes = (
            labels if labels.ndim == 1 else np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
        )
        order = np.lexsort((random.random(len(split)), classes))
        parts = np.empty(len(split), np.int64)
        parts[order] = np.arange(len(split)) % _even(len(split))
        return parts
    sizes = np.bincount(groups)
    filled, part_of = np.zeros(_even(len(sizes)), np.int64), np.empty(len(sizes), np.int64)
    for group in np.lexsort((random.random(len(sizes)), -sizes)):  # the largest first: so parts become alike
        part_of[group] = filled.argmin()
        filled[part_of[group]] += sizes[group]
    return part_of[groups]


def _even(number: int) -> int:
    return min(PARTS, number - number % 2)


class Half(NamedTuple):
    """What networks came to on some of the images.

    Attributes:
        accuracies: [N].
        losses: [N], means.
    """

    accuracies: Accuracies
    losses: Accuracies


class PartSums(NamedTuple):
    """Sums over each part's images, for N networks.

    Attributes:
        correct: right answers, [N, parts].
        losses: [N, parts].
        images: [parts].
    """

    correct: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    images: npt.NDArray[np.int64]

    def half(self, first: int | None) -> Half:
        """The means over the even parts (`first=0`), the odd ones (1), or all (None).

        Example:
            >>> sums = PartSums(np.array([[3.0, 1.0]]), np.array([[2.0, 8.0]]), np.array([4, 4]))
            >>> [float(sums.half(first).accuracies[0]) for first in (0, 1, None)]
            [0.75, 0.25, 0.5]
        """
        chosen = slice(None) if first is None else slice(first, None, 2)
        images = self.images[chosen].sum()
        return Half(self.correct[:, chosen].sum(1) / images, self.losses[:, chosen].sum(1) / images)


def loss_is_better(halves: tuple[Half, Half]) -> bool:
    """Whether losses on one half tell more about accuracies on the other than accuracies do.

    They usually do: a loss says of each image how nearly it was right.

    Example:
        >>> random = np.random.default_rng(0)
        >>> good = random.normal(0, 1, 500)
        >>> noisy = lambda noise: good + random.normal(0, noise, 500)
        >>> loss_is_better(tuple(Half(noisy(2.0), -noisy(0.5)) for _ in range(2)))
        True
    """
    one, other = halves
    by_loss = -correlation(one.losses, other.accuracies) - correlation(other.losses, one.accuracies)
    return by_loss > 2 * correlation(one.accuracies, other.accuracies)


def accuracies_by_loss(half: Half) -> Accuracies:
    """The accuracies [N] that losses tell of: the straight line through accuracies over losses.

    Example:
        >>> half = Half(np.array([0.5, 0.7, 0.6]), np.array([1.0, 0.6, 0.8]))
        >>> accuracies_by_loss(half).round(3).tolist()
        [0.5, 0.7, 0.6]
    """
    losses = half.losses - half.losses.mean()
    spread = float(losses @ losses)
    slope = float(losses @ half.accuracies) / spread if spread > 0 else 0.0
    told: Accuracies = half.accuracies.mean() + slope * losses
    return told
