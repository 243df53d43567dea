"""From arrays of images and labels to a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.base import DataError, Progress, SilentProgress
from allometry.base.progress import tracked
from allometry.data.dataset import SPLITS, ArraySplit, Dataset, Images, Labels, Rejected, image_digest
from allometry.data.images.pixels import Pixels
from allometry.data.images.reading import Levels
from allometry.data.images.thumbnails import one_tone, thumbnail
from allometry.data.sources.assembling import groups_of
from allometry.data.sources.check import Check, digest_rows, is_uniform
from allometry.data.sources.grouping import UNGROUPED, Group, Grouping, as_grouping
from allometry.data.sources.labels import class_labels
from allometry.data.sources.likeness import Finder
from allometry.data.sources.near_duplicates import near_duplicates
from allometry.data.sources.records import SEPARATOR, ImageRecord, Judge, Layout, splits_of
from allometry.data.sources.splitting import split_layout


def open_arrays(
    images: Pixels,
    labels: npt.ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    group: Group | None = None,
    seed: int = 0,
    name: str = "arrays",
    progress: Progress = SilentProgress(),
) -> Dataset:
    """A data set of images that are in memory already; they are not copied.

    Splits are cut as `open_data` does it: of each class 15 % for val and for test, decided by seed and content, and
    equal images never lie in two splits.

    Args:
        images: uint8 [N, height, width] or [N, height, width, channels] with 1 or 3 channels.
        labels: [N], indices into `classes`, from 0 or from 1, or names of classes; or [N, classes] of 0 and 1: one 1 in
            each row for its class, or, of images with several labels or none, 1 for each label that an image has.
        classes: names; by default the numbers or names among the labels, sorted.
        names: of the images, N; by default their places.
        splits: train, val (valid, validation) or test for each image; by default they are cut.
        groups: of each image, such as its patient, site or video: images of one group stay in one split, and intervals
            are by groups; empty text, or by default, for an image on its own.
        group: what else the images of a group have in common (see `open_data`): `near-duplicates`, or a pattern of
            their names.
        seed: of the splits that are cut.
        name: of the data set.
        progress: told of each image that is looked at, and of how labels are taken where that is not plain.

    Raises:
        DataError: an array is not of that kind or length, or a class has too few images.
        InputError: `group` cannot be understood.

    Example:
        >>> images = np.arange(20, dtype=np.uint8).repeat(64).reshape(20, 8, 8)
        >>> open_arrays(images, np.arange(20) % 2, classes=["even", "odd"])
        Dataset(arrays: 2 classes, train 12, val 4, test 4)
        >>> several = np.stack([np.arange(20) % 2, np.arange(20) % 3 == 0], axis=1)
        >>> open_arrays(images, several, classes=["odd", "threefold"]).multi_label
        True
    """
    pixels, grouping = with_channels(images, "images"), as_grouping(group)
    grouping.refuse_column(name, "groups gives one for each image")
    given = Given(
        classes=classes,
        names=names,
        splits=splits,
        groups=groups,
        grouping=grouping,
        seed=seed,
        place=name,
        progress=progress,
    )
    return assemble_arrays(pixels, labels, array_checks(pixels, progress), given, name=name)


def array_checks(images: Images, progress: Progress) -> list[Check]:
    """What is known of each image, [height, width, channels], once it was looked at."""
    _, height, width, channels = images.shape
    checks = []
    with tracked(progress, "checking images", images.shape[0]) as advance:
        for row in range(images.shape[0]):
            image = images[row]
            looks = thumbnail(image)
            uniform = one_tone(looks) and is_uniform(image)
            check = Check(
                image_digest(image),
                height,
                width,
                channels == 1,
                "",
                brightest=int(image.max()),
                uniform=uniform,
                thumbnail="" if uniform else looks,
            )
            checks.append(check)
            advance(1)
    return checks


def with_channels(images: object, what: str) -> Pixels:
    """An array of images as [N, height, width, channels].

    Raises:
        DataError: it is not one.
    """
    kind = type(images).__name__
    if isinstance(images, np.ndarray):
        pixels: npt.NDArray[Any] = images
        if pixels.dtype == np.uint8 and pixels.size and pixels.ndim == 3:
            return pixels[..., np.newaxis]
        if pixels.dtype == np.uint8 and pixels.size and pixels.ndim == 4 and pixels.shape[3] in (1, 3):
            return pixels
        kind = f"{pixels.dtype} {list(pixels.shape)}"
    raise DataError(
        f"{what} must be uint8 [N, height, width] or [N, height, width, channels] with 1 or 3 channels, not {kind}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is given with N images and their labels.

    Attributes:
        classes: names; by default the numbers or names among the labels, sorted.
        names: of the images; by default their places.
        splits: of each image; by default they are cut.
        groups: of each image; empty for one on its own.
        grouping: what else the images of a group have in common.
        seed: of the splits that are cut.
        place: of the source, for messages.
        progress: told of how the labels are taken, where that is not plain.
        judge: the network that the images are to judge.
        find: finds the images that are nearly the same.
    """

    classes: Sequence[str] | None = None
    names: Sequence[str] | None = None
    splits: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    grouping: Grouping = UNGROUPED
    seed: int
    place: str
    progress: Progress
    judge: Judge | None = None
    find: Finder = near_duplicates


