"""Batches for training and validation, made ahead of time by threads."""

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
from allometry.data.augment.augmentation import Augmentation
from allometry.data.augment.geometry import center_view, side_to_keep
from allometry.data.augment.mixing import mix_pair
from allometry.data.augment.variation import augment_image, draw_variant, need
from allometry.data.dataset import FileSplit, Labels, Split
from allometry.data.images.pixels import Pixels

MixWeights = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
_AHEAD = 2  # batches that wait ready, beyond those in the making
_WORTH_KEEPING = (
    0.5  # fraction of a split that has to fit into the cache for keeping to save more than decoding less
)
_LARGEST_ZOOM = 2.0  # rare tiny crops may be a little soft; keeping images for them would fill the memory


class Batch(NamedTuple):
    """Some images of a split.

    Attributes:
        images: uint8 [N, height, width, channels], C-contiguous.
        labels: int64 [N], or uint8 [N, classes] of images with several labels.
        indices: int64 [N], the images' places in the split.
        mixed_labels: as many, labels of the images that were mixed in; an image's own where nothing was.
        mix_weights: float32 [N], 0 to 1, how much of each image is its own, as a weight of `labels`; the rest is of
            `mixed_labels`. 1 where nothing was mixed in.

    Example:
        >>> from allometry.data import open_data
        >>> batches = view_batches(open_data("icons").splits["val"], resolution=32, batch_size=64)
        >>> batch = next(batches)
        >>> batch.images.shape, batch.indices[:3].tolist(), batch.mix_weights[:2].tolist()
        ((64, 32, 32, 1), [0, 1, 2], [1.0, 1.0])
        >>> batches.close()
    """

    images: Pixels
    labels: Labels
    indices: Indices
    mixed_labels: Labels
    mix_weights: MixWeights


class Group(NamedTuple):
    """A batch to be made, or a part of it.

    Attributes:
        number: of the batch.
        indices: int64 [N], its images' places in the split.
        first: the first one's place in the whole batch.
    """

    number: int
    indices: Indices
    first: int


def random_numbers(*key: int) -> np.random.Generator:
    """A generator of its own for each key of seed, epoch and the like.

    Example:
        >>> int(random_numbers(0, 1).integers(100)) == int(random_numbers(0, 1).integers(100))
        True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def make_batches(
    split: Split,
    groups: Sequence[Group],
    view: Callable[[int, int], Pixels],
    side_of: Callable[[int], int],
    workers: int,
    mix: Callable[[Batch, Group], None] | None = None,
) -> Generator[Batch]:
    """Make batches by a few threads ahead of time; closing the generator ends them.

    Args:
        split: gives labels and channels.
        groups: the batches.
        view: makes the view of an index at a side in pixels, uint8 [side, side, channels].
        side_of: gives the side of a batch's images, in pixels, by the batch's number; called in the threads.
        workers: threads.
        mix: what happens to the images of a batch when all are there; it writes into the batch.
    """
    stop = threading.Event()

    def make(group: Group) -> Batch:
        indices, side = group.indices, side_of(group.number)
        images = np.empty((len(indices), side, side, split.channels), np.uint8)
        labels = split.labels[indices]
        batch = Batch(images, labels, indices, labels.copy(), np.ones(len(indices), np.float32))
        for place, index in enumerate(indices.tolist()):
            if stop.is_set():
                return batch  # nobody will look at it
            images[place] = view(index, side)
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


def batches_per_epoch(split: Split, batch_size: int, *, drop_last: bool = True) -> int:
    """How many batches `train_batches` gives from `start=0`; at least 1.

    Example:
        >>> from allometry.data import open_data
        >>> train = open_data("icons").splits["train"]
        >>> batches_per_epoch(train, 1000), batches_per_epoch(train, 1000, drop_last=False)
        (7, 8)
    """
    _check_minimum(1, batch_size=batch_size)
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
    world_size: int = 1,
    side_of: Callable[[int], int] | None = None,
) -> Generator[Batch]:
    """The batches of one epoch, in random order, each image varied at random.

    The order comes from seed and epoch, an image's variant from seed, epoch and its index alone: neither
    depends on `workers`, `start` or `world_size`. A split smaller than a batch gives one batch of all its images.

    Images of files are read in one of two ways. Where the cache can hold half of the split or more, all are shrunk to
    one size that serves every epoch, and kept. Otherwise of each no more is decoded than its variant shows, less
    exactly, and nothing is kept. Which of the two follows from the images' sizes and the cache's limit alone, never
    from what is in the cache, so that an image looks the same in every run; and strokes, which depend on the size,
    always go the first way.

    With mixup or cutmix, the images at places 2k and 2k + 1 of a batch are mixed with each other, as drawn from seed,
    epoch, the batch's number and k; an odd last image stays as it is.

    Args:
        split: what to learn from.
        resolution: side of the images, in pixels; the largest one where batches differ.
        batch_size: images per batch, of all processes together.
        augmentation: how strongly images are varied.
        seed: of the run.
        epoch: from 0.
        start: number of the first batch, to go on in the middle of an epoch.
        workers: threads.
        drop_last: leave out the last, smaller batch.
        rank: which part of every batch to make, from 0. Parts are contiguous and keep pairs together.
        world_size: number of parts, one for each process that trains.
        side_of: gives the side of a batch's images by the batch's number, at most `resolution`, always the same for
            the same number; called by several threads. None for `resolution` throughout.

    Raises:
        InputError: a number is too small, or a batch has fewer pairs of images than there are processes.
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
    _check_minimum(1, resolution=resolution, batch_size=batch_size, workers=workers, world_size=world_size)
    _check_minimum(0, seed=seed, epoch=epoch, start=start, rank=rank)
    if rank >= world_size:
        raise InputError(f"rank must be below world_size ({world_size}), not {rank!r}.")
    order = random_numbers(seed, epoch, 0).permutation(len(split))
    count = batches_per_epoch(split, batch_size, drop_last=drop_last)
    groups = [
        _part(number, order[number * batch_size : (number + 1) * batch_size], rank, world_size)
        for number in range(start, count)
    ]
    return make_batches(
        split,
        groups,
        _training_view(split, augmentation, resolution, (seed, epoch)),
        side_of or (lambda _number: resolution),
        workers,
        _mixing(augmentation, (seed, epoch)) if augmentation.mixes else None,
    )


