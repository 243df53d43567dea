"""Progress on a terminal as a bar, elsewhere as plain lines; always on the error stream."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from allometry.base import Progress as ProgressProtocol
from allometry.base.units import format_duration

_PLAIN_SECONDS = 10.0


class TerminalProgress:
    """A bar with throughput, time left and a few words."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def say(self, text: str) -> None:
        """Print a line that stays, broken between words where the terminal is narrow."""
        self._console.print(text, markup=False)

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        """Draw a new bar."""
        self._bar = Progress(
            TextColumn("{task.description:12}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            _Throughput(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[info]}"),
            console=self._console,
        )
        self._bar.start()
        self._task = self._bar.add_task(label, total=total, completed=done, info="", unit=unit)

    def advance(self, images: int, info: str = "") -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, advance=images)
            if info:
                self._bar.update(self._task, info=info)

    def stop(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class PlainProgress:
    """A line at the start of each stretch, then one every ten seconds: for files, pipes and CI."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._label, self._unit, self._total, self._done = "", "", 0, 0
        self._began = self._said = 0.0
        self._first = 0

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        """Print what begins."""
        self._label, self._total, self._done, self._first = label, total, done, done
        self._unit = unit
        self._began = self._said = self._clock()
        self.say(f"{label}: {total:,} {unit}" + (f", {done:,} already done" if done else ""))

    def advance(self, images: int, info: str = "") -> None:
        """Print a line if the last one is ten seconds old."""
        self._done += images
        now = self._clock()
        if now - self._said < _PLAIN_SECONDS:
            return
        self._said = now
        speed = (self._done - self._first) / (now - self._began)
        left = format_duration((self._total - self._done) / speed) if speed > 0 else "?"
        share = self._done / max(1, self._total)
        self.say(
            f"{self._label}: {share:.0%}, {speed:,.{0 if speed >= 10 else 1}f} {self._unit}/s, {left} left"
            + (f", {info}" if info else "")
        )

    def stop(self) -> None:
        """Print what the stretch took."""
        if self._label:
            self.say(f"{self._label}: {format_duration(self._clock() - self._began)}")
        self._label = ""


def make_progress(*, quiet: bool = False) -> ProgressProtocol:
    """The display that fits the error stream."""
    from allometry.base import SilentProgress

    if quiet:
        return SilentProgress()
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()


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


class _Throughput(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Images, or whatever it is, per second, over the recent past."""
        speed, unit = task.finished_speed or task.speed, task.fields["unit"]
        words = f"{speed or 0:,.0f} img/s" if unit == "images" else f"{speed or 0:,.1f} {unit}/s"
        return Text("" if speed is None else words, style="progress.data.speed")
