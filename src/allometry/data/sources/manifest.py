"""From a manifest, a table that lists images with their classes, to a data set: CSV, tabs or Parquet."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from allometry.base import DataError
from allometry.base.extras import load_extra
from allometry.data.dataset import Dataset
from allometry.data.sources.assembling import assemble
from allometry.data.sources.checking import check_files
from allometry.data.sources.records import (
    SEPARATOR,
    ImageRecord,
    Layout,
    OpenOptions,
    RejectedFile,
    sorted_classes,
    split_of,
    stamp_of,
)
from allometry.data.sources.stores import FileStore

_NAMES = {
    "path": ("path", "file", "filename", "image"),
    "label": ("label", "class", "category"),
    "labels": ("labels", "classes", "tags"),
    "split": ("split",),
}
_BETWEEN = "|"  # the labels of an image
_OR_LABELS = "; labels, classes or tags, where an image has several, divided by |"
_DELIMITERS = ",;\t"


class Row(NamedTuple):
    """An image in a manifest.

    Attributes:
        path: of the image, from the manifest's folder or absolute.
        label: its class, or its labels.
        split: as it is written; empty where there is none.
        place: which row this is, for messages: `line 3`.
        several: whether an image may have several labels, or none.
    """

    path: str
    label: str
    split: str
    place: str
    several: bool = False


def read_table(path: Path) -> list[Row]:
    """The rows of a manifest; a file that ends in `.parquet` is Parquet, any other is CSV.

    A column `label` has the class of each image. A column `labels` instead has any number of them, divided by `|`; in
    Parquet a list of texts will do, too.

    Raises:
        DataError: the file cannot be read, lacks a column, has no rows, or has one that cannot be understood.
        MissingExtraError: it is Parquet, and pyarrow is not there.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "pets.csv"
        >>> _ = path.write_text(chr(10).join(["filename;category", "a.jpg;cat", "b.jpg;dog"]))
        >>> read_table(path)[1]
        Row(path='b.jpg', label='dog', split='', place='line 3', several=False)
    """
    rows = list(_parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path))
    if not rows:
        raise DataError(f"{path} has no rows. Add one for each image.")
    return rows


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: the text is not UTF-8. Save the file as UTF-8.") from error
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error
    table = _lines(path, text, _delimiter(text))
    _, header = next(table, ("", []))
    columns = _columns(path, header)
    for place, cells in table:
        if len(cells) != len(header):
            cell = "cell" if len(cells) == 1 else "cells"
            raise DataError(
                f"{path}, {place}: {len(cells)} {cell}, but the header has {len(header)}. "
                "Put quotes around text that holds the delimiter."
            )
        yield _row(path, place, {name: cells[number] for name, number in columns.items()})


def _lines(path: Path, text: str, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """The lines that are not empty, each with the place where it ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if cells:
                yield f"line {reader.line_num}", [cell.strip() for cell in cells]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: this is not CSV ({error}).") from error


def _delimiter(text: str) -> str:
    """The delimiter that the header is written with: the one that gives the most cells with names that are known."""
    header = text.lstrip().partition("\n")[0]
    known = {name for names in _NAMES.values() for name in names}

    def fits(delimiter: str) -> tuple[int, int]:
        cells = [cell.strip(' "\r').lower() for cell in header.split(delimiter)]
        return len(known.intersection(cells)), len(cells)

    return max(_DELIMITERS, key=fits)


def _parquet_rows(path: Path) -> Iterator[Row]:
    parquet = load_extra("pyarrow.parquet", extra="parquet", asker=path)
    try:
        with parquet.ParquetFile(path) as file:
            header = list(file.schema_arrow.names)
            columns = _columns(path, header)
            wanted = [header[number] for number in columns.values()]
            table = file.read(columns=wanted)
        values: list[Iterable[Any]] = [table.column(name).to_pylist() for name in wanted]
    except DataError:
        raise
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise DataError(f"Cannot read {path} as Parquet: {first or type(error).__name__}.") from error
    for number, cells in enumerate(zip(*values, strict=True), 1):
        place = f"row {number}"
        written = {name: _text(path, place, name, cell) for name, cell in zip(columns, cells, strict=True)}
        yield _row(path, place, written)


