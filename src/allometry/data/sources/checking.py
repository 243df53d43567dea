"""Opening every image once: its digest, size and colour, or why it is left out; remembered in an index."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from allometry.base import Progress
from allometry.base.files import write_text
from allometry.data.pictures.reading import UnreadableImageError, decode, is_grey, read_file
from allometry.data.sources.layout import Found

_FORMAT = "allometry-index-2"
_ENOUGH = 32  # of a JPEG, an eighth of the size shows whether it is whole and whether it has colour


class Check(NamedTuple):
    """What is known of an image file.

    Attributes:
        digest: of its bytes.
        height: of the picture, upright, in pixels; 0 where it cannot be used.
        width: of the picture, upright, in pixels.
        grey: whether it shows no colour.
        reason: why it cannot be used; empty where it can.
    """

    digest: str
    height: int
    width: int
    grey: bool
    reason: str


def check_files(
    root: Path, files: Sequence[Found], *, index: Path | None, progress: Progress
) -> dict[str, Check]:
    """Check each file, or trust the index where the file has its size and time of change still.

    Returns:
        For each file's path what is known of it. The index is brought up to date, even when interrupted.

    Raises:
        StorageError: the index cannot be written.
    """
    known = {} if index is None else _load(index)
    checks: dict[str, Check] = {}
    unknown = []
    for file in files:
        record = known.get(file.path)
        if record is not None and record[:2] == [file.size, file.modified]:
            checks[file.path] = Check(*record[2:])
        else:
            unknown.append(file)
    changed = len(known) != len(checks) or bool(unknown)
    try:
        _check_all(root, unknown, checks, progress)
    finally:
        if index is not None and changed:
            _save(index, files, checks)
    return checks


def check_image(path: Path) -> Check:
    """Open one image and look at all of it."""
    digest = ""
    try:
        data = read_file(path)
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        decoded = decode(data, name=str(path), at_least=_ENOUGH)
    except UnreadableImageError as error:
        return Check(digest, 0, 0, grey=True, reason=error.reason)
    return Check(digest, decoded.height, decoded.width, is_grey(decoded.image), "")


def _check_all(root: Path, files: list[Found], checks: dict[str, Check], progress: Progress) -> None:
    if not files:
        return
    progress.start("checking images", len(files))
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="allometry-check")
    try:
        results = pool.map(lambda file: check_image(root / file.path), files)
        for file, check in zip(files, results, strict=True):
            checks[file.path] = check
            progress.advance(1)
    finally:
        pool.shutdown(cancel_futures=True)
        progress.stop()


def _save(index: Path, files: Sequence[Found], checks: dict[str, Check]) -> None:
    records = {
        file.path: [file.size, file.modified, *checks[file.path]] for file in files if file.path in checks
    }
    write_text(index, json.dumps({"format": _FORMAT, "files": records}))


def _load(index: Path) -> dict[str, list[Any]]:
    """The records of an index; none where it is missing, torn or of another format."""
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        records = content["files"] if content["format"] == _FORMAT else {}
        return {path: record for path, record in records.items() if _is_record(record)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_record(record: object) -> bool:
    kinds = [int, int, str, int, int, bool, str]
    return isinstance(record, list) and [type(value) for value in record] == kinds
