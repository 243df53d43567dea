"""Opening every image once: its digest, size and color, or why it is left out; remembered in an index."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from allometry.base import Progress, StorageError
from allometry.base.files import write_text
from allometry.base.reading import parse_json, read_text
from allometry.data.images.reading import UnreadableImageError, read_file
from allometry.data.sources.check import CHECK_KINDS, Check, check_bytes, digest_of
from allometry.data.sources.records import ImageRecord, OpenOptions

_FORMAT = "allometry-index-7"
_LARGEST_INDEX = 2**33  # bytes; ten million images have about three gigabytes
_SETTLED = 2_000_000_000  # ns; no file system dates changes more coarsely
_SAMPLED = 32  # images whose contents are compared with the index; that takes milliseconds
CHANGED_UNSEEN = (
    "an image is another than it was, though its size and times are the same; all are looked at again"
)


def index_file(cache_folder: Path, source: str) -> Path:
    """Where the index of a source lies, by the source's real path."""
    return cache_folder / "index" / f"{hashlib.blake2b(_bytes(source), digest_size=16).hexdigest()}.json"


def settled(stamp: str, now: int) -> bool:
    """Whether a file's time of change would show it if the file changed once more.

    A file that is changed twice within the step of the file system's clock has the same time of change both times,
    so that the time of a file that is being written says nothing yet.

    Example:
        >>> settled("512/10000000000/10000000000/7", now=13_000_000_000)
        True
        >>> settled("512/10000000000/10000000000/7", now=10_000_001_000)
        False
    """
    return int(stamp.split("/")[1]) + _SETTLED < now


def sampled(number: int, *, now: int) -> list[int]:
    """Places of a few of the images that an index knows, others each time: their contents are compared with it.

    Example:
        >>> sampled(3, now=0), len(sampled(1_000_000, now=0))
        ([0, 1, 2], 32)
    """
    return sorted(random.Random(now).sample(range(number), min(number, _SAMPLED)))


def save_index(
    path: Path, *, about: Mapping[str, Any], columns: Mapping[str, Sequence[Any]], progress: Progress
) -> None:
    """Write an index in one step, so that a reader or another writer never meets half of one.

    Where it cannot be written the work goes on: only the next start is slower, and that is told.
    """
    body = json.dumps({**about, "columns": columns}, separators=(",", ":"))
    head = json.dumps({"format": _FORMAT, "digest": digest_of(body.encode())})
    try:
        write_text(path, f"{head}\n{body}\n")
    except StorageError as error:
        progress.say(f"{error} The next start checks the images again.")


def load_index(path: Path, *, about: Mapping[str, Any], kinds: Mapping[str, type]) -> dict[str, list[Any]]:
    """The columns of an index; none where it is missing, damaged, or about something else.

    Args:
        path: of the file.
        about: what it must say of its source.
        kinds: for each column the type of all its values.
    """
    try:
        head, _, body = read_text(path, most=_LARGEST_INDEX).partition("\n")
        body = body.rstrip("\n")
        if parse_json(head) != {"format": _FORMAT, "digest": digest_of(body.encode())}:
            return {}
        # This program wrote it, by the digest; the strict reader would take seconds for a million images.
        content = json.loads(body)
        if any(content[name] != value for name, value in about.items()):
            return {}
        columns = {name: content["columns"][name] for name in kinds}
        whole = len({len(column) for column in columns.values()}) == 1 and all(
            isinstance(column, list) and set(map(type, column)) <= {kinds[name]}
            for name, column in columns.items()
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return columns if whole else {}


def _bytes(text: str) -> bytes:
    # Names of files need not be text; Python keeps the odd bytes as half characters.
    return text.encode(errors="surrogateescape")


_WAITING = 256  # images handed to the threads at a time: a million at once would fill the memory
_KEPT_EVERY = 100_000  # images, so that a kill does not lose hours
_FILE_KINDS = {"path": str, "stamp": str}
T = TypeVar("T")


def check_files(
    root: Path,
    files: Sequence[ImageRecord],
    *,
    source: str,
    options: OpenOptions,
    clock: Callable[[], int] = time.time_ns,
) -> dict[str, Check]:
    """Check each file, or trust the index where the file's size, times and number are as they were.

    Where only the system's own time or the number is another, as in a copy, the content's digest tells, and no image is
    decoded. Of those that are trusted a few are read and compared, too. The index is brought up to date, even when
    interrupted. What is new, changed or gone since is told.

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
    present = [file for file in files if file.path in known]
    checks = {file.path: known[file.path][1] for file in present if known[file.path][0] == file.stamp}
    if checks:
        other = sum(not _same_size_and_time(known[file.path][0], file.stamp) for file in present)
        _tell(source, len(files) - len(present), other, len(known) - len(present), progress)
    if not _as_known(root, checks, now=began):
        progress.say(f"{source}: {CHANGED_UNSEEN}")
        checks = {}
    unknown = [file for file in files if file.path not in checks]

    def check(file: ImageRecord) -> Check:
        before = known.get(file.path)
        return check_image(root / file.path, before[1] if before else None)

    try:
        with closing(checked(unknown, check, progress)) as results:
            for number, (file, result) in enumerate(results, 1):
                checks[file.path] = result
                if number % _KEPT_EVERY == 0:
                    _save(index, source, files, checks, began, progress)
    finally:
        if unknown or len(present) < len(known):
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


def check_image(path: Path, before: Check | None = None) -> Check:
    """Open one image file and look at all of it, unless it has the content that was looked at `before`."""
    try:
        data = read_file(path)
    except UnreadableImageError as error:
        return Check("", 0, 0, gray=True, reason=error.reason)
    if before is not None and before.digest == digest_of(data):
        return before
    return check_bytes(data, name=str(path))


def to_columns(checks: Sequence[Check]) -> dict[str, Sequence[Any]]:
    """Checks as columns of an index."""
    columns = zip(*checks, strict=True) if checks else ((),) * len(CHECK_KINDS)
    return dict(zip(CHECK_KINDS, columns, strict=True))


def _same_size_and_time(stamp: str, other: str) -> bool:
    return stamp.split("/")[:2] == other.split("/")[:2]


def _as_known(root: Path, checks: Mapping[str, Check], *, now: int) -> bool:
    """Whether some of these files have the contents that the index knows."""
    paths = [path for path, check in checks.items() if check.digest]
    for place in sampled(len(paths), now=now):
        try:
            if digest_of(read_file(root / paths[place])) != checks[paths[place]].digest:
                return False
        except UnreadableImageError:
            return False
    return True


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
    kept = [
        file
        for file in files
        if file.path in checks and checks[file.path].digest and settled(file.stamp, began)
    ]
    columns: dict[str, Sequence[Any]] = {
        "path": [file.path for file in kept],
        "stamp": [file.stamp for file in kept],
        **to_columns([checks[file.path] for file in kept]),
    }
    save_index(index, about={"source": source}, columns=columns, progress=progress)


def _load(index: Path, source: str) -> dict[str, tuple[str, Check]]:
    columns = load_index(index, about={"source": source}, kinds={**_FILE_KINDS, **CHECK_KINDS})
    if not columns:
        return {}
    paths, stamps, *checks = columns.values()
    return dict(zip(paths, zip(stamps, map(Check, *checks), strict=True), strict=True))