def _text(path: Path, place: str, name: str, cell: object) -> str:
    """A cell of a typed table as text; class numbers may be whole numbers of any type."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, list) and name == "labels":
        return _BETWEEN.join(_text(path, place, "label", label) for label in cell)
    if isinstance(cell, str | int):
        return str(cell).strip()
    raise DataError(
        f"{path}, {place}: {name} is of type {type(cell).__name__}; text or whole numbers can be used."
    )


def _columns(path: Path, header: Sequence[str]) -> dict[str, int]:
    """Which column holds what: the first of the names for it that is there."""
    places = {name.strip().lower(): number for number, name in reversed(list(enumerate(header)))}
    columns = {
        meaning: next(places[name] for name in names if name in places)
        for meaning, names in _NAMES.items()
        if not places.keys().isdisjoint(names)
    }
    if "label" in columns:
        columns.pop("labels", None)
    for meaning in ("path", "label"):
        if meaning not in columns and not (meaning == "label" and "labels" in columns):
            listed = ", ".join(repr(name) for name in header) or "none"
            *first_names, last = _NAMES[meaning]
            raise DataError(
                f"{path} has no column for the {'image' if meaning == 'path' else 'class'}: "
                f"it may be called {', '.join(first_names)} or {last}{_OR_LABELS * (meaning == 'label')}. "
                f"Columns found: {listed}."
            )
    return columns


def _row(path: Path, place: str, cells: dict[str, str]) -> Row:
    for meaning in ("path", "label"):
        if cells.get(meaning) == "":
            raise DataError(f"{path}, {place}: the {meaning} is empty. Fill it in or remove the row.")
    split = cells.get("split", "")
    if "label" in cells:
        return Row(cells["path"], cells["label"], split, place)
    labels = {label.strip() for label in cells["labels"].split(_BETWEEN)} - {""}
    return Row(cells["path"], SEPARATOR.join(sorted(labels)), split, place, several=True)


def open_manifest(path: Path, options: OpenOptions) -> Dataset:
    """Open a CSV or Parquet file that lists images; see `open_data`."""
    layout = read_manifest(path)
    root, source = path.parent, str(path.resolve())
    checks = check_files(root, layout.files, source=source, options=options)
    return assemble(
        layout,
        checks,
        name=path.stem,
        options=options,
        store=lambda files: FileStore(root, tuple(file.path for file in files)),
    )


def read_manifest(path: Path) -> Layout:
    """Read which images a manifest lists, without opening one.

    Raises:
        DataError: the manifest cannot be read, lacks a column, has no rows, or has one that cannot be understood.
    """
    rows = read_table(path)
    several = rows[0].several
    names = {name for row in rows for name in (row.label.split(SEPARATOR) if several else (row.label,))}
    classes = sorted_classes(names - {""})
    if len(classes) < 2:
        raise DataError(
            f"{path} has only one class, {''.join(classes)!r}, and there is nothing to tell it from. "
            "Add rows of other classes."
        )
    splits = _splits(path, rows)
    files, refused = [], []
    first_of: dict[str, Row] = {}
    for row in rows:
        result = _look_at(path.parent, row, split_of(row.split), first_of)
        if isinstance(result, ImageRecord):
            files.append(result)
        else:
            refused.append(result)
    return Layout(str(path), classes, splits, tuple(sorted(files)), tuple(sorted(refused)), several)


def _splits(path: Path, rows: Sequence[Row]) -> tuple[str, ...]:
    """The splits that the rows are given to; none where no row is given to one."""
    own_splits = {row.split for row in rows}
    if own_splits == {""}:
        return ()
    for row in rows:
        if not split_of(row.split):
            what = f"split {row.split!r}" if row.split else "no split, though others have one"
            raise DataError(
                f"{path}, {row.place}: {what}. Possible: train, val, test; "
                "leave the column out to have the splits cut."
            )
    splits = {split_of(name) for name in own_splits}
    if "train" not in splits:
        raise DataError(
            f"{path} gives images to {' and '.join(sorted(splits))} but none to train. "
            "Add rows for train, or leave the column out to have the splits cut."
        )
    return tuple(name for name in ("train", "val", "test") if name in splits)


def _look_at(root: Path, row: Row, split: str, first_of: dict[str, Row]) -> ImageRecord | RejectedFile:
    path = posixpath.normpath(row.path)
    first = first_of.setdefault(path, row)
    if first is not row:
        as_what = "" if (first.label, first.split) == (row.label, row.split) else ", as something else"
        return RejectedFile(
            path, f"{row.place} lists it again after {first.place}{as_what}", split, row.label
        )
    try:
        status = os.stat(f"{root}/{path}" if not path.startswith("/") else path)  # noqa: PTH116 - a Path for each takes longer
    except (OSError, ValueError):
        return RejectedFile(path, "there is no such file", split, row.label)
    if not stat.S_ISREG(status.st_mode):
        return RejectedFile(path, "not a regular file", split, row.label)
    return ImageRecord(path, split, row.label, stamp_of(status))
