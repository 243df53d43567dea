"""What work tells of its progress, without knowing whether a terminal, a notebook or nobody listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Receives the progress of long work, and shows it in its own way; pass one of your own to any verb.

    Stretches may be nested: one that is started before another has stopped is a part of it.

    Example:
        >>> class Headings(SilentProgress):
        ...     def start(self, label, total, done=0, unit="images"):
        ...         print(f"{label}: {total} {unit}")
        >>> with tracked(Headings(), "measuring", 3, unit="networks") as advance:
        ...     advance(3)
        measuring: 3 networks
    """

    def say(self, text: str) -> None:
        """Tell one thing that stays on the screen."""

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        """Begin a stretch of `total` images, or other things, of which `done` are already behind us."""

    def advance(self, count: int, /, info: str = "") -> None:
        """Report that so many more are done, with a few words (the loss, say)."""

    def stop(self) -> None:
        """End the stretch that was started last."""


class SilentProgress:
    """Tells nobody; what `progress=False` stands for.

    Example:
        >>> silent = SilentProgress()
        >>> silent.start("evaluating", 100)
        >>> silent.advance(32, "81 % correct")
        >>> silent.stop()
    """

    def say(self, text: str) -> None:
        """Do nothing."""

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        """Do nothing."""

    def advance(self, count: int, info: str = "") -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


@contextmanager
def tracked(
    progress: Progress, label: str, total: int, *, done: int = 0, unit: str = "images"
) -> Iterator[Callable[..., None]]:
    """One stretch of work, stopped however the block is left; gives `progress.advance`.

    Args:
        progress: who is told.
        label: of the stretch.
        total: how many things it has.
        done: how many of them are behind us already.
        unit: what they are, in the plural.

    Example:
        >>> with tracked(SilentProgress(), "evaluating", 100) as advance:
        ...     advance(32, "81 % correct")
    """
    progress.start(label, total, done, unit)
    try:
        yield progress.advance
    finally:
        progress.stop()
