"""The classes of images beside those of a network that is to be judged by them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from allometry.base import DataError
from allometry.base.text import first_few
from allometry.base.units import plural
from allometry.data.dataset import Dataset, Labels, Split
from allometry.data.sources.classes import as_numbers

_SHOWN = 5
_BY_NAME = "by their names"


def known_labels(dataset: Dataset, splits: Sequence[Split], classes: tuple[str, ...]) -> tuple[Labels, str]:
    """The labels of some splits of a data set, one after the other, as indices into a network's classes.

    Classes are matched by their names, and numbers by their values. Where the data set has numbers and the network has
    names, the numbers are indices.

    Args:
        dataset: whose classes the labels mean.
        splits: of it.
        classes: of the network.

    Returns:
        The labels, and how the classes were matched, as a sentence.

    Raises:
        DataError: there are images of classes that the network does not know.
    """
    places, matched = _places(dataset, classes)
    labels = np.concatenate([split.labels for split in splits])
    several = labels.ndim == 2
    in_use = np.flatnonzero(labels.any(0)) if several else np.unique(labels)
    unknown = [index for index in in_use.tolist() if places[index] < 0]
    if unknown:
        raise DataError(_unknown(dataset, unknown, labels, classes))
    own = {int(places[index]) for index in in_use.tolist()}
    missing = [name for index, name in enumerate(classes) if index not in own]
    told = f"{dataset.name}: classes are matched {matched}"
    if missing:
        number = f"{len(missing):,} of the network's {plural(len(classes), 'class', 'classes')}"
        told += f"; it has no image of {number} ({_few(missing)})"
    return _relabel(labels, places, len(classes)), f"{told}."


def _relabel(labels: Labels, places: npt.NDArray[np.int64], number: int) -> Labels:
    if labels.ndim == 1:
        return places[labels]
    known = np.flatnonzero(places >= 0)
    columns: Labels = np.zeros((len(labels), number), np.uint8)
    columns[:, places[known]] = labels[:, known]
    return columns


def _places(dataset: Dataset, classes: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], str]:
    """For each class of the data set its place among the network's, or -1; and how that is known."""
    place_of = {name: place for place, name in enumerate(classes)}
    places = [place_of.get(name, -1) for name in dataset.classes]
    numbers = as_numbers(dataset.classes)
    if -1 in places and numbers is not None:
        values = as_numbers(classes)
        if values is not None and len(set(values)) == len(values):
            place_of_value = {value: place for place, value in enumerate(values)}
            places, matched = [place_of_value.get(number, -1) for number in numbers], "by their values"
            return np.array(places, np.int64), matched
        if set(places) == {-1} and (not dataset.multi_label or len(numbers) == len(classes)):
            places = [number if number < len(classes) else -1 for number in numbers]
            first = next((number for number in numbers if number < len(classes)), 0)
            matched = f"by their numbers, which are places among the network's classes ({first} is {classes[first]!r})"
            return np.array(places, np.int64), matched
    return np.array(places, np.int64), _BY_NAME


def _unknown(dataset: Dataset, unknown: Sequence[int], labels: Labels, classes: tuple[str, ...]) -> str:
    number = int(labels[:, unknown].any(1).sum() if labels.ndim == 2 else np.isin(labels, unknown).sum())
    names = _few([dataset.classes[index] for index in unknown])
    return (
        f"{dataset.name}: the network does not know {plural(len(unknown), 'class', 'classes')} of "
        f"{plural(number, 'image')}: {names}. It knows {_few(classes)}. Leave the others out."
    )


def _few(names: Sequence[str]) -> str:
    return first_few([repr(name) for name in names], _SHOWN)
