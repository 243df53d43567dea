"""Data as people have it in Python: a name or a value in, a data set out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from allometry.base import DataError, InputError, Progress, SilentProgress, UnknownNameError
from allometry.base.checks import check_seed
from allometry.base.machine import memory, user_cache
from allometry.data.dataset import SPLITS, Dataset, Split
from allometry.data.images.cache import image_memory
from allometry.data.images.values import channels_last, is_tensor
from allometry.data.sources.arrays import Given, array_checks, assemble_arrays, with_channels
from allometry.data.sources.assembling import Found
from allometry.data.sources.grouping import Group, Grouping, as_grouping
from allometry.data.sources.item_kinds import MapDataset, items_of
from allometry.data.sources.items import Item, Items, find_in_items
from allometry.data.sources.labels import plain_labels
from allometry.data.sources.matching import known_labels
from allometry.data.sources.naming import full_name, short_name, with_group
from allometry.data.sources.opening import find_named
from allometry.data.sources.records import Judge, OpenOptions, splits_of
from allometry.data.subset import joined
from allometry.data.summary import tell_oddities

Arrays: TypeAlias = tuple[npt.ArrayLike | Sequence[object], npt.ArrayLike]
"""Images and their labels."""

Data: TypeAlias = Dataset | Arrays | MapDataset | Mapping[str, Arrays | MapDataset] | str | Path
"""What a verb takes as data; `as_dataset` says what each is."""

_VALUE = re.compile(r"[^/@]+@[0-9a-f]{32}")


def as_dataset(
    data: Data, *, group: Group | None = None, seed: int = 0, progress: Progress = SilentProgress()
) -> Dataset:
    """The data set that somebody means, by its name or by its value.

    - A `Dataset` stays as it is, and a name or path is opened by `open_data`.
    - `(images, labels)`: a uint8 array [N, height, width] or [N, height, width, channels], or a uint8 tensor
      [N, channels, height, width], and [N] integers or text, or [N, classes] of 0 and 1 where an image has several
      labels or none. They are not copied. `open_arrays` takes names for the
      classes, too. The images may be a list of PIL images or arrays of different sizes.
    - A map-style `torch.utils.data.Dataset`, or whatever else gives `(image, label)` for an index and has a length; a
      label may be [classes] of 0 and 1.
      An image is a PIL image, a uint8 array or a tensor (see `image_pixels`); `classes` are their names where there
      are any, as in torchvision. Images keep their own sizes: each training view is cut out of the whole image, as
      with files. Every item is read once here and again when it is needed, one at a time; small versions are kept
      in memory. So transforms must give the same each time: leave random ones to the recipe.
    - A `datasets.Dataset` of Hugging Face with a column of images and one of labels.
    - Several of these by the names of their splits (train, val or validation, test): a dict, or a `DatasetDict`.

    Splits that are not given are cut as `open_data` does it: 15 % of each class, decided by seed and content.

    Args:
        data: a name or a value.
        group: what the images of a group have in common, as for `open_data`; of items that are dicts, or rows of a
            table, the key or column `group` by default, and else `groups` of the data set itself, one for each item.
        seed: of the splits that are cut.
        progress: told of each image that is read.

    Raises:
        DataError: it is none of these, or its images or labels are not.
        InputError: `group` cannot be understood, or a `Dataset` is given, whose groups are settled.

    Example:
        >>> images = np.arange(20, dtype=np.uint8).repeat(64).reshape(20, 8, 8)
        >>> as_dataset((images, np.arange(20) % 2))
        Dataset(arrays: 2 classes, train 12, val 4, test 4)
        >>> pairs = [(image, "even" if number % 2 == 0 else "odd") for number, image in enumerate(images)]
        >>> as_dataset(pairs).classes
        ('even', 'odd')
    """
    return _find(data, as_grouping(group), seed=seed, progress=progress, partial=False)(None)


def _find(data: Data, grouping: Grouping, *, seed: int, progress: Progress, partial: bool) -> Found:
    """Look at the images that somebody means; classes and splits need not be complete where it is `partial`."""
    check_seed(seed)
    if isinstance(data, Dataset):
        if grouping.texts:
            raise InputError("The groups of a Dataset are settled; give group to open_data or open_arrays.")
        return lambda _judge: data
    cache_bytes = image_memory(memory())
    if isinstance(data, str | Path):
        options = OpenOptions(
            cache_folder=user_cache(),
            seed=seed,
            progress=progress,
            cache_bytes=cache_bytes,
            partial=partial,
            grouping=grouping,
        )
        return find_named(str(data), options)
    given = Given(grouping=grouping, seed=seed, place="arrays", progress=progress)
    if isinstance(data, Mapping):
        parts = _parts(data, grouping.column)
    elif isinstance(data, tuple):
        images, labels = _two(data)
        if isinstance(images, np.ndarray):
            return _find_in_arrays(images, _labels(labels), given)
        parts = {"": _items(data)}
    else:
        parts = {"": items_of(data, column=grouping.column)}
    return find_in_items(parts, cache_bytes=cache_bytes, given=given)


def _find_in_arrays(images: npt.NDArray[Any], labels: npt.ArrayLike, given: Given) -> Found:
    given.grouping.refuse_column("arrays", "open_arrays takes groups for each image")
    pixels = with_channels(images, "images")
    checks = array_checks(pixels, given.progress)
    return lambda judge: assemble_arrays(pixels, labels, checks, replace(given, judge=judge), name="arrays")


class NamedSplit(NamedTuple):
    """Images to judge a network by.

    Attributes:
        name: of the split, or `all` where it is all images of the data.
        split: the images, with labels that are indices into the network's classes.
    """

    name: str
    split: Split


def as_split(
    data: Data,
    *,
    classes: tuple[str, ...],
    channels: int,
    multi_label: bool = False,
    split: str | None = None,
    group: Group | None = None,
    progress: Progress = SilentProgress(),
) -> NamedSplit:
    """Images to judge a network by: all of some data, or those of a split where the data comes with splits.

    Nothing is cut, and the data need not have every class. Classes are matched by their names, and numbers by their
    values; integers are indices into `classes` where these are no numbers.

    Args:
        data: as for `as_dataset`.
        classes: of the network.
        channels: that it takes, 1 or 3; the images are converted to it.
        multi_label: whether it gives several labels.
        split: `train`, `val` or `test`; by default `test` where the data has such a part, else all of it.
        group: what the images of a group have in common, as for `open_data`: intervals are by groups.
        progress: told of each image that is read, and of how the classes are matched.

    Raises:
        DataError: it is no data, or has no such split or images of other classes.

    Example:
        >>> images = np.arange(4, dtype=np.uint8).repeat(64).reshape(4, 8, 8)
        >>> name, split = as_split((images, ["cat", "dog", "dog", "cat"]), classes=("cat", "cow", "dog"), channels=1)
        >>> name, split.labels.tolist()
        ('all', [0, 2, 2, 0])
    """
    found = _find(data, as_grouping(group), seed=0, progress=progress, partial=True)
    network = _Judged(classes, Judge(channels=channels, multi_label=multi_label))
    return _judging(found, network, split, progress)


def as_trained_or_split(
    data: Data,
    *,
    fingerprint: str,
    seed: int,
    classes: tuple[str, ...],
    channels: int,
    multi_label: bool = False,
    split: str | None = None,
    group: Group | None = None,
    progress: Progress = SilentProgress(),
) -> Dataset | NamedSplit:
    """The data that a network was trained on, cut as it was then, wherever it lies; or what `as_split` gives of other.

    The images are looked at once.

    Args:
        data: as for `as_dataset`.
        fingerprint: of the data that the network was trained on.
        seed: of the splits that were cut.
        classes: as for `as_split`, as all that follows.
        channels: that the network takes.
        multi_label: whether it gives several labels.
        split: to judge by.
        group: what the images of a group have in common.
        progress: told of each image that is read.

    Raises:
        DataError: as for `as_split`.

    Example:
        >>> images, labels = np.arange(20, dtype=np.uint8).repeat(64).reshape(20, 8, 8), np.arange(20) % 2
        >>> trained = as_dataset((images, labels), seed=3)
        >>> known = dict(fingerprint=trained.fingerprint, seed=3, classes=trained.classes, channels=1)
        >>> as_trained_or_split((images, labels), **known)
        Dataset(arrays: 2 classes, train 12, val 4, test 4)
        >>> as_trained_or_split((images[:5], labels[:5]), **known).name
        'all'
    """
    found = _find(data, as_grouping(group), seed=seed, progress=progress, partial=True)
    try:
        dataset = found(None)
        if dataset.fingerprint == fingerprint:
            return dataset
    except DataError:  # it need not have enough images to be cut
        pass
    network = _Judged(classes, Judge(channels=channels, multi_label=multi_label))
    return _judging(found, network, split, progress)


class _Judged(NamedTuple):
    """What images have to fit that are to judge a network: its classes, and what it takes."""

    classes: tuple[str, ...]
    judge: Judge


def _judging(found: Found, network: _Judged, split: str | None, progress: Progress) -> NamedSplit:
    """The images that count of those that were found; see `as_split`."""
    dataset, multi_label = found(network.judge), network.judge.multi_label
    if dataset.multi_label != multi_label:
        ours, theirs = ("several labels", "one") if multi_label else ("one label", "several")
        raise DataError(
            f"The network was trained on images with {ours}, and those of {dataset.name} have {theirs}."
        )
    parts = {name: part for name, part in dataset.splits.items() if len(part)}
    marked = len(parts) > 1
    if split is not None and split not in parts:
        raise DataError(
            f"{dataset.name} has no images for {split}. Leave the split out to judge by all of its images."
        )
    chosen = split or ("test" if marked and "test" in parts else "all")
    splits = list(parts.values()) if chosen == "all" else [parts[chosen]]
    labels, told = known_labels(dataset, splits, network.classes)
    known = joined(splits, labels=labels, channels=network.judge.channels)
    number, whole = len(known), sum(map(len, parts.values()))
    which = f"the {number:,} for {chosen} of {whole:,} images"
    if number == whole:
        which = f"all {number:,} images" if number > 1 else "its only image"
    progress.say(f"{told} It is judged by {which}.")
    tell_oddities(dataset, progress)
    return NamedSplit(chosen, known)


def settle_data(
    data: Data, *, group: Group | None = None, seed: int, progress: Progress = SilentProgress()
) -> Dataset | str:
    """A value as the data set that it is; a name stays one, with its groups, and is opened where it is needed.

    Raises:
        DataError: the value is no data.
        InputError: the seed is none, or `group` cannot be understood.

    Example:
        >>> settle_data("icons", seed=0), settle_data("pets", group="folder", seed=0)
        ('icons', 'pets#group=folder')
    """
    check_seed(seed)
    if isinstance(data, str | Path):
        return with_group(str(data), as_grouping(group).texts)
    return as_dataset(data, group=group, seed=seed, progress=progress)


def data_argument(data: Dataset | str) -> str:
    """How a run folder remembers its data: a name in full, and a value by its name and fingerprint.

    Example:
        >>> data_argument("/data/a/../pets.csv")
        '/data/pets.csv'
        >>> images = np.arange(20, dtype=np.uint8).repeat(64).reshape(20, 8, 8)
        >>> data_argument(as_dataset((images, np.arange(20) % 2)))
        'arrays@6371191e3ae7b975e4f101aee4241b44'
    """
    return full_name(data) if isinstance(data, str) else f"{_plain(data.name)}@{data.fingerprint}"


def is_value(argument: str) -> bool:
    """Whether a run folder's argument stands for data that was given as a value, and so cannot be opened again.

    Example:
        >>> is_value("arrays@" + 32 * "0"), is_value("/data/pets")
        (True, False)
    """
    return _VALUE.fullmatch(argument) is not None


def data_name(data: Dataset | str) -> str:
    """The data set's part of a run folder's name.

    Example:
        >>> images = np.arange(20, dtype=np.uint8).repeat(64).reshape(20, 8, 8)
        >>> data_name("/data/pets.csv"), data_name(as_dataset((images, np.arange(20) % 2)))
        ('pets', 'arrays')
    """
    return short_name(data) if isinstance(data, str) else _plain(data.name)


def _parts(data: Mapping[str, Any], column: str | None) -> dict[str, Items]:
    """The items of each split, by its own name."""
    if not data:
        raise DataError("The data is an empty dict; give one data set for each split: train, val, test.")
    parts: dict[str, Items] = {}
    known = splits_of([str(name) for name in data])
    for name, part in data.items():
        split = known.get(str(name))
        if split is None:
            raise UnknownNameError("split", str(name), SPLITS, "Give the others no data.")
        if split in parts:
            raise DataError(f"Two splits are for {split}, the second called {name!r}; keep one.")
        parts[split] = _items(part) if isinstance(part, tuple) else items_of(part, column=column)
    return parts


def _two(data: tuple[object, ...]) -> tuple[object, object]:
    if len(data) != 2:
        raise DataError(f"Give data as (images, labels), not as a tuple of {len(data)}.")
    images, labels = data
    return (channels_last(_array(images)) if is_tensor(images) else images), labels


def _items(data: tuple[object, ...]) -> Items:
    """Images and labels as items."""
    images, labels = _two(data)
    if not isinstance(images, Sequence | np.ndarray) or isinstance(images, str | bytes):
        raise DataError(f"images must be an array or a list of images, not {type(images).__name__}.")
    if isinstance(images, np.ndarray) and images.dtype != np.uint8:
        raise DataError(f"images must be uint8, not {images.dtype}; multiply floats from 0 to 1 by 255.")
    listed = plain_labels(_labels(labels), "arrays").tolist()
    if len(listed) != len(images):
        raise DataError(f"There are {len(images):,} images but {len(listed):,} labels. Give one for each.")
    return Items("arrays", len(images), lambda index: Item(images[index], listed[index]))


def _labels(labels: Any) -> npt.ArrayLike:  # noqa: ANN401 - a tensor, an array or a list
    return _array(labels) if is_tensor(labels) else labels


def _array(tensor: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - torch is not loaded here
    array: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return array


def _plain(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "data"
