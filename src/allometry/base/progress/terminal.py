"""Progress as bars on a terminal, drawn by Rich on the error stream."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from allometry.base.progress.stretch import Stretch
from allometry.base.text import printable


class TerminalProgress:
    """A bar for each stretch with throughput, time left and a few words; a part of another stands below it.

    Args:
        console: where it draws; by default the error stream.
        clock: seconds that only go forward.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._bars: Bars | None = None
        self._stretches: list[tuple[TaskID, Stretch]] = []

    def say(self, text: str) -> None:
        """Print a line that stays, broken between words where the terminal is narrow."""
        self._console.print(printable(text), markup=False, emoji=False, highlight=False)

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        """Draw a new bar."""
        if self._bars is None:
            self._bars = _bars(self._console)
            self._bars.start()
        stretch = Stretch(label, total, done, unit, now=self._clock())
        task = self._bars.add_task(label, total=total, completed=done, stretch=stretch)
        self._stretches.append((task, stretch))

    def advance(self, count: int, info: str = "") -> None:
        """Move the bar that was started last."""
        if self._bars is not None:
            task, stretch = self._stretches[-1]
            stretch.advance(count, info, now=self._clock())
            self._bars.update(task, completed=stretch.done)

    def stop(self) -> None:
        """Leave the bar as it is, or take it away if it was a part of another."""
        if self._bars is None:
            return
        task, stretch = self._stretches.pop()
        if self._stretches:
            self._bars.remove_task(task)
            return
        self._bars.update(task, took=f"in {stretch.took(self._clock())}")
        self._bars.stop()
        self._bars = None


def _bars(console: Console) -> Bars:
    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, table_column=Column(min_width=8, max_width=30, ratio=1)),
        TextColumn("{task.percentage:>3.0f} %"),
        _Words(),
        console=console,
        expand=True,
    )


class _Words(ProgressColumn):
    """Throughput, time left and the last words; of a finished stretch the time it took."""

    def __init__(self) -> None:
        super().__init__(table_column=Column(ratio=4, no_wrap=True, overflow="ellipsis"))

    def render(self, task: Task) -> Text:
        """One line, which the terminal's width may cut."""
        stretch: Stretch = task.fields["stretch"]
        took = task.fields.get("took")
        rest = took or (f"{stretch.left} left" if stretch.left else "")
        parts = [(stretch.speed, "progress.data.speed"), (rest, "progress.remaining"), (stretch.info, "")]
        return Text("  ").join(Text(words, style=style) for words, style in parts if words)
