"""Opening every image once: its digest, size and color, or why it is left out; remembered in an index."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from allometry.base import Progress, StorageError
from allometry.base.files import write_text
from allometry.base.reading import parse_json, read_text
from allometry.data.images.reading import UnreadableImageError, decode, is_gray, read_file
from allometry.data.sources.records import ImageRecord, OpenOptions

_FORMAT = "allometry-index-3"
_LARGEST_INDEX = 2**31  # bytes; ten million images have about one gigabyte
_SETTLED = 2_000_000_000  # ns; no file system dates changes more coarsely


def index_file(cache_folder: Path, source: str) -> Path:
    """Where the index of a source lies, by the source's real path."""
    return cache_folder / "index" / f"{hashlib.blake2b(_bytes(source), digest_size=16).hexdigest()}.json"


def settled(modified: int, now: int) -> bool:
    """Whether a file's time of change would show it if the file changed once more.

    A file that is changed twice within the step of the file system's clock has the same time of change both times,
    so that the time of a file that is being written says nothing yet.

    Example:
        >>> settled(modified=10_000_000_000, now=13_000_000_000), settled(10_000_000_000, 10_000_001_000)
        (True, False)
    """
    return modified + _SETTLED < now


def save_index(
    path: Path, *, about: Mapping[str, Any], columns: Mapping[str, Sequence[Any]], progress: Progress
) -> None:
    """Write an index in one step, so that a reader or another writer never meets half of one.

    Where it cannot be written the work goes on: only the next start is slower, and that is told.
    """
    try:
        write_text(path, json.dumps({"format": _FORMAT, **about, "columns": columns}, separators=(",", ":")))
    except StorageError as error:
        progress.say(f"{error} The next start checks the images again.")


def load_index(path: Path, *, about: Mapping[str, Any], kinds: Mapping[str, type]) -> dict[str, list[Any]]:
    """The columns of an index; none where it is missing, torn, or about something else.

    Args:
        path: of the file.
        about: what it must say of its source.
        kinds: for each column the type of all its values.
    """
    try:
        content = parse_json(read_text(path, most=_LARGEST_INDEX), surrogates=True)
        if any(content[name] != value for name, value in {"format": _FORMAT, **about}.items()):
            return {}
        columns = {name: content["columns"][name] for name in kinds}
        whole = len({len(column) for column in columns.values()}) == 1 and all(
            isinstance(column, list) and set(map(type, column)) <= {kinds[name]}
            for name, column in columns.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return columns if whole else {}


def _bytes(text: str) -> bytes:
    # Names of files need not be text; Python keeps the odd bytes as half characters.
    return text.encode(errors="surrogateescape")


_ENOUGH = 32  # of a JPEG, an eighth of the size shows whether it is whole and whether it has color
_WAITING = 256  # images handed to the threads at a time: a million at once would fill the memory
_KEPT_EVERY = 100_000  # images, so that a kill does not lose hours
_FILE_KINDS = {"path": str, "size": int, "modified": int}
CHECK_KINDS = {"digest": str, "height": int, "width": int, "gray": bool, "reason": str}
"""The columns of an index that tell a `Check`."""

T = TypeVar("T")


class Check(NamedTuple):
    """What is known of an image.

    Attributes:
        digest: of its bytes.
        height: of the image, upright, in pixels; 0 where it cannot be used.
        width: of the image, upright, in pixels.
        gray: whether it shows no color.
        reason: why it cannot be used; empty where it can.
    """

    digest: str
    height: int
    width: int
    gray: bool
    reason: str


def check_files(
    root: Path,
    files: Sequence[ImageRecord],
    *,
    source: str,
    options: OpenOptions,
    clock: Callable[[], int] = time.time_ns,
) -> dict[str, Check]:
    """Check each file, or trust the index where the file has its size and time of change still.

    The index is brought up to date, even when interrupted. What is new, changed or gone since is told.

    Args:
        root: what the files' paths start from.
        files: the images.
        source: the real path of the folder or manifest, by which the index is found.
        options: how it is opened.
        clock: the time of day, in nanoseconds.

    Returns:
        For each file's path what is known of it.
    """
    began, progress = clock(), options.progress
    index = index_file(options.cache_folder, source)
    known = _load(index, source)
    checks: dict[str, Check] = {}
    unknown = []
    changed = 0
    for file in files:
        record = known.pop(file.path, None)
        if record is not None and record[:2] == (file.size, file.modified):
            checks[file.path] = record[2]
        else:
            unknown.append(file)
            changed += record is not None
    if checks:
        _tell(source, len(unknown) - changed, changed, len(known), progress)
    try:
        with closing(checked(unknown, lambda file: check_image(root / file.path), progress)) as results:
            for number, (file, check) in enumerate(results, 1):
                checks[file.path] = check
                if number % _KEPT_EVERY == 0:
                    _save(index, source, files, checks, began, progress)
    finally:
        if unknown or known:
            _save(index, source, files, checks, began, progress)
    return checks


def checked(
    items: Sequence[T], check: Callable[[T], Check], progress: Progress
) -> Generator[tuple[T, Check]]:
    """Check each item, by a few threads, in order."""
    if not items:
        return
    progress.start("checking images", len(items))
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="allometry-check")
    rest = iter(items)
    try:
        while some := list(islice(rest, _WAITING)):
            for item, result in zip(some, pool.map(check, some), strict=True):
                yield item, result
                progress.advance(1)
    finally:
        pool.shutdown(cancel_futures=True)
        progress.stop()


def check_image(path: Path) -> Check:
    """Open one image file and look at all of it."""
    try:
        data = read_file(path)
    except UnreadableImageError as error:
        return Check("", 0, 0, gray=True, reason=error.reason)
    return check_bytes(data, name=str(path))


def check_bytes(data: bytes, *, name: str) -> Check:
    """Look at all of an image that was read already."""
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    try:
        decoded = decode(data, name=name, min_side=_ENOUGH)
    except UnreadableImageError as error:
        return Check(digest, 0, 0, gray=True, reason=error.reason)
    return Check(digest, decoded.height, decoded.width, is_gray(decoded.image), "")


def to_columns(checks: Sequence[Check]) -> dict[str, Sequence[Any]]:
    """Checks as columns of an index."""
    columns = zip(*checks, strict=True) if checks else ((),) * len(CHECK_KINDS)
    return dict(zip(CHECK_KINDS, columns, strict=True))


def _tell(source: str, new: int, changed: int, gone: int, progress: Progress) -> None:
    counts = {"new": new, "changed": changed, "gone": gone}
    counted = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    if counted:
        progress.say(f"{source}: since the last check, images are {counted}")


def _save(
    index: Path,
    source: str,
    files: Sequence[ImageRecord],
    checks: dict[str, Check],
    began: int,
    progress: Progress,
) -> None:
    kept = [file for file in files if file.path in checks and settled(file.modified, began)]
    columns: dict[str, Sequence[Any]] = {
        "path": [file.path for file in kept],
        "size": [file.size for file in kept],
        "modified": [file.modified for file in kept],
        **to_columns([checks[file.path] for file in kept]),
    }
    save_index(index, about={"source": source}, columns=columns, progress=progress)


def _load(index: Path, source: str) -> dict[str, tuple[int, int, Check]]:
    columns = load_index(index, about={"source": source}, kinds={**_FILE_KINDS, **CHECK_KINDS})
    if not columns:
        return {}
    paths, sizes, modified, *checks = columns.values()
    rows = zip(paths, sizes, modified, map(Check, *checks), strict=True)
    return {path: (size, time_of_change, check) for path, size, time_of_change, check in rows}
