"""From images that were found and checked to a data set of files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import TypeAlias

import numpy as np

from allometry.data.dataset import Dataset, FileSplit, Labels, Store, read_only
from allometry.data.images.cache import PixelCache
from allometry.data.sources.check import Check, digest_rows
from allometry.data.sources.likeness import known_pairs
from allometry.data.sources.records import ImageRecord, Judge, Layout, OpenOptions
from allometry.data.sources.splitting import split_layout

Found: TypeAlias = Callable[[Judge | None], Dataset]
"""Images that were looked at once: what they are to judge a network by, or, with None, to learn from."""


def assemble(
    layout: Layout,
    checks: Mapping[str, Check],
    *,
    name: str,
    options: OpenOptions,
    store: Callable[[Sequence[ImageRecord]], Store],
    judge: Judge | None,
) -> Dataset:
    """A data set of image files.

    The images of each split stand in the order of their names. So two sources that give the same names to the same
    files have the same fingerprint and the same batches.

    Args:
        layout: what the source holds.
        checks: what is known of each image.
        name: of the data set.
        options: how it is opened.
        store: where the bytes of some images are read from.
        judge: the network that the images are to judge; None where they are to learn from.

    Raises:
        DataError: a class has too few usable images.
    """
    assigned = split_layout(
        layout,
        checks,
        seed=options.seed,
        judge=judge,
        grouping=options.grouping,
        find=partial(known_pairs, source=layout.place, options=options),
    )
    usable = [file for files in assigned.splits.values() for file in files]
    channels = 1 if all(checks[file.path].gray for file in usable) else 3
    channels = judge.channels if judge else channels
    cache = PixelCache(options.cache_bytes)

    def split(files: Sequence[ImageRecord]) -> FileSplit:
        known = [checks[file.path] for file in files]
        return FileSplit(
            names=tuple(file.path for file in files),
            labels=_labels(layout, [file.class_name for file in files]),
            digests=digest_rows([check.digest for check in known]),
            sizes=np.array([(check.height, check.width) for check in known], np.int32).reshape(-1, 2),
            channels=channels,
            cache=cache,
            store=store(files),
            levels=assigned.levels,
            groups=groups_of(files),
        )

    shorter = (min(checks[file.path].height, checks[file.path].width) for file in usable)
    return Dataset(
        name=name,
        classes=layout.classes,
        channels=channels,
        image_size=int(median(shorter)),
        splits={name: split(files) for name, files in assigned.splits.items()},
        rejected=assigned.rejected,
        levels=assigned.levels,
        remarks=assigned.remarks,
        grouped_by=options.grouping.texts,
    )


def groups_of(files: Sequence[ImageRecord]) -> tuple[str, ...] | None:
    """The group of each image, of one without any its name; None where none has a group."""
    if not any(file.group for file in files):
        return None
    return tuple(file.group or file.path for file in files)


def _labels(layout: Layout, class_names: Sequence[str]) -> Labels:
    """The labels of images, as a split has them."""
    number = {class_name: number for number, class_name in enumerate(layout.classes)}
    if not layout.multi_label:
        return read_only([number[name] for name in class_names])
    labels = np.zeros((len(class_names), len(number)), np.uint8)
    for row, class_name in enumerate(class_names):
        labels[row, [number[name] for name in layout.labels_of(class_name)]] = 1
    return read_only(labels)
