"""When a checkpoint is worth its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WORTH = 20  # a checkpoint may take a twentieth of the time since the last one


class Saving:
    """Watches how long ago a checkpoint was written, and how long that took.

    Args:
        clock: seconds.
        every: seconds between two checkpoints; more where writing one takes long.

    Example:
        >>> seconds = iter((0.0, 119.0, 120.0, 121.0, 200.0))
        >>> saving = Saving(lambda: next(seconds), every=120.0)
        >>> saving.is_due(), saving.is_due()
        (False, True)
        >>> with saving.writing():
        ...     pass
    """

    def __init__(self, clock: Callable[[], float], *, every: float) -> None:
        self._clock, self._every = clock, every
        self._saved, self._took = clock(), 0.0

    def is_due(self) -> bool:
        """Whether the last checkpoint lies so far back that another one is worth its time."""
        return self._clock() - self._saved >= max(self._every, _WORTH * self._took)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around the writing of a checkpoint."""
        began = self._clock()
        yield
        self._saved = self._clock()
        self._took = self._saved - began
