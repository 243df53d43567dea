"""What the trainings of a grid of laws say: which law is best, how sure that is, and what more MACs would buy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.base import InputError, RunFolderError

CorrectMatrix = npt.NDArray[np.bool_] | npt.NDArray[np.float64]
"""[seeds, images]: which validation images a network had correct, or what each adds to its accuracy, a row for each of
its trainings."""
Groups = npt.NDArray[np.int64]
"""The group of each validation image, [images], numbered from 0."""
RESAMPLES = 2000


def write_correct(correct: npt.NDArray[np.bool_] | npt.NDArray[np.floating[Any]]) -> str:
    """Which images a training had correct, as hexadecimal digits: of packed bits, or of 32-bit numbers.

    Example:
        >>> write_correct(np.array([True, False, True]))
        'a0'
    """
    if correct.dtype == np.bool_:
        return np.packbits(correct.astype(np.bool_)).tobytes().hex()
    return correct.astype(np.float32).tobytes().hex()


def read_correct(text: str, images: int, file: str) -> npt.NDArray[np.float64]:
    """What each image adds to the accuracy, [images], from what `write_correct` gave.

    Args:
        text: the digits.
        images: how many there are.
        file: where the text stands, for the message.

    Raises:
        RunFolderError: the text is not of so many images.

    Example:
        >>> read_correct("a0", 3, "trials.jsonl").tolist()
        [1.0, 0.0, 1.0]
    """
    try:
        content = bytes.fromhex(text)
    except ValueError:
        content = b""
    if len(content) == 4 * images:
        return np.frombuffer(content, np.float32).astype(np.float64)
    if len(content) != -(-images // 8):
        raise RunFolderError(
            f"{file} is damaged: it does not say which of {images} images a training had correct. Put a copy in its "
            "place, or begin anew with another folder (--out)."
        )
    return np.unpackbits(np.frombuffer(content, np.uint8), count=images).astype(np.float64)


class LawRanking(NamedTuple):
    """How good a network of the grid is.

    Attributes:
        accuracy: mean over its trainings.
        interval: 95 % of it, over seeds and images.
        best: fraction of the resamples in which it is the best of all.
        behind: how far it is behind the best one, and the 95 % interval of that; zeros for the best one itself.

    Example:
        >>> correct = {"deep": np.ones((2, 50), bool), "wide": np.zeros((2, 50), bool)}
        >>> ranking = rank_laws(correct, times=20)["wide"]
        >>> ranking.best, round(ranking.behind[0], 3)
        (0.0, 1.0)
    """

    accuracy: float
    interval: tuple[float, float]
    best: float
    behind: tuple[float, float, float]


def rank_laws(
    correct: Mapping[str, CorrectMatrix],
    *,
    groups: Groups | None = None,
    seed: int = 0,
    times: int = RESAMPLES,
) -> dict[str, LawRanking]:
    """Compare networks that were trained with the same seeds and judged on the same images.

    Seeds and images are resampled together for all of them: what makes an image hard, or a seed lucky, is shared.

    Args:
        correct: of each network, by its name; all of the same shape.
        groups: of each image, [images]: images of one group are drawn together; None for each on its own.
        seed: of the resampling.
        times: resamples.

    Raises:
        InputError: the shapes differ, or there is nothing to compare.

    Source: the bootstrap, Efron 1979, over both factors of a crossed design (Owen 2007, *The pigeonhole bootstrap*).

    Example:
        >>> draw = np.random.default_rng(0)
        >>> correct = {"deep": draw.random((3, 400)) < 0.8, "wide": draw.random((3, 400)) < 0.5}
        >>> rankings = rank_laws(correct)
        >>> rankings["deep"].best, rankings["wide"].behind[0] > 0.2
        (1.0, True)
    """
    shapes = {matrix.shape for matrix in correct.values()}
    if len(shapes) != 1:
        raise InputError(
            f"Networks to compare need the same seeds and images, not the shapes {sorted(shapes)}."
        )
    seeds, images = shapes.pop()
    names = list(correct)
    whole = np.stack([correct[name] for name in names]).astype(np.float64)
    random = np.random.default_rng(seed)
    means = np.empty((times, len(names)))
    for place in range(times):
        of_seed = np.bincount(random.integers(seeds, size=seeds), minlength=seeds) / seeds
        of_image = _image_weights(random, images, groups)
        means[place] = np.einsum("nsi,s,i->n", whole, of_seed, of_image)
    accuracy = whole.mean(axis=(1, 2))
    leader = int(accuracy.argmax())
    # Of equal ones each has its part.
    best = (means == means.max(axis=1, keepdims=True)).astype(np.float64)
    best /= best.sum(axis=1, keepdims=True)
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    behind = means[:, [leader]] - means
    behind_low, behind_high = np.quantile(behind, (0.025, 0.975), axis=0)
    return {
        name: LawRanking(
            float(accuracy[place]),
            (float(low[place]), float(high[place])),
            float(best[:, place].mean()),
            (
                float(accuracy[leader] - accuracy[place]),
                float(behind_low[place]),
                float(behind_high[place]),
            ),
        )
        for place, name in enumerate(names)
    }


def law_noise(correct: Sequence[CorrectMatrix], *, groups: Groups | None = None) -> float:
    """Estimate the variance of a law's mean accuracy by seeds and images, as far as laws differ by it.

    It is that between seeds, pooled over all laws, and no less than that of the images: what an image adds to one law
    and not to the others is drawn with the image, or with its group.

    Args:
        correct: of each network; all of the same shape.
        groups: of each image, as in `rank_laws`.

    Returns:
        A variance above 0.

    Raises:
        InputError: there are no laws, or their shapes differ.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> correct = [draw.random((2, 1000)) < 0.7 for law in range(5)]
        >>> 0.005 < law_noise(correct) ** 0.5 < 0.02
        True
    """
    if len({matrix.shape for matrix in correct}) != 1:
        raise InputError(
            "The noise of laws is that of trainings with the same seeds and images; these differ."
        )
    whole = np.stack(correct).astype(np.float64)
    laws, seeds, images = whole.shape
    accuracies = whole.mean(axis=2)
    of_seeds: float = accuracies.var(axis=1, ddof=1).mean() / seeds if seeds > 1 else 0.0
    own = whole.mean(axis=1)
    if laws > 1:  # what all laws share does not set them apart
        own = (own - own.mean(axis=0)) * math.sqrt(laws / (laws - 1))
    of_images = float(np.mean([_image_variance(row, groups) for row in own]))
    return float(max(of_seeds, of_images, 0.25 / images**2))  # where nothing differs, half an image


class LawDifference(NamedTuple):
    """How far a law is ahead of another one.

    Attributes:
        ahead: difference of the mean accuracies.
        noise: standard error of that, by images and, where there are several, by seeds.
    """

    ahead: float
    noise: float


def law_difference(
    ours: CorrectMatrix, theirs: CorrectMatrix, *, groups: Groups | None = None
) -> LawDifference:
    """Compare two laws image by image, and seed by seed.

    Both were trained with the same seeds and judged on the same images, so that what makes an image hard takes no part.

    Args:
        ours: of the one law.
        theirs: of the other; of the same shape.
        groups: of each image, as in `rank_laws`.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> both = draw.random((1, 400)) < 0.6
        >>> more = both | (np.arange(400) % 10 == 0)
        >>> ahead, noise = law_difference(more, both)
        >>> 0.03 < ahead < 0.05, noise < 0.012
        (True, True)
    """
    by_image = ours.astype(np.float64) - theirs.astype(np.float64)
    seeds, images = by_image.shape
    variance = _image_variance(by_image.mean(axis=0), groups)
    if seeds > 1:
        variance += float(by_image.mean(axis=1).var(ddof=1)) / seeds
    return LawDifference(float(by_image.mean()), math.sqrt(max(variance, 0.25 / images**2)))


def _image_variance(values: npt.NDArray[np.float64], groups: Groups | None) -> float:
    """The variance of the mean of what images add, [images], by images or by groups of them.

    Source: Cochran 1977, section 9.4 onwards.
    """
    off = values - values.mean()
    sums = off if groups is None else np.bincount(groups, weights=off)
    return float((sums**2).sum()) / len(values) ** 2 * len(sums) / max(len(sums) - 1, 1)


def _image_weights(
    random: np.random.Generator, images: int, groups: Groups | None
) -> npt.NDArray[np.float64]:
    """How much each image counts in a resample of images, or of their groups; they sum to 1."""
    number = images if groups is None else int(groups.max()) + 1
    drawn = np.bincount(random.integers(number, size=number), minlength=number)
    counts = drawn if groups is None else drawn[groups]
    weights: npt.NDArray[np.float64] = counts / counts.sum()
    return weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Extrapolation:
    """What a network of so many MACs would reach.

    Attributes:
        macs: of it.
        accuracy: to be expected, 0 to 1.
        interval: 95 % of it.

    Example:
        >>> Extrapolation(macs=4e6, accuracy=0.8, interval=(0.75, 0.84)).interval
        (0.75, 0.84)
    """

    macs: float
    accuracy: float
    interval: tuple[float, float]


def extrapolate(
    sizes: Sequence[tuple[float, CorrectMatrix]],
    macs: Sequence[float],
    *,
    groups: Groups | None = None,
    seed: int = 0,
    times: int = RESAMPLES,
) -> tuple[Extrapolation, ...]:
    """What larger networks would reach with the same training, if the error goes on falling as a power of the MACs.

    Args:
        sizes: MACs and what was correct, of trained networks of one law; two sizes or more.
        macs: to look out to.
        groups: of each image, as in `rank_laws`.
        seed: of the resampling.
        times: resamples.

    Raises:
        InputError: fewer than two sizes.

    Source: the power law of errors: Hestness et al. 2017, *Deep learning scaling is predictable, empirically*.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> sizes = [(macs, draw.random((3, 1000)) < 1 - macs**-0.1) for macs in (1e6, 2e6, 4e6)]
        >>> larger = extrapolate(sizes, [16e6])[0]
        >>> larger.interval[0] < 1 - 16e6**-0.1 < larger.interval[1]
        True
    """
    if len({size for size, _ in sizes}) < 2:
        raise InputError("An outlook needs trainings of two sizes or more.")
    logs = np.log([size for size, _ in sizes])
    wanted = np.log(np.asarray(macs, np.float64))
    whole = [correct.astype(np.float64) for _, correct in sizes]
    seeds, images = whole[0].shape
    random = np.random.default_rng(seed)
    drawn = np.empty((times, len(wanted)))
    for place in range(times):
        of_seed = np.bincount(random.integers(seeds, size=seeds), minlength=seeds) / seeds
        of_image = _image_weights(random, images, groups)
        drawn[place] = _line(logs, [float(of_seed @ correct @ of_image) for correct in whole], wanted, images)
    expected = _line(logs, [float(correct.mean()) for correct in whole], wanted, images)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    return tuple(
        Extrapolation(macs=math.exp(size), accuracy=float(value), interval=(float(least), float(most)))
        for size, value, least, most in zip(wanted, expected, low, high, strict=True)
    )


def _line(
    logs: npt.NDArray[np.float64], accuracies: Sequence[float], wanted: npt.NDArray[np.float64], images: int
) -> npt.NDArray[np.float64]:
    """Accuracies at other sizes, by a line through the logarithms of the errors."""
    errors = np.maximum(1 - np.asarray(accuracies), 0.5 / images)  # none is not zero, only too few to be seen
    slope, height = np.polyfit(logs, np.log(errors), 1)
    predicted: npt.NDArray[np.float64] = 1 - np.minimum(np.exp(height + slope * wanted), 1.0)
    return predicted
