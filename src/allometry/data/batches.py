"""Batches: made by a few threads ahead of time, and the same whatever their number."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.base import InputError
from allometry.data.augment.augmentation import Augmentation
from allometry.data.augment.geometry import centre_view
from allometry.data.augment.mixing import mix_pair
from allometry.data.augment.variation import draw_variant, side_needed, vary
from allometry.data.dataset import FileSplit, Labels, Split
from allometry.data.pictures.cache import PixelCache
from allometry.data.pictures.pixels import Pixels

Shares = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
_AHEAD = 2  # batches that wait ready, beyond those in the making
_SMALLEST_KEPT = 128  # smaller pictures save little memory, and strokes are drawn on them before they shrink
_WORTH_KEEPING = (
    0.5  # share of a split that has to fit into the cache for keeping to save more than decoding less
)
_LARGEST_ZOOM = 2.0  # rare tiny crops may be a little soft; keeping pictures for them would fill the memory


class Batch(NamedTuple):
    """Some images of a split.

    Attributes:
        images: uint8 [N, height, width, channels], C-contiguous.
        labels: int64 [N].
        indices: int64 [N], the images' places in the split.
        others: int64 [N], labels of the images that were mixed in; an image's own where nothing was.
        shares: float32 [N], 0 to 1, how much of each image is its own, as a weight of `labels`; the rest is of
            `others`. 1 where nothing was mixed in.
    """

    images: Pixels
    labels: Labels
    indices: Indices
    others: Labels
    shares: Shares


class _Group(NamedTuple):
    """A batch to be made: its number, its images' places in the split, and the first one's place in the batch."""

    number: int
    indices: Indices
    first: int


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
    depends on `workers`, `start` or `ranks`. A split smaller than a batch gives one batch of all its images.

    Images of files are read in one of two ways. Where the cache can hold half of the split or more, all are shrunk to
    one size that serves every epoch, and kept. Otherwise each is decoded no larger than its variant shows, and not
    kept. Which of the two follows from the images' sizes and the cache's limit alone, never from what is in the
    cache, so that an image looks the same in every run; and strokes, which depend on the size, always go the first
    way.

    With mixup or cutmix, the images at places 2k and 2k + 1 of a batch are mixed with each other, as drawn from seed,
    epoch, the batch's number and k; an odd last image stays as it is.

    Args:
        split: what to learn from.
        resolution: side of the images, in pixels.
        batch_size: images per batch, of all ranks together.
        augmentation: how strongly images are varied.
        seed: of the run.
        epoch: from 0.
        start: number of the first batch, to go on in the middle of an epoch.
        workers: threads.
        drop_last: leave out the last, smaller batch.
        rank: which part of every batch to make, from 0. Parts are contiguous and keep pairs together.
        ranks: number of parts, one for each process that trains.

    Raises:
        InputError: a number is too small, or a batch has fewer pairs of images than there are ranks.
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
    _check_least(1, resolution=resolution, batch_size=batch_size, workers=workers, ranks=ranks)
    _check_least(0, seed=seed, epoch=epoch, start=start, rank=rank)
    if rank >= ranks:
        raise InputError(f"rank must be below ranks ({ranks}), not {rank!r}.")
    order = _random(seed, epoch, 0).permutation(len(split))
    count = batches_per_epoch(split, batch_size, drop_last=drop_last)
    groups = [
        _part(number, order[number * batch_size : (number + 1) * batch_size], rank, ranks)
        for number in range(start, count)
    ]
    zoom = min(_LARGEST_ZOOM, (1 + augmentation.scale) / math.sqrt(augmentation.crop))
    at_least = _side_to_keep(resolution * zoom)
    keeps = augmentation.stroke > 0 or _worth_keeping(split, at_least)
    source = split if keeps else _not_kept(split)

    def picture(index: int) -> Pixels:
        variant = draw_variant(augmentation, _random(seed, epoch, index + 1))
        side = at_least
        if not keeps:
            height, width = source.size(index)
            side = side_needed(
                variant, height=height, width=width, resolution=resolution, augmentation=augmentation
            )
        image = source.image(index, at_least=side)
        return vary(image, variant, resolution=resolution, augmentation=augmentation)

    def mix(batch: Batch, group: _Group) -> None:
        for place in range(0, len(batch.labels) - 1, 2):
            one, other = batch.images[place], batch.images[place + 1]
            pair = (group.first + place) // 2
            random = _random(seed, epoch, group.number, pair + 1)
            share = mix_pair(one, other, mixup=augmentation.mixup, cutmix=augmentation.cutmix, random=random)
            batch.shares[place : place + 2] = share
            batch.others[place : place + 2] = batch.labels[place : place + 2][::-1]

    return _batches(source, groups, picture, resolution, workers, mix if augmentation.mixes else None)


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
    groups = [
        _Group(number, order[first : first + batch_size], 0)
        for number, first in enumerate(range(0, len(split), batch_size))
    ]
    at_least = _side_to_keep(resolution / crop)

    def picture(index: int) -> Pixels:
        return centre_view(split.image(index, at_least=at_least), resolution=resolution, crop=crop)

    return _batches(split, groups, picture, resolution, workers)


def _batches(
    split: Split,
    groups: Sequence[_Group],
    picture: Callable[[int], Pixels],
    resolution: int,
    workers: int,
    mix: Callable[[Batch, _Group], None] | None = None,
) -> Generator[Batch]:
    stop = threading.Event()

    def make(group: _Group) -> Batch:
        indices = group.indices
        images = np.empty((len(indices), resolution, resolution, split.channels), np.uint8)
        labels = split.labels[indices]
        batch = Batch(images, labels, indices, labels.copy(), np.ones(len(indices), np.float32))
        for place, index in enumerate(indices.tolist()):
            if stop.is_set():
                return batch  # nobody will look at it
            images[place] = picture(index)
        if mix is not None:
            mix(batch, group)
        return batch

    pool = ThreadPoolExecutor(workers, thread_name_prefix="allometry-batches")
    waiting: deque[Future[Batch]] = deque()
    try:
        for group in groups:
            waiting.append(pool.submit(make, group))
            if len(waiting) >= workers + _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _part(number: int, indices: Indices, rank: int, ranks: int) -> _Group:
    """What one rank makes of a batch: whole pairs, shared out evenly and in order."""
    pairs = -(-len(indices) // 2)
    if pairs < ranks:
        raise InputError(
            f"A batch of {len(indices)} images has {pairs} pairs, too few for {ranks} ranks: "
            "take larger batches or fewer processes."
        )
    first, end = 2 * (pairs * rank // ranks), 2 * (pairs * (rank + 1) // ranks)
    return _Group(number, indices[first:end], first)


def _worth_keeping(split: Split, at_least: int) -> bool:
    """Whether enough of the split's images, shrunk to this side, fit into its cache; without one they lie ready."""
    if not isinstance(split, FileSplit):
        return True
    sizes = np.asarray(split.sizes, np.float64).reshape(-1, 2)
    shares = np.minimum(1, at_least / sizes.min(axis=1))
    needed = float((sizes.prod(axis=1) * shares**2).sum()) * split.channels
    return needed * _WORTH_KEEPING <= split.cache.limit


def _not_kept(split: Split) -> Split:
    """The split without its cache, so that images of many sizes do not drive out those that are kept."""
    assert isinstance(split, FileSplit)  # noqa: S101
    return replace(split, cache=PixelCache(limit=0))


def _random(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _side_to_keep(pixels: float) -> int:
    return max(_SMALLEST_KEPT, math.ceil(pixels))


def _check_least(least: int, **numbers: int) -> None:
    for name, value in numbers.items():
        if value < least:
            raise InputError(f"{name} must be an integer of at least {least}, not {value!r}.")
