"""Progress as plain lines on the error stream: for files, pipes and continuous integration."""

from __future__ import annotations

import time
from collections.abc import Callable

from allometry.base.progress.stretch import Stretch
from allometry.base.text import write_line

EVERY_SECONDS = 10.0


class LineProgress:
    """A line at the start of each stretch, one every ten seconds, and one at its end if it took a second.

    Args:
        clock: seconds that only go forward.

    Example:
        >>> import sys
        >>> from contextlib import redirect_stderr
        >>> lines = LineProgress(clock=iter([0.0, 10.0, 20.0]).__next__)
        >>> with redirect_stderr(sys.stdout):
        ...     lines.start("evaluating", 100)
        ...     lines.advance(50)
        ...     lines.stop()
        evaluating: 100 images
        evaluating: 50%, ...
        evaluating: ...
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stretches: list[Stretch] = []
        self._last = 0.0

    def say(self, text: str) -> None:
        """Print a line."""
        write_line(text)

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        """Print what begins."""
        self._last = self._clock()
        self._stretches.append(Stretch(label, total, done, unit, now=self._last))
        self.say(f"{label}: {total:,} {unit}" + (f", {done:,} already done" if done else ""))

    def advance(self, count: int, info: str = "") -> None:
        """Print a line if the last one is ten seconds old."""
        if not self._stretches:
            return
        now, stretch = self._clock(), self._stretches[-1]
        stretch.advance(count, info, now=now)
        if now - self._last < EVERY_SECONDS:
            return
        self._last = now
        words = [f"{stretch.share:.0%}", stretch.speed, stretch.left and f"{stretch.left} left", stretch.info]
        self.say(f"{stretch.label}: {', '.join(word for word in words if word)}")

    def stop(self) -> None:
        """Print what the stretch took, if that was a second at least."""
        if self._stretches:
            stretch, now = self._stretches.pop(), self._clock()
            if now - stretch.began >= 1:
                self.say(f"{stretch.label}: {stretch.took(now)}")
