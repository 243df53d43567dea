"""A stretch of work as it goes: how much is done, how fast, and how long the rest will take."""

from __future__ import annotations

from collections import deque

from allometry.base.units import format_duration

RECENT_SECONDS = 30.0


class Stretch:
    """What has been told of a stretch of work; every display reads its words here.

    Args:
        label: what is being done.
        total: how many things there are.
        done: how many of them were done before.
        unit: what they are, in the plural.
        now: seconds on a clock that only goes forward.

    Example:
        >>> stretch = Stretch("epoch 1", 1000, 0, "images", now=0.0)
        >>> stretch.advance(250, "loss 0.7", now=1.0)
        >>> stretch.speed, stretch.left, stretch.share, stretch.info
        ('250 img/s', '3.0 s', 0.25, 'loss 0.7')
    """

    def __init__(self, label: str, total: int, done: int, unit: str, *, now: float) -> None:
        self.label, self.total, self.done, self.unit, self.info = label, total, done, unit, ""
        self.began = self._now = now
        # The speed is that of the recent past: the first steps of a training are the slowest.
        self._seen = deque([(now, done)])

    def advance(self, count: int, info: str = "", *, now: float) -> None:
        """Note that so many more are done."""
        self.done, self.info, self._now = self.done + count, info or self.info, now
        if now - self._seen[-1][0] >= 1:
            self._seen.append((now, self.done))
        while now - self._seen[0][0] > RECENT_SECONDS and len(self._seen) > 2:
            self._seen.popleft()

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 1.0

    @property
    def speed(self) -> str:
        """So many a second, or nothing as long as that is unknown."""
        rate = self._rate()
        if rate <= 0:
            return ""
        number = f"{rate:,.{0 if rate >= 10 else 1 if rate >= 0.1 else 2}f}"
        return f"{number} {'img' if self.unit == 'images' else self.unit}/s"

    @property
    def left(self) -> str:
        """How long the rest will take at this speed, or nothing as long as that is unknown."""
        rate = self._rate()
        return format_duration(max(0, self.total - self.done) / rate) if rate > 0 else ""

    def took(self, now: float) -> str:
        """The time since its start."""
        return format_duration(now - self.began)

    def _rate(self) -> float:
        moment, done = self._seen[0]
        return (self.done - done) / (self._now - moment) if self._now > moment else 0.0
