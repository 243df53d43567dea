"""Ctrl-C and termination signals stop the work at a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from allometry.base.text import write_line


@contextmanager
def stopping_on_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or termination signal into a request to stop at a checkpoint; a second one kills."""
    stopping = False

    def request_stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        del frame
        if stopping:
            raise KeyboardInterrupt
        stopping = True
        name = signal.Signals(number).name
        write_line(f"\n{name}: stopping at the next step; once more stops at once.")

    before = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
