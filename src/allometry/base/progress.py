"""How long work tells what it is doing, without knowing whether a terminal listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of long work; the command line draws it, tests record it."""

    def say(self, text: str) -> None:
        """Tell one thing that stays on the screen."""

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        """Begin a stretch of `total` images, or other things, of which `done` are already behind us."""

    def advance(self, images: int, info: str = "") -> None:
        """Report that so many more are done, with a few words (the loss, say)."""

    def stop(self) -> None:
        """End the stretch."""


class SilentProgress:
    """Tells nobody. The default of every function that takes a `progress`."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        """Do nothing."""

    def advance(self, images: int, info: str = "") -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""
