"""From a manifest, a table that lists images with their classes, to a data set."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence
from pathlib import Path

from allometry.base import DataError
from allometry.data.dataset import Dataset
from allometry.data.sources.assembling import assemble
from allometry.data.sources.checking import check_files
from allometry.data.sources.found import SPLIT_OF_NAME, Found, Layout, Refused, sorted_classes
from allometry.data.sources.options import Options
from allometry.data.sources.stores import FileStore
from allometry.data.sources.tables import Row, read_table


def open_manifest(path: Path, options: Options) -> Dataset:
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
    classes = sorted_classes({row.label for row in rows})
    if len(classes) == 1:
        raise DataError(
            f"{path} has only one class, {classes[0]!r}, and there is nothing to tell it from. "
            "Add rows of other classes."
        )
    splits = _splits(path, rows)
    files, refused = [], []
    first_of: dict[str, Row] = {}
    for row in rows:
        found = _look_at(path.parent, row, SPLIT_OF_NAME.get(row.split.lower(), ""), first_of)
        if isinstance(found, Found):
            files.append(found)
        else:
            refused.append(found)
    return Layout(str(path), classes, splits, tuple(sorted(files)), tuple(sorted(refused)))


def _splits(path: Path, rows: Sequence[Row]) -> tuple[str, ...]:
    """The splits that the rows are given to; none where no row is given to one."""
    given = {row.split for row in rows}
    if given == {""}:
        return ()
    for row in rows:
        if row.split.lower() not in SPLIT_OF_NAME:
            said = f"split {row.split!r}" if row.split else "no split, though others have one"
            raise DataError(
                f"{path}, {row.place}: {said}. Possible: {', '.join(SPLIT_OF_NAME)}; "
                "leave the column out to have the splits cut."
            )
    splits = {SPLIT_OF_NAME[name.lower()] for name in given}
    if "train" not in splits:
        raise DataError(
            f"{path} gives images to {' and '.join(sorted(splits))} but none to train. "
            "Add rows for train, or leave the column out to have the splits cut."
        )
    return tuple(name for name in ("train", "val", "test") if name in splits)


def _look_at(root: Path, row: Row, split: str, first_of: dict[str, Row]) -> Found | Refused:
    path = posixpath.normpath(row.path)
    first = first_of.setdefault(path, row)
    if first is not row:
        as_what = "" if (first.label, first.split) == (row.label, row.split) else ", as something else"
        return Refused(path, f"{row.place} lists it again after {first.place}{as_what}", split, row.label)
    try:
        status = os.stat(f"{root}/{path}" if not path.startswith("/") else path)  # noqa: PTH116 - a Path for each takes longer
    except (OSError, ValueError):
        return Refused(path, "there is no such file", split, row.label)
    if not stat.S_ISREG(status.st_mode):
        return Refused(path, "not a regular file", split, row.label)
    return Found(path, split, row.label, status.st_size, status.st_mtime_ns)