def _training_view(
    split: Split, augmentation: Augmentation, resolution: int, key: tuple[int, int]
) -> Callable[[int, int], Pixels]:
    """What makes the varied view of an image at a side; drawn by the key and the image's place."""
    zoom = min(_LARGEST_ZOOM, (1 + augmentation.scale) / math.sqrt(augmentation.crop))
    min_side = side_to_keep(resolution * zoom)
    files = _files_worth_reading(split, augmentation, min_side)

    def view(index: int, side: int) -> Pixels:
        variant = draw_variant(augmentation, random_numbers(*key, index + 1))
        if files is None:
            image = split.image(index, min_side=min_side)
        else:
            height, width = files.size(index)
            needed = need(variant, height=height, width=width, resolution=side, augmentation=augmentation)
            image = files.draft(index, min_side=needed.side, upper=needed.upper)
        return augment_image(image, variant, resolution=side, augmentation=augmentation)

    return view


def _mixing(augmentation: Augmentation, key: tuple[int, int]) -> Callable[[Batch, Group], None]:
    """What mixes the pairs of a batch with each other; drawn by the key, the batch and the pair."""

    def mix(batch: Batch, group: Group) -> None:
        for place in range(0, len(batch.labels) - 1, 2):
            one, other = batch.images[place], batch.images[place + 1]
            pair = (group.first + place) // 2
            random = random_numbers(*key, group.number, pair + 1)
            fraction = mix_pair(
                one, other, mixup=augmentation.mixup, cutmix=augmentation.cutmix, random=random
            )
            batch.mix_weights[place : place + 2] = fraction
            batch.mixed_labels[place : place + 2] = batch.labels[place : place + 2][::-1]

    return mix


def view_batches(
    split: Split, *, resolution: int, batch_size: int, crop: float = 1.0, workers: int = 2
) -> Generator[Batch]:
    """All images of a split in order, each as `center_view`; the last batch may be smaller.

    Raises:
        InputError: a number is too small, or `crop` is not above 0 and at most 1.
        DataError: a file has gone or was damaged; it is named. (While iterating.)

    Example:
        >>> from allometry.data import open_data
        >>> val = open_data("icons").splits["val"]
        >>> [len(batch.labels) for batch in view_batches(val, resolution=32, batch_size=500)]
        [500, 362]
    """
    _check_minimum(1, resolution=resolution, batch_size=batch_size, workers=workers)
    if not 0 < crop <= 1:
        raise InputError(f"crop must be a fraction above 0 and at most 1, not {crop!r}.")
    order = np.arange(len(split))
    groups = [
        Group(number, order[first : first + batch_size], 0)
        for number, first in enumerate(range(0, len(split), batch_size))
    ]
    min_side = side_to_keep(resolution / crop)

    def view(index: int, side: int) -> Pixels:
        return center_view(split.image(index, min_side=min_side), resolution=side, crop=crop)

    return make_batches(split, groups, view, lambda _number: resolution, workers)


def _part(number: int, indices: Indices, rank: int, world_size: int) -> Group:
    """What one rank makes of a batch: whole pairs, shared out evenly and in order."""
    pairs = -(-len(indices) // 2)
    if pairs < world_size:
        raise InputError(
            f"A batch of {len(indices)} images has {pairs} pairs, too few for {world_size} processes: "
            "take larger batches or fewer processes."
        )
    first, end = 2 * (pairs * rank // world_size), 2 * (pairs * (rank + 1) // world_size)
    return Group(number, indices[first:end], first)


def _files_worth_reading(split: Split, augmentation: Augmentation, min_side: int) -> FileSplit | None:
    """The split, where keeping its images, shrunk to this side, would save less than it costs."""
    if not isinstance(split, FileSplit) or augmentation.stroke:
        return None
    sizes = np.asarray(split.sizes, np.float64)
    fractions = np.minimum(1, min_side / sizes.min(axis=1))
    needed_bytes = float((sizes.prod(axis=1) * fractions**2).sum()) * split.channels
    if needed_bytes * _WORTH_KEEPING <= split.cache.limit:
        return None
    return split


def _check_minimum(minimum: int, **numbers: int) -> None:
    for name, value in numbers.items():
        if value < minimum:
            raise InputError(f"{name} must be an integer of at least {minimum}, not {value!r}.")
