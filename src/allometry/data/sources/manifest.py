"""From a manifest, a table that lists images with their classes, to a data set: CSV, tabs or Parquet."""

from __future__ import annotations

import csv
import io
import math
import os
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from allometry.base import DataError
from allometry.base.extras import load_extra
from allometry.base.reading import is_file, read_bytes
from allometry.data.sources.assembling import Found, assemble
from allometry.data.sources.boundary import parsing
from allometry.data.sources.checking import check_files
from allometry.data.sources.classes import class_name, name_problem, sorted_classes
from allometry.data.sources.records import (
    SEPARATOR,
    ImageRecord,
    Layout,
    OpenOptions,
    RejectedFile,
    splits_of,
    stamp_of,
)
from allometry.data.sources.stores import FileStore

_NAMES = {
    "path": ("path", "file", "filename", "image"),
    "label": ("label", "class", "category"),
    "labels": ("labels", "classes", "tags"),
    "split": ("split",),
    "group": ("group",),
}
_BETWEEN = "|"  # the labels of an image
_ROWS_A_BYTE = 10  # of a Parquet file; paths of different images take more, however they are packed
_ROWS_AT_ONCE, _LARGEST_ROWS = 1024, 2**16  # and bytes of one of them, on the average
_OR_LABELS = "; labels, classes or tags, where an image has several, divided by |"
_LARGEST = 2**31  # bytes; ten million images have less than one gigabyte
_DELIMITERS = ",;\t|"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WHOLE = re.compile(r"[0-9]+\.0+")
_NO_ADDRESSES = "images are read from this machine: download them and list their paths"


class Row(NamedTuple):
    """An image in a manifest.

    Attributes:
        path: of the image, from the manifest's folder or absolute.
        label: its class, or its labels.
        split: as it is written; empty where there is none.
        place: which row this is, for messages: `line 3`.
        several: whether an image may have several labels, or none.
        group: of images that are alike; empty where there is none.
    """

    path: str
    label: str
    split: str
    place: str
    several: bool = False
    group: str = ""


def read_table(path: Path, *, column: str | None = None) -> list[Row]:
    """The rows of a manifest; a file that ends in `.parquet` is Parquet, any other is CSV.

    A column `label` has the class of each image. A column `labels` instead has any number of them, divided by `|`; in
    Parquet a list of texts will do, too. A column `group` has what images have in common, such as a patient.

    Args:
        path: of the file.
        column: that has what images have in common; by default `group`, if there is one.

    Raises:
        DataError: the file cannot be read, lacks a column, has no rows, or has one that cannot be understood.
        MissingExtraError: it is Parquet, and pyarrow is not there.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "pets.csv"
        >>> _ = path.write_text(chr(10).join(["filename;category", "a.jpg;cat", "b.jpg;dog"]))
        >>> read_table(path)[1]
        Row(path='b.jpg', label='dog', split='', place='line 3', several=False, group='')
    """
    read = _parquet_rows if path.suffix.lower() == ".parquet" else _csv_rows
    rows = list(read(path, column))
    if not rows:
        raise DataError(f"{path} has no rows. Add one for each image.")
    return rows


def _csv_rows(path: Path, column: str | None) -> Iterator[Row]:
    try:
        text = read_bytes(path, most=_LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: the text is not UTF-8. Save the file as UTF-8.") from error
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error
    table = _lines(path, text, _delimiter(text))
    _, header = next(table, ("", []))
    columns = _columns(path, header, column)
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


def _parquet_rows(path: Path, column: str | None) -> Iterator[Row]:
    parquet = load_extra("pyarrow.parquet", extra="parquet", asker=path)
    with parsing(path, "Parquet"), parquet.ParquetFile(path) as file:
        header = list(file.schema_arrow.names)
        columns = _columns(path, header, column)
        wanted = [header[number] for number in columns.values()]
        rows = list(_parquet_cells(path, file, wanted))
    for number, cells in enumerate(rows, 1):
        place = f"row {number}"
        by_name = dict(zip(columns, cells, strict=True))
        lists = {name: cell for name, cell in by_name.items() if name == "labels" and isinstance(cell, list)}
        written = {
            name: _text(path, place, name, cell) for name, cell in by_name.items() if name not in lists
        }
        labels = [_text(path, place, "label", label) for label in lists.get("labels", ())]
        yield _row(path, place, written, labels if lists else None)


def _parquet_cells(path: Path, file: Any, wanted: Sequence[str]) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - pyarrow
    """The rows of a Parquet file, a few at a time; a file that repeats one row without end is refused."""
    size, number = path.stat().st_size, 0
    most = _ROWS_A_BYTE * size + _ROWS_AT_ONCE
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(wanted)):
        number += batch.num_rows
        if number > most or file.metadata.num_rows > most or batch.nbytes > _LARGEST_ROWS * batch.num_rows:
            rows = max(number, file.metadata.num_rows)
            raise DataError(
                f"{path} has {rows:,} rows in {size:,} bytes, more than different images can be listed in; write it "
                "anew with one row for each image."
            )
        columns = [batch.column(name).to_pylist() for name in wanted]
        yield from zip(*columns, strict=True)


