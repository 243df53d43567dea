"""Labels as people have them in arrays: numbers or names, in one column or in one for each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.base import DataError
from allometry.data.dataset import Labels
from allometry.data.sources.classes import class_name, class_names, name_problem, sorted_classes

_KINDS = "labels must be integers or text [N], or 0 and 1 [N, classes]"


class ClassLabels(NamedTuple):
    """Labels with the classes that they mean.

    Attributes:
        classes: names.
        labels: int64 [N], indices into the classes; or uint8 [N, classes], 1 for each label that an image has.
        told: how the labels were taken, as a sentence, where that is not plain; else empty text.
    """

    classes: tuple[str, ...]
    labels: Labels
    told: str = ""


def class_labels(
    labels: object, classes: Sequence[str] | None, place: str, *, several: bool = False
) -> ClassLabels:
    """The classes that labels mean.

    Args:
        labels: [N] or [N, 1], whole numbers of any type or text; or [N, classes] of 0 and 1.
        classes: names, in the order of the numbers; by default the numbers or names among the labels, sorted.
        place: of the source, for messages.
        several: columns of 0 and 1 stay labels of which an image may have several, also where each has one.

    Raises:
        DataError: labels are of another kind, one is missing, or is none of the classes.

    Example:
        >>> class_labels([2.0, 10.0, 2.0], None, "arrays").classes
        ('2', '10')
        >>> class_labels(np.eye(3), None, "arrays").labels.tolist()
        [0, 1, 2]
    """
    plain = plain_labels(labels, place)
    names = None if classes is None else class_names(classes, place)
    if plain.ndim == 2:
        return _columns(plain, names, place, several=several)
    if plain.dtype.kind == "U":
        return _by_name(plain.tolist(), names, place)
    return _by_number(plain, names, place)


def plain_labels(labels: object, place: str) -> npt.NDArray[Any]:
    """Labels as int64 or text [N], or uint8 [N, classes].

    Raises:
        DataError: they are of another kind, or one is missing.

    Example:
        >>> plain_labels([[1.0], [0.0]], "arrays").tolist(), plain_labels([b"cat"], "arrays").tolist()
        ([1, 0], ['cat'])
    """
    try:
        array: npt.NDArray[Any] = np.asarray(labels)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{place}: {_KINDS}; these are of several lengths or kinds.") from error
    if array.ndim > 1 and set(array.shape[1:]) == {1}:
        array = array.reshape(len(array))
    if array.dtype.kind == "O" and array.ndim == 1:
        array = _of_objects(array.tolist(), place)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "surrogateescape")
    if array.dtype.kind == "T":  # NumPy's text of any length
        array = array.astype(str)
    if array.ndim == 2 and array.dtype.kind in "biuf" and array.shape[1]:
        if not np.isin(array, (0, 1)).all():
            raise DataError(f"{place}: labels [N, classes] must be 0 and 1, one for each class of an image.")
        return array.astype(np.uint8)
    if array.ndim != 1 or array.dtype.kind not in "biufU":
        raise DataError(f"{place}: {_KINDS}, not {array.dtype} {list(array.shape)}.")
    return array if array.dtype.kind == "U" else _whole(array, place)


def _whole(numbers: npt.NDArray[Any], place: str) -> npt.NDArray[np.int64]:
    """Numbers of any type as integers, where they are whole."""
    if numbers.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(numbers) | (numbers != np.rint(numbers)))
        if len(wrong):
            value = float(numbers[wrong[0]])
            what = "is missing" if math.isnan(value) else f"is {value:g}"
            raise DataError(
                f"{place}: {_KINDS}; that of row {wrong[0]} {what}. A class has a whole number or a name."
            )
    largest = np.iinfo(np.int64).max
    if numbers.dtype.kind != "b" and len(numbers) and float(np.abs(numbers.astype(float)).max()) >= largest:
        raise DataError(f"{place}: a label is beyond all bounds. Classes are numbered from 0.")
    return numbers.astype(np.int64)


def _of_objects(values: Sequence[object], place: str) -> npt.NDArray[Any]:
    """Objects of Python as an array of numbers or of text."""
    for row, value in enumerate(values):
        if value is None or (isinstance(value, float) and math.isnan(value)):
            raise DataError(f"{place}: the label of row {row} is missing. Leave the image out.")
    texts = [
        value.decode(errors="surrogateescape") if isinstance(value, bytes) else value for value in values
    ]
    if all(isinstance(text, str) for text in texts):
        return np.array(texts)
    if all(isinstance(value, int | float | np.number | np.bool_) for value in values):
        if any(isinstance(value, int) and abs(value) >= 2**63 for value in values):
            raise DataError(f"{place}: a label is beyond all bounds. Classes are numbered from 0.")
        return np.array(values, np.float64 if any(isinstance(value, float) for value in values) else np.int64)
    kinds = " and ".join(sorted({type(value).__name__ for value in values})[:3])
    raise DataError(f"{place}: {_KINDS}, not objects of the type {kinds}.")


def _by_name(texts: Sequence[str], names: tuple[str, ...] | None, place: str) -> ClassLabels:
    name_of = {text: class_name(text) for text in set(texts)}
    for text, name in name_of.items():
        if problem := name_problem(name):
            raise DataError(f"{place}: the label of row {texts.index(text)} {problem}.")
    known = sorted_classes(set(name_of.values())) if names is None else names
    unknown = sorted(set(name_of.values()) - set(known))
    if unknown:
        raise DataError(f"{place}: the label {unknown[0]!r} is not among the classes.")
    place_of = {name: index for index, name in enumerate(known)}
    return ClassLabels(known, np.array([place_of[name_of[text]] for text in texts], np.int64))


def _by_number(numbers: npt.NDArray[np.int64], names: tuple[str, ...] | None, place: str) -> ClassLabels:
    least, most = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    if least < 0:
        row = int(numbers.argmin())
        raise DataError(
            f"{place}: the label {least} of row {row} is no class; negative numbers mark images without one, as a "
            "rule. Leave them out."
        )
    if names is None:
        values, places = np.unique(numbers, return_inverse=True)
        return ClassLabels(tuple(map(str, values.tolist())), places.reshape(-1).astype(np.int64))
    if most == len(names) and int(numbers.min()) == 1:
        told = f"{place}: labels count from 1: 1 is {names[0]!r}, and {most} is {names[-1]!r}."
        return ClassLabels(names, numbers - 1, told)
    if most >= len(names):
        raise DataError(
            f"{place}: the label {most} is none of the {len(names)} classes, 0 to {len(names) - 1}."
        )
    return ClassLabels(names, numbers)


def _columns(
    columns: npt.NDArray[Any], names: tuple[str, ...] | None, place: str, *, several: bool
) -> ClassLabels:
    known = tuple(map(str, range(columns.shape[1]))) if names is None else names
    if len(known) != columns.shape[1]:
        raise DataError(
            f"{place}: labels have {columns.shape[1]} columns, but there are {len(known)} classes."
        )
    if several or not (columns.sum(1, dtype=np.int64) == 1).all():
        return ClassLabels(known, columns)
    told = f"{place}: each row of the labels has a single 1 (one-hot): that is the one class of its image."
    return ClassLabels(known, columns.argmax(1).astype(np.int64), told)
