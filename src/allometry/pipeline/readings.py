"""Where a budget is what this device says: the meter of a run, whose readings stay in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from allometry.cost import Meter, Setting
from allometry.measure import Stopwatch
from allometry.pipeline.common import Session

FILE = "readings.jsonl"


@contextmanager
def meter(session: Session, setting: Setting | None) -> Iterator[Meter | None]:
    """What measures networks for a run, or None where counting is enough.

    A network that was read is not read again, also when the run goes on in another process: asked the same questions,
    it comes to the same network.
    """
    if setting is None:
        yield None
        return
    with Stopwatch(setting, store=session.run.path / FILE, progress=session.progress) as watch:
        yield watch
        for warning in watch.warnings:
            session.progress.say(f"warning: {warning}")
