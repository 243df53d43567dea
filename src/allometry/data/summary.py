"""What a data set holds, in numbers: counts, mean and deviation of the pixels, a fingerprint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from allometry.base import Progress
from allometry.data.dataset import Dataset, Labels, Split
from allometry.data.images.pixels import Pixels

_ENOUGH = 128  # pixels of the shorter side are enough for a mean and a deviation
_LEAST_DEVIATION = 1e-3
_NEAR_PURE = 24  # levels from black or white that still are ink or paper
_TOLD = 5  # images that are left out
_DRAWN = 0.75  # the rest of a drawing is the soft edge of its strokes


class Spread(NamedTuple):
    """Images per class."""

    least: int
    median: float
    most: int


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A data set in a few numbers.

    Attributes:
        name: of the data set.
        classes: how many.
        channels: 1 or 3.
        image_size: median shorter side, in pixels.
        images: per split.
        per_class: images per class, per split.
        rejected: files left out.
        multi_label: whether an image may have several labels, or none.

    Example:
        >>> from allometry.data import open_data
        >>> summary = summarize(open_data("icons"))
        >>> summary.images, summary.per_class["val"]
        ({'train': 7359, 'val': 862, 'test': 1716}, Spread(least=0, median=9.5, most=36))
    """

    name: str
    classes: int
    channels: int
    image_size: int
    images: dict[str, int]
    per_class: dict[str, Spread]
    rejected: int
    multi_label: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The same as a value for JSON."""
        spreads = {name: spread._asdict() for name, spread in self.per_class.items()}
        return {**asdict(self), "per_class": spreads}

    def __str__(self) -> str:
        kind = "gray" if self.channels == 1 else "color"
        several = ", several an image" if self.multi_label else ""
        lines = [f"{self.name}: {self.classes} classes{several}, {kind} images of about {self.image_size} px"]
        for name, count in self.images.items():
            least, middle, most = self.per_class[name]
            lines.append(f"  {name:<5} {count:>9,} images, per class {least} to {most}, median {middle:g}")
        if self.rejected:
            lines.append(f"  left out: {self.rejected:,} file{'s' * (self.rejected != 1)}")
        return "\n".join(lines)


class Normalization(NamedTuple):
    """Mean and standard deviation of each channel, for pixels from 0 to 1.

    Example:
        >>> Normalization(mean=(0.5,), std=(0.25,))
        Normalization(mean=(0.5,), std=(0.25,))
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


def summarize(dataset: Dataset) -> Summary:
    """Count a data set.

    Example:
        >>> from allometry.data import open_data
        >>> print(summarize(open_data("icons")))
        icons: 88 classes, gray images of about 96 px
          train     7,359 images, per class 32 to 243, median 76
          val         862 images, per class 0 to 36, median 9.5
          test      1,716 images, per class 1 to 50, median 19
    """
    return Summary(
        name=dataset.name,
        classes=len(dataset.classes),
        channels=dataset.channels,
        image_size=dataset.image_size,
        images={name: len(split) for name, split in dataset.splits.items()},
        per_class={name: _spread(split, len(dataset.classes)) for name, split in dataset.splits.items()},
        rejected=len(dataset.rejected),
        multi_label=dataset.multi_label,
    )


def normalization(dataset: Dataset, *, sample: int = 1000, seed: int = 0) -> Normalization:
    """Mean and standard deviation of the training images' channels, over `sample` of them.

    Every image weighs the same, however large it is. A deviation is at least 0.001: dividing by it is safe.

    Raises:
        DataError: an image has gone or was damaged.

    Example:
        >>> from allometry.data import open_data
        >>> mean, std = normalization(open_data("icons"))
        >>> [round(value, 1) for value in (*mean, *std)]
        [0.3, 0.4]
    """
    number, chosen = _sample(dataset, sample, seed)
    sums, squares = np.zeros(dataset.channels), np.zeros(dataset.channels)
    for image in chosen:
        pixels = image.astype(np.float32) / 255
        sums += pixels.mean(axis=(0, 1), dtype=np.float64)
        squares += np.square(pixels).mean(axis=(0, 1), dtype=np.float64)
    mean = sums / number
    std = np.sqrt(np.maximum(squares / number - mean**2, _LEAST_DEVIATION**2))
    return Normalization(tuple(mean.tolist()), tuple(std.tolist()))


def is_line_art(dataset: Dataset, *, sample: int = 200, seed: int = 0) -> bool:
    """Whether the images are one-color drawings rather than photographs: gray, and nearly all ink or paper.

    In drawings left and right often differ, strokes may be thick or thin, and a negative shows the same thing.

    Raises:
        DataError: an image has gone or was damaged.

    Example:
        >>> from allometry.data import open_data
        >>> is_line_art(open_data("icons"))
        True
    """
    if dataset.channels != 1:
        return False
    number, chosen = _sample(dataset, sample, seed)
    extreme = sum(float(((image <= _NEAR_PURE) | (image >= 255 - _NEAR_PURE)).mean()) for image in chosen)
    return extreme / number >= _DRAWN


def _sample(dataset: Dataset, most: int, seed: int) -> tuple[int, Iterator[Pixels]]:
    """How many training images are chosen at random, and the images, shrunk to what statistics need."""
    split = dataset.splits["train"]
    random = np.random.default_rng(seed)
    chosen = random.choice(len(split), size=min(max(1, most), len(split)), replace=False).tolist()
    return len(chosen), (split.image(index, min_side=_ENOUGH) for index in chosen)


def tell_oddities(dataset: Dataset, progress: Progress, *, listed_in: str = "") -> None:
    """Tell what is odd about the images, and the first of those that are left out.

    Args:
        dataset: of the images.
        progress: told of them.
        listed_in: the file that has all of those that are left out.
    """
    for remark in dataset.remarks:
        progress.say(f"look at this: {remark}")
    for rejected in dataset.rejected[:_TOLD]:
        progress.say(f"left out: {rejected.path}: {rejected.reason}")
    if len(dataset.rejected) > _TOLD:
        all_of_them = f"; {listed_in} lists them all" if listed_in else ""
        progress.say(f"left out: {len(dataset.rejected) - _TOLD:,} more{all_of_them}")


def _spread(split: Split, classes: int) -> Spread:
    counts = images_per_class(split.labels, classes)
    return Spread(min(counts), float(median(counts)), max(counts))


def images_per_class(labels: Labels, classes: int) -> list[int]:
    """How many images have each label.

    Example:
        >>> images_per_class(np.array([0, 2, 2]), 3), images_per_class(np.array([[1, 1, 0], [0, 1, 0]]), 3)
        ([1, 0, 2], [1, 2, 0])
    """
    counts: list[int] = (
        labels.sum(0, dtype=np.int64) if labels.ndim == 2 else np.bincount(labels, minlength=classes)
    ).tolist()
    return counts