def _text(path: Path, place: str, name: str, cell: object) -> str:
    """A cell of a typed table as text; class numbers may be whole numbers of any type."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float | Decimal) and math.isfinite(cell) and cell == int(cell):
        return str(int(cell))
    if isinstance(cell, bytes):
        return cell.decode(errors="backslashreplace").strip()
    if isinstance(cell, str | int):
        return str(cell).strip()
    if isinstance(cell, dict) and name == "path":
        raise DataError(
            f"{path}, {place}: images inside a Parquet file are not read; list the paths of files."
        )
    raise DataError(
        f"{path}, {place}: {name} is of type {type(cell).__name__}; text or whole numbers can be used."
    )


def _columns(path: Path, header: Sequence[str], column: str | None) -> dict[str, int]:
    """Which column holds what: the first of the names for it that is there; a group may have another one."""
    cells = [name.strip().lower() for name in header]
    places = {name: number for number, name in reversed(list(enumerate(cells)))}
    usual = _NAMES if column is None else {**_NAMES, "group": (column.strip().lower(),)}
    columns = {
        meaning: next(places[name] for name in names if name in places)
        for meaning, names in usual.items()
        if not places.keys().isdisjoint(names)
    }
    if column is not None and "group" not in columns:
        found = ", ".join(map(repr, header)) or "none"
        raise DataError(f"{path} has no column {column!r} for the group. Columns found: {found}.")
    if "label" in columns:
        columns.pop("labels", None)
    for number in columns.values():
        if cells.count(cells[number]) > 1:
            raise DataError(f"{path} has several columns called {cells[number]!r}; keep one.")
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


def _row(path: Path, place: str, cells: dict[str, str], several: Sequence[str] | None = None) -> Row:
    """A row, by its cells, or with labels that are divided already."""
    for meaning in ("path", "label"):
        if cells.get(meaning) == "":
            raise DataError(f"{path}, {place}: the {meaning} is empty. Fill it in or remove the row.")
    split, group = cells.get("split", ""), cells.get("group", "")
    if "label" in cells:
        return Row(cells["path"], _name(path, place, cells["label"]), split, place, group=group)
    texts = cells["labels"].split(_BETWEEN) if several is None else several
    labels = {_name(path, place, text) for text in texts if text.strip()}
    return Row(cells["path"], SEPARATOR.join(sorted(labels)), split, place, several=True, group=group)


_cached_name = lru_cache(maxsize=65536)(class_name)


def _name(path: Path, place: str, text: str) -> str:
    name = _cached_name(text)
    if problem := name_problem(name):
        raise DataError(f"{path}, {place}: the label {problem}.")
    return name


def find_in_manifest(path: Path, options: OpenOptions) -> Found:
    """Look at the images that a CSV or Parquet file lists; see `open_data`."""
    layout = read_manifest(path, partial=options.partial, column=options.grouping.column)
    root, source = path.parent, str(path.resolve())
    checks = check_files(root, layout.files, source=source, options=options)
    return lambda judge: assemble(
        layout,
        checks,
        name=path.stem,
        options=options,
        store=lambda files: FileStore(root, tuple(file.path for file in files)),
        judge=judge,
    )


def read_manifest(path: Path, *, partial: bool = False, column: str | None = None) -> Layout:
    """Read which images a manifest lists, without opening one.

    Args:
        path: of the file.
        partial: classes and splits need not be complete, since nothing is to learn from the images.
        column: that has what images have in common; by default `group`, if there is one.

    Raises:
        DataError: the manifest cannot be read, lacks a column, has no rows, or has one that cannot be understood.
    """
    rows = _whole_numbers(read_table(path, column=column))
    if all(_ADDRESS.match(row.path) for row in rows):
        raise DataError(f"{path} lists addresses, as {rows[0].path[:80]}; {_NO_ADDRESSES}.")
    several = rows[0].several
    names = {name for row in rows for name in (row.label.split(SEPARATOR) if several else (row.label,))}
    classes = sorted_classes(names - {""})
    if not classes:
        raise DataError(f"{path} gives no image a label, so there is nothing to tell apart.")
    if len(classes) < (1 if partial else 2):
        raise DataError(
            f"{path} has only one class, {''.join(classes)!r}, and there is nothing to tell it from. "
            "Add rows of other classes."
        )
    split_named = splits_of(sorted({row.split for row in rows}))
    splits = _splits(path, rows, split_named, partial=partial)
    files, refused = [], []
    first_of: dict[str, Row] = {}
    for row in rows:
        result = _look_at(path.parent, row, split_named.get(row.split, ""), first_of)
        if isinstance(result, ImageRecord):
            files.append(result)
        else:
            refused.append(result)
    return Layout(str(path), classes, splits, tuple(sorted(files)), tuple(sorted(refused)), several)


def _whole_numbers(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows with classes 0 and 1 where all are written 0.0 and 1.0, as programs do where a cell is empty."""
    if rows[0].several or not all(_WHOLE.fullmatch(row.label) for row in rows):
        return rows
    return [row._replace(label=row.label.partition(".")[0]) for row in rows]


