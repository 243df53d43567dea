"""Processes that are killed: forks of one that has loaded torch, so that each takes moments, not seconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable

_FORKS = multiprocessing.get_context("forkserver")
_LOADED = ["allometry.supernets", "allometry.training", "tests.images"]
_FORKS.set_forkserver_preload(_LOADED)


def preload(*modules: str) -> None:
    """Load these, too, before processes are forked; nothing where the first one has been."""
    _LOADED.extend(modules)
    _FORKS.set_forkserver_preload(_LOADED)


def kill_myself() -> None:
    """Die at once, as from `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)


def start(work: Callable[..., None], *arguments: object) -> multiprocessing.process.BaseProcess:
    """Begin the work in a process of its own."""
    process = _FORKS.Process(target=_alone, args=(work, *arguments))
    process.start()
    return process


def is_killed(work: Callable[..., None], *arguments: object) -> bool:
    """Do the work in a process of its own, and say whether it was killed; it must not fail otherwise."""
    process = start(work, *arguments)
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _alone(work: Callable[..., None], *arguments: object) -> None:
    import torch

    torch.set_num_threads(1)
    work(*arguments)