def assemble_arrays(
    images: Images, labels: npt.ArrayLike, checks: Sequence[Check], given: Given, *, name: str
) -> Dataset:
    """A data set of images that were looked at; see `open_arrays`."""
    _, height, width, channels = images.shape
    assigned = split_rows(labels, checks, given)

    def split(rows: npt.NDArray[np.int64]) -> ArraySplit:
        return ArraySplit(
            images=images,
            labels=assigned.labels[rows],
            names=tuple(assigned.names[row] for row in rows.tolist()),
            rows=rows,
            digests=digest_rows([checks[row].digest for row in rows.tolist()]),
            groups=assigned.groups_of(rows),
        )

    return Dataset(
        name=name,
        classes=assigned.classes,
        channels=channels,
        image_size=min(height, width),
        splits={split_name: split(rows) for split_name, rows in assigned.rows.items()},
        rejected=assigned.rejected,
        remarks=assigned.remarks,
        grouped_by=given.grouping.texts,
    )


class SplitRows(NamedTuple):
    """Images that are known by their places, in their splits.

    Attributes:
        classes: names.
        labels: of all images.
        names: of all images.
        groups: of all images; None where each is on its own.
        rows: for each split the places of its images, int64, in order.
        rejected: what is left out.
        levels: which values of 16 bits are black and white; None where they use the whole range.
        remarks: what is odd about the images.
    """

    classes: tuple[str, ...]
    labels: Labels
    names: tuple[str, ...]
    groups: tuple[str, ...] | None
    rows: dict[str, npt.NDArray[np.int64]]
    rejected: tuple[Rejected, ...]
    levels: Levels | None
    remarks: tuple[str, ...]

    def groups_of(self, rows: npt.NDArray[np.int64]) -> tuple[str, ...] | None:
        """The groups of some images."""
        return None if self.groups is None else tuple(self.groups[row] for row in rows.tolist())


def split_rows(labels: npt.ArrayLike, checks: Sequence[Check], given: Given) -> SplitRows:
    """Give each of N images its class and its split; see `open_arrays`.

    Args:
        labels: as for `open_arrays`.
        checks: what is known of each image.
        given: what is given with them.

    Raises:
        DataError: there are not N of everything, or a class has too few images.
    """
    classes, indices, told = class_labels(
        np.atleast_1d(labels) if np.isscalar(labels) else labels,
        given.classes,
        given.place,
        several=given.judge is not None and given.judge.multi_label,
    )
    _check_lengths(len(checks), indices, given)
    if told:
        given.progress.say(told)
    if len(classes) < 2 and not given.judge:
        raise DataError(f"{given.place} has only one class, and there is nothing to tell it from.")
    layout = _layout(classes, indices, given)
    names = [file.path for file in layout.files] if given.names is None else list(map(str, given.names))
    assigned = split_layout(
        layout,
        {file.path: check for file, check in zip(layout.files, checks, strict=True)},
        seed=given.seed,
        judge=given.judge,
        shown=lambda path: names[int(path)],
        grouping=given.grouping,
        find=given.find,
    )
    return SplitRows(
        classes=classes,
        labels=indices,
        names=tuple(names),
        groups=_groups(assigned.splits, len(checks)),
        rows={
            name: np.array([int(file.path) for file in chosen], np.int64)
            for name, chosen in assigned.splits.items()
        },
        rejected=assigned.rejected,
        levels=assigned.levels,
        remarks=assigned.remarks,
    )


def _check_lengths(number: int, labels: Labels, given: Given) -> None:
    known = {"labels": labels, "names": given.names, "splits": given.splits, "groups": given.groups}
    for what, values in known.items():
        if values is not None and len(values) != number:
            raise DataError(
                f"{given.place}: there are {number:,} images but {len(values):,} {what}. Give one for each."
            )


def _layout(classes: tuple[str, ...], labels: Labels, given: Given) -> Layout:
    """Images as records; numbers as names keep them in their order."""
    number = len(labels)
    splits = [""] * number if given.splits is None else _splits(given.splits, given.place, given.judge)
    digits = len(str(number))
    files = tuple(
        ImageRecord(
            f"{row:0{digits}}",
            split,
            class_name,
            group="" if given.groups is None else str(given.groups[row]),
        )
        for row, (split, class_name) in enumerate(zip(splits, _named(labels, classes), strict=True))
    )
    own_splits = tuple(split for split in SPLITS if split in set(splits))
    return Layout(given.place, classes, own_splits, files, (), multi_label=labels.ndim == 2)


def _groups(splits: Mapping[str, Sequence[ImageRecord]], number: int) -> tuple[str, ...] | None:
    """The groups of a number of images in their order; None where none that is used has one."""
    used = [file for files in splits.values() for file in files]
    known = groups_of(used)
    if known is None:
        return None
    groups = [""] * number
    for file, group in zip(used, known, strict=True):
        groups[int(file.path)] = group
    return tuple(groups)


def _named(labels: Labels, classes: Sequence[str]) -> list[str]:
    """The class of each image, or its labels, as a record names them."""
    if labels.ndim == 1:
        return [classes[index] for index in labels.tolist()]
    return [SEPARATOR.join(classes[index] for index in np.flatnonzero(row).tolist()) for row in labels]


def _splits(splits: Sequence[object], place: str, judge: Judge | None) -> list[str]:
    """The splits by their own names."""
    texts = [split.decode(errors="replace") if isinstance(split, bytes) else str(split) for split in splits]
    known = splits_of(sorted(set(texts)))
    unknown = sorted(set(texts) - set(known))
    if unknown:
        raise DataError(f"{place}: no split is called {unknown[0]!r}. Possible: train, val, test.")
    named = [known[text] for text in texts]
    if "train" not in named and not judge:
        raise DataError(f"{place} gives no image to train. Give some, or no splits to have them cut.")
    return named
