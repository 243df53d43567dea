"""Which data sets of others give items: PyTorch's, Hugging Face's, and plain sequences of pairs or dicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from allometry.base import DataError
from allometry.data.sources.grouping import USUAL_COLUMN
from allometry.data.sources.items import Item, Items

_IMAGE_COLUMNS = ("image", "img", "picture", "pixel_values")
_LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "class")


class MapDataset(Protocol):
    """Whatever gives a labeled image for an index, such as a map-style `torch.utils.data.Dataset`."""

    def __len__(self) -> int:
        """Number of items."""

    def __getitem__(self, index: int, /) -> Any:  # noqa: ANN401 - of whatever kind it is
        """The image and its label."""


def items_of(data: object, *, name: str | None = None, column: str | None = None) -> Items:
    """A map-style data set of PyTorch, a `datasets.Dataset`, or a sequence of pairs, as items.

    Args:
        data: the data set.
        name: what it is called.
        column: that has what images have in common; by default `group`, if there is one. Of items without names, what
            the data set itself has for each of them under that name, by default `groups`.

    Raises:
        DataError: it can only be iterated, gives batches, or is no data set.
    """
    kind = type(data).__name__
    called = name or kind.lower()
    if "DataLoader" in _kinds(data):
        raise DataError("A DataLoader gives batches; give its data set: data=loader.dataset.")
    length, getter = getattr(type(data), "__len__", None), getattr(type(data), "__getitem__", None)
    if length is None or getter is None or "IterableDataset" in _kinds(data) or isinstance(data, str | bytes):
        iterable = isinstance(data, Iterator) or hasattr(type(data), "__iter__")
        problem = (
            "can only be iterated" if iterable and not isinstance(data, str | bytes) else "is no data set"
        )
        raise DataError(
            f"{kind} {problem}. Give arrays (images, labels), or a data set that gives an (image, label) for an "
            "index and has a length; several of them in a dict with the names of their splits."
        )
    source: Any = data
    if len(source) == 0:
        raise DataError(f"{called} is empty.")
    if hasattr(source, "features") and hasattr(source, "column_names"):
        return _table(source, called, column)
    group, groups = column or USUAL_COLUMN, _groups_of(source, column or "groups")

    def read(index: int) -> Item:
        item = _pair(source[index], index, called, group)
        return item if groups is None else item._replace(group=groups[index])

    return Items(called, len(source), read, _names_of(source))


def _table(table: Any, name: str, column: str | None) -> Items:  # noqa: ANN401 - a `datasets.Dataset`, which is not needed here
    """The items of a `datasets.Dataset`: its image column, and its label column with the names of the classes."""
    features: Mapping[str, object] = table.features
    kinds = {column: type(feature).__name__ for column, feature in features.items()}
    image = _column(kinds, "Image", _IMAGE_COLUMNS, name)
    label = _column(kinds, "ClassLabel", _LABEL_COLUMNS, name)
    rows = table.with_format(None) if hasattr(table, "with_format") else table
    names = getattr(features[label], "names", None)
    known = getattr(getattr(table, "info", None), "dataset_name", None)

    group = column or USUAL_COLUMN
    if column is not None and column not in kinds:
        raise DataError(f"{name} has no column {column!r} for the group; its columns are {', '.join(kinds)}.")

    def read(index: int) -> Item:
        row = rows[index]
        return Item(row[image], row[label], row.get(group))

    return Items(str(known or name), len(table), read, tuple(map(str, names)) if names else None)


def _column(kinds: Mapping[str, str], kind: str, usual: Sequence[str], name: str) -> str:
    """The column of that kind, or the first with a usual name."""
    of_kind = [column for column, its in kinds.items() if its == kind]
    return of_kind[0] if of_kind else _usual_column(kinds, usual, name)


def _usual_column(columns: Iterable[str], usual: Sequence[str], name: str) -> str:
    known = list(columns)
    chosen = [column for column in usual if column in known]
    if not chosen:
        raise DataError(
            f"{name} has no column called {usual[0]}; its columns are {', '.join(known)}. Rename one of them: "
            f"data.rename_column('...', '{usual[0]}')."
        )
    return chosen[0]


def _pair(item: object, index: int, name: str, group: str) -> Item:
    if isinstance(item, Mapping):
        image, label = (_usual_column(item, usual, name) for usual in (_IMAGE_COLUMNS, _LABEL_COLUMNS))
        return Item(item[image], item[label], item.get(group))
    if isinstance(item, Sequence) and not isinstance(item, str) and len(item) >= 2:
        return Item(item[0], item[1])
    raise DataError(f"Item {index} of {name} must be an image and its label, not {type(item).__name__}.")


def _names_of(data: object) -> tuple[str, ...] | None:
    """The names of the classes, which torchvision keeps in `classes`, and a `Subset` in its data set."""
    names = getattr(data, "classes", None)
    if isinstance(names, Sequence) and not isinstance(names, str):
        return tuple(str(name) for name in names)
    inner = getattr(data, "dataset", None)
    return None if inner is None or inner is data else _names_of(inner)


def _kinds(value: object) -> set[str]:
    return {kind.__name__ for kind in type(value).__mro__}


def _groups_of(data: Any, name: str) -> Sequence[object] | None:  # noqa: ANN401 - of whatever kind it is
    """The group of each item, which a data set keeps under a name, and a `Subset` in its data set."""
    groups: Any = getattr(data, name, None)
    plain: object = groups.tolist() if hasattr(groups, "tolist") else groups
    if isinstance(plain, Sequence) and not isinstance(plain, str) and len(plain) == len(data):
        return plain
    inner, indices = getattr(data, "dataset", None), getattr(data, "indices", None)
    whole = None if inner is None or inner is data or indices is None else _groups_of(inner, name)
    return None if whole is None or indices is None else [whole[index] for index in indices]