def _splits(
    path: Path, rows: Sequence[Row], split_named: Mapping[str, str], *, partial: bool
) -> tuple[str, ...]:
    """The splits that the rows are given to; none where no row is given to one."""
    if not any(row.split for row in rows):
        return ()
    for row in rows:
        if row.split not in split_named:
            what = f"split {row.split!r}" if row.split else "no split, though others have one"
            raise DataError(
                f"{path}, {row.place}: {what}. Possible: train, val, test; "
                "leave the column out to have the splits cut."
            )
    splits = set(split_named.values())
    if "train" not in splits and not partial:
        raise DataError(
            f"{path} gives images to {' and '.join(sorted(splits))} but none to train. "
            "Add rows for train, or leave the column out to have the splits cut."
        )
    return tuple(name for name in ("train", "val", "test") if name in splits)


def _look_at(root: Path, row: Row, split: str, first_of: dict[str, Row]) -> ImageRecord | RejectedFile:
    path = _path_in(root, row.path)
    first = first_of.setdefault(path, row)
    if first is not row:
        as_what = "" if (first.label, first.split) == (row.label, row.split) else ", as something else"
        return RejectedFile(
            path, f"{row.place} lists it again after {first.place}{as_what}", split, row.label
        )
    try:
        status = os.stat(_from(root, path))  # noqa: PTH116 - a Path for each takes longer
    except (OSError, ValueError):
        address = _ADDRESS.match(row.path)
        reason = f"an address; {_NO_ADDRESSES}" if address else "there is no such file"
        return RejectedFile(path, reason, split, row.label)
    if not stat.S_ISREG(status.st_mode):
        return RejectedFile(path, "not a regular file", split, row.label)
    return ImageRecord(path, split, row.label, stamp_of(status), row.group)


def _path_in(root: Path, path: str) -> str:
    """A path as it is written, or with the slashes of this system where only so there is such a file."""
    plain = posixpath.normpath(path)
    if "\\" in plain and not is_file(_from(root, plain)):
        other = posixpath.normpath(path.replace("\\", "/"))
        return other if is_file(_from(root, other)) else plain
    return plain


def _from(root: Path, path: str) -> str:
    return path if path.startswith("/") else f"{root}/{path}"
