"""Progress as bars in a notebook: one piece of HTML below the cell, drawn anew as the work goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Protocol

from allometry.base.progress.stretch import Stretch

EVERY_SECONDS = 0.25


class Handle(Protocol):
    """A piece of output that can be replaced, as `IPython.display.display` gives it."""

    def update(self, obj: Drawing, /) -> None:
        """Replace it."""


class NotebookProgress:
    """Bars with throughput, time left and a few words; what was said, and what is finished, stays as lines.

    Args:
        show: puts something below the cell and gives the handle by which it is replaced; by default IPython's.
        clock: seconds that only go forward.
    """

    def __init__(
        self, show: Callable[[Drawing], Handle] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show, self._clock = show or _show, clock
        self._lines: list[str] = []
        self._stretches: list[Stretch] = []
        self._handle: Handle | None = None
        self._drawn = 0.0

    def say(self, text: str) -> None:
        """Add a line."""
        self._lines.append(text)
        self._draw()

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        """Draw a new bar."""
        self._stretches.append(Stretch(label, total, done, unit, now=self._clock()))
        self._draw()

    def advance(self, count: int, info: str = "") -> None:
        """Move the bar, at most four times a second."""
        if not self._stretches:
            return
        now = self._clock()
        self._stretches[-1].advance(count, info, now=now)
        if now - self._drawn >= EVERY_SECONDS:
            self._draw()

    def stop(self) -> None:
        """Replace the bar by a line, or take it away if it was a part of another or took less than a second."""
        if not self._stretches:
            return
        stretch, now = self._stretches.pop(), self._clock()
        if not self._stretches and now - stretch.began >= 1:
            words = [stretch.took(now), stretch.speed, stretch.info]
            done = f"{stretch.done:,} of {stretch.total:,}" if stretch.share < 1 else f"{stretch.total:,}"
            self._lines.append(
                f"{stretch.label}: {done} {stretch.unit} in {', '.join(word for word in words if word)}"
            )
        self._draw()

    def _draw(self) -> None:
        shown = Drawing(tuple(self._lines), tuple(Bar.of(stretch) for stretch in self._stretches))
        if self._handle is None:
            self._handle = self._show(shown)
        else:
            self._handle.update(shown)
        self._drawn = self._clock()


@dataclass(frozen=True)
class Bar:
    """A bar as it is drawn once."""

    label: str
    share: float
    words: str

    @classmethod
    def of(cls, stretch: Stretch) -> Bar:
        """The bar of a stretch, as far as it is."""
        words = [f"{stretch.share:.0%}", stretch.speed, stretch.left and f"{stretch.left} left", stretch.info]
        return cls(stretch.label, stretch.share, " · ".join(word for word in words if word))


@dataclass(frozen=True)
class Drawing:
    """What stands below the cell at one moment: lines, then bars.

    Example:
        >>> Drawing(("seed 0",), (Bar("training", 0.5, "50% · 120 img/s"),))
        seed 0
        training 50% · 120 img/s
    """

    lines: tuple[str, ...]
    bars: tuple[Bar, ...]

    def __repr__(self) -> str:
        return "\n".join([*self.lines, *(f"{bar.label} {bar.words}" for bar in self.bars)])

    def _repr_html_(self) -> str:
        lines = "".join(f'<div style="white-space:pre-wrap">{escape(line)}</div>' for line in self.lines)
        bars = "".join(
            _BAR.format(escape(bar.label), 100 * bar.share, escape(bar.words)) for bar in self.bars
        )
        return f'<div style="{_STYLE}">{lines}<div style="{_GRID}">{bars}</div></div>'


# Colors that are seen on white and on black; no style sheet, since notebooks drop those of an output.
_STYLE = "font-size:90%;line-height:1.5;font-variant-numeric:tabular-nums"
_GRID = "display:grid;grid-template-columns:auto 14em 1fr;gap:0 .8em;align-items:center"
_BAR = (
    '<span style="white-space:nowrap">{0}</span>'
    '<div style="height:.6em;border-radius:.3em;overflow:hidden;background:rgba(128,128,128,.3)">'
    '<div style="width:{1:.1f}%;height:100%;background:#00897b"></div></div><span>{2}</span>'
)


def _show(drawing: Drawing) -> Handle:
    from IPython.display import display

    handle: Handle = display(drawing, display_id=True)  # type: ignore[no-untyped-call]
    return handle
