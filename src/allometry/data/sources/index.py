"""The index: what is known of images that were checked once, in one file for each source, found again by its path."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from allometry.base import Progress, StorageError
from allometry.base.files import write_text

_FORMAT = "allometry-index-3"
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
        content = json.loads(path.read_bytes())
        if any(content[name] != value for name, value in {"format": _FORMAT, **about}.items()):
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
