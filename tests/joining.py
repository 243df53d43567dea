"""Processes that train together, as torchrun starts them: forks of one that has loaded torch."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from tests.killing import start


def together(work: Callable[..., None], *arguments: object, count: int) -> None:
    """Do the work in so many processes, which find each other by torchrun's variables; none must fail."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [start(_member, rank, count, port, work, *arguments) for rank in range(count)]
    for process in processes:
        process.join(480)  # processes that wait for each other for ever are a failure, too
        assert process.exitcode == 0


def _member(rank: int, count: int, port: int, work: Callable[..., None], *arguments: object) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    work(*arguments)
