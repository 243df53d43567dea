"""Batches: made by a few threads ahead of time, and the same whatever their number."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.base import InputError
from allometry.data.augment.augmentation import Augmentation, augment
from allometry.data.augment.geometry import centre_view
from allometry.data.dataset import Labels, Split
from allometry.data.pictures.pixels import Pixels

Indices = npt.NDArray[np.int64]
_AHEAD = 2  # batches that wait ready, beyond those in the making
_SMALLEST_KEPT = 128  # smaller pictures save little memory, and strokes are drawn on them before they shrink
_LARGEST_ZOOM = 2.0  # rare tiny crops may be a little soft; keeping pictures for them would fill the memory


class Batch(NamedTuple):
    """Some images of a split.

    Attributes:
        images: uint8 [N, height, width, channels], C-contiguous.
        labels: int64 [N].
        indices: int64 [N], the images' places in the split.
    """

    images: Pixels
    labels: Labels
    indices: Indices
    others: Labels
    shares: npt.NDArray[np.float32]


def batches_per_epoch(split: Split, batch_size: int, *, drop_last: bool = True) -> int:
    """How many batches `train_batches` gives from `start=0`; at least 1.

    Example:
        >>> from allometry.data import open_data
        >>> train = open_data("icons").splits["train"]
        >>> batches_per_epoch(train, 1000), batches_per_epoch(train, 1000, drop_last=False)
        (7, 8)
    """
    _check_least(1, batch_size=batch_size)
    whole, rest = divmod(len(split), batch_size)
    return max(1, whole if drop_last or not rest else whole + 1)


def train_batches(
    split: Split,
    *,
    resolution: int,
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    epoch: int,
    start: int = 0,
    workers: int = 2,
    drop_last: bool = True,
    rank: int = 0,
    ranks: int = 1,
) -> Generator[Batch]:
    """The batches of one epoch, in random order, each image varied at random.

    The order comes from seed and epoch, an image's variant from seed, epoch and its index alone: neither
    depends on `workers` or `start`. A split smaller than a batch gives one batch of all its images.

    Args:
        split: what to learn from.
        resolution: side of the images, in pixels.
        batch_size: images per batch.
        augmentation: how strongly images are varied.
        seed: of the run.
        epoch: from 0.
        start: number of the first batch, to go on in the middle of an epoch.
        workers: threads.
        drop_last: leave out the last, smaller batch.
        rank: number of this process among those that train together.
        ranks: how many they are; each gets its part of every batch.

    Raises:
        InputError: a number is too small.
        DataError: a file has gone or was damaged; it is named. (While iterating.)

    Example:
        >>> from allometry.data import open_data
        >>> train = open_data("icons").splits["train"]
        >>> options = dict(resolution=32, batch_size=64, augmentation=Augmentation(rotation=10), seed=0)
        >>> batches = train_batches(train, epoch=3, start=2, **options)
        >>> batch = next(batches)
        >>> batch.images.shape, batch.labels.shape
        ((64, 32, 32, 1), (64,))
        >>> batches.close()
    """
    _check_least(1, resolution=resolution, batch_size=batch_size, workers=workers)
    _check_least(0, seed=seed, epoch=epoch, start=start)
    order = _random(seed, epoch, 0).permutation(len(split))
    count = batches_per_epoch(split, batch_size, drop_last=drop_last)
    groups = [order[number * batch_size : (number + 1) * batch_size] for number in range(start, count)]
    pairs = [(len(group) + 1) // 2 for group in groups]
    groups = [
        g[2 * (p * rank // ranks) : 2 * (p * (rank + 1) // ranks)] for g, p in zip(groups, pairs, strict=True)
    ]
    zoom = min(_LARGEST_ZOOM, (1 + augmentation.scale) / math.sqrt(augmentation.crop))
    at_least = _side_to_keep(resolution * zoom)

    def picture(index: int) -> Pixels:
        return augment(
            split.image(index, at_least=at_least),
            resolution=resolution,
            augmentation=augmentation,
            random=_random(seed, epoch, index + 1),
        )

    return _batches(split, groups, picture, resolution, workers)


def view_batches(
    split: Split, *, resolution: int, batch_size: int, crop: float = 1.0, workers: int = 2
) -> Generator[Batch]:
    """All images of a split in order, each as `centre_view`; the last batch may be smaller.

    Raises:
        InputError: a number is too small, or `crop` is not above 0 and at most 1.
        DataError: a file has gone or was damaged; it is named. (While iterating.)

    Example:
        >>> from allometry.data import open_data
        >>> val = open_data("icons").splits["val"]
        >>> [len(batch.labels) for batch in view_batches(val, resolution=32, batch_size=1000)]
        [1000, 371]
    """
    _check_least(1, resolution=resolution, batch_size=batch_size, workers=workers)
    if not 0 < crop <= 1:
        raise InputError(f"crop must be a share above 0 and at most 1, not {crop!r}.")
    order = np.arange(len(split))
    groups = [order[first : first + batch_size] for first in range(0, len(split), batch_size)]
    at_least = _side_to_keep(resolution / crop)

    def picture(index: int) -> Pixels:
        return centre_view(split.image(index, at_least=at_least), resolution=resolution, crop=crop)

    return _batches(split, groups, picture, resolution, workers)


def _batches(
    split: Split,
    groups: Sequence[Indices],
    picture: Callable[[int], Pixels],
    resolution: int,
    workers: int,
) -> Generator[Batch]:
    stop = threading.Event()

    def make(indices: Indices) -> Batch:
        images = np.empty((len(indices), resolution, resolution, split.channels), np.uint8)
        for place, index in enumerate(indices.tolist()):
            if stop.is_set():
                break  # nobody will look at this batch
            images[place] = picture(index)
        return Batch(
            images, split.labels[indices], indices, split.labels[indices], np.ones(len(indices), np.float32)
        )

    pool = ThreadPoolExecutor(workers, thread_name_prefix="allometry-batches")
    waiting: deque[Future[Batch]] = deque()
    try:
        for indices in groups:
            waiting.append(pool.submit(make, indices))
            if len(waiting) >= workers + _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _random(seed: int, epoch: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch, stream])))


def _side_to_keep(pixels: float) -> int:
    return max(_SMALLEST_KEPT, math.ceil(pixels))


def _check_least(least: int, **numbers: int) -> None:
    for name, value in numbers.items():
        if value < least:
            raise InputError(f"{name} must be an integer of at least {least}, not {value!r}.")
