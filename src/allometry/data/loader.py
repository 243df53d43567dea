"""Batches made by a few threads ahead of time, and the same whatever their number."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.data.dataset import Labels, Split
from allometry.data.images.pixels import Pixels

MixWeights = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
_AHEAD = 2  # batches that wait ready, beyond those in the making


class Batch(NamedTuple):
    """Some images of a split.

    Attributes:
        images: uint8 [N, height, width, channels], C-contiguous.
        labels: int64 [N].
        indices: int64 [N], the images' places in the split.
        mixed_labels: int64 [N], labels of the images that were mixed in; an image's own where nothing was.
        mix_weights: float32 [N], 0 to 1, how much of each image is its own, as a weight of `labels`; the rest is of
            `mixed_labels`. 1 where nothing was mixed in.
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
