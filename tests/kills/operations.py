"""What a process does to the files of a folder, counted; and its death before one of these operations."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.killing import kill_myself

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "shutil.rmtree"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Operations:
    """Counts the operations on files below a folder, and those of a search's database; may end with one of them.

    Args:
        folder: that is watched.
        last: before which operation the process dies; None for none.
        torn: whether the file that is flushed then loses its end, as on a disk without power.
    """

    def __init__(self, folder: Path, *, last: int | None = None, torn: bool = False) -> None:
        self.count = 0
        self._folder, self._last, self._torn = folder.absolute(), last, torn
        self._on = False

    def count_one(self, handle: int | None = None) -> None:
        """One more, which may be the last."""
        self.count += 1
        if self.count != self._last:
            return
        if self._torn and handle is not None and (place := _opened(handle)).is_file():
            with contextlib.suppress(OSError):
                os.truncate(place, random.Random(self.count).randint(0, place.stat().st_size))
        kill_myself()

    def _is_ours(self, place: object) -> bool:
        return isinstance(place, str | Path) and Path(place).absolute().is_relative_to(self._folder)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "open":
            place, _, flags = arguments
            if flags & _WRITING and self._is_ours(place):
                self.count_one()
        elif event in _CHANGES and self._is_ours(arguments[0]):
            self.count_one()

    @contextlib.contextmanager
    def watched(self) -> Iterator[Operations]:
        """Count what happens within."""
        from allometry.nas.database_calls import DatabaseCalls

        flush, call = os.fsync, DatabaseCalls.__call__

        def counted_flush(handle: int) -> None:
            if self._is_ours(_opened(handle)):
                self.count_one(handle)
            flush(handle)

        def counted_call(calls: DatabaseCalls, work: Callable[[], Any], **options: Any) -> Any:
            self.count_one()
            return call(calls, work, **options)

        sys.addaudithook(self._hear)
        os.fsync, DatabaseCalls.__call__ = counted_flush, counted_call  # type: ignore[method-assign, assignment]
        self._on = True
        try:
            yield self
        finally:
            self._on = False
            os.fsync, DatabaseCalls.__call__ = flush, call  # type: ignore[method-assign]


def _opened(handle: int) -> Path:
    """The file or folder that a handle is of."""
    return Path(f"/proc/self/fd/{handle}").readlink()


def die_after(seconds: float) -> None:
    """Die at some moment, whatever is done then."""
    timer = threading.Timer(seconds, kill_myself)
    timer.daemon = True
    timer.start()
