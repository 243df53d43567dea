"""What trains one candidate after the other, somewhere else than in this process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from allometry.base import AllometryError, InputError
from allometry.base.machine import cores
from allometry.base.processes import JsonProcess
from allometry.base.reading import UnreadableError, parse_integer
from allometry.base.text import shown
from allometry.data import Dataset
from allometry.nas.trial_training import TrialConfig


class WorkerDiedError(AllometryError):
    """What trained a candidate died."""


class Worker(Protocol):
    """Trains one candidate after the other, somewhere else."""

    def ask(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """The `outcome` of a candidate, or `stopped`; raises `WorkerDiedError` where it died."""

    def stop(self) -> None:
        """Ask it to stop at a checkpoint."""

    def close(self) -> None:
        """End it."""


def threads_of(workers: int | str) -> int:
    """Threads for the arithmetic of each of so many workers: the cores divided by them, one in a cluster.

    Example:
        >>> threads_of(1) >= threads_of(2) >= threads_of("ray") == 1
        True
    """
    return max(1, cores() // workers) if isinstance(workers, int) else 1


_MOST = 4096  # processes; no machine has more to give


def as_workers(workers: int | str) -> int | str:
    """Who trains: a number of processes, or the address of a cluster.

    Raises:
        InputError: it is no number above 0, not `ray`, and no address of a cluster.

    Example:
        >>> as_workers("2"), as_workers("ray")
        (2, 'ray')
        >>> as_workers(0)
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: workers must be a number from 1, ray for a Ray cluster, or ...
    """
    text = str(workers)
    try:
        number = parse_integer(text)
    except UnreadableError:
        number = 0
    if 0 < number <= _MOST:
        return number
    if text == "ray" or text.startswith("ray://"):
        return text
    raise InputError(
        f"workers must be a number from 1, ray for a Ray cluster, or ray://host:port, not {shown(workers)}."
    )


def refuse_values(data: Dataset | str, workers: int | str) -> None:
    """Refuse data that other processes cannot read: arrays and data sets in the memory of this one.

    Raises:
        InputError: it is such data, and others are to train.

    Example:
        >>> refuse_values("photos/", 4)
    """
    if not isinstance(data, str) and workers != 1:
        raise InputError(
            f"The images of {data.name} are in the memory of this process, and workers={workers} train in others: save "
            "them as a file (numpy.savez of images and labels) and give its name, or leave workers at 1."
        )


class ProcessWorker:
    """A process of this machine.

    Args:
        settings: of all trials.
    """

    def __init__(self, settings: TrialConfig) -> None:
        self._child = JsonProcess(
            [sys.executable, "-m", "allometry.nas.trial_worker"],
            name="A process that trains",
            failure=WorkerDiedError,
            environment={**os.environ, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)},
        )
        self._child.ask({"settings": settings.to_dict()})

    def ask(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """What came of a candidate."""
        return self._child.ask(content)

    def stop(self) -> None:
        """Ask it to stop at a checkpoint."""
        self._child.signal(signal.SIGTERM)

    def close(self) -> None:
        """End it."""
        self._child.close()
