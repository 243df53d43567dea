"""What the command line does about progress and signals."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from allometry.base import Progress, as_progress


def make_progress(*, quiet: bool = False) -> Progress:
    """The display that fits the error stream."""
    return as_progress(not quiet)


@contextmanager
def stopping_on_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or termination signal into a request to stop at a checkpoint; a second one kills."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del frame
        if asked:
            raise KeyboardInterrupt
        asked = True
        name = signal.Signals(number).name
        print(f"\n{name}: stopping at the next step; once more stops at once.", file=sys.stderr)  # noqa: T201

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
