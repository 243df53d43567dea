"""The other side of `worker`: a candidate in a process of its own, which runs when it is asked to."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from allometry.base import MeasurementError
from allometry.base.processes import JsonProcess, Resource
from allometry.profiling.measured_network import MeasuredNetwork


class Block(NamedTuple):
    """Some runs of a candidate in one go.

    Attributes:
        seconds: of each run.
        wall: seconds of all, by the clock.
        processor: seconds of processor time of all.
        waited: seconds in which the process had no core.
        peak: bytes of memory the process has had at most.
        own_peak: those beyond what it had before the network was loaded.
    """

    seconds: tuple[float, ...]
    wall: float
    processor: float
    waited: float
    peak: int
    own_peak: int


class Subject(Protocol):
    """What can be asked to run."""

    load_seconds: float
    first_seconds: float
    bytes: int

    def run(self, runs: int) -> Block:
        """Run so many times in one go."""


class Process(Resource):
    """A candidate in a process of its own.

    Raises:
        InputError: the candidate does not run like that.
        MeasurementError: the process died.
    """

    def __init__(self, candidate: MeasuredNetwork) -> None:
        with ExitStack() as held:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="allometry-measure-")))
            loading = specification(candidate, folder)
            self._child = held.enter_context(
                start_worker(f"{candidate.name} in {candidate.runtime}", threads=candidate.threads)
            )
            ready = self._child.ask({"load": loading})
            super().__init__(held.pop_all())
        self.load_seconds: float = ready["load_seconds"]
        self.first_seconds: float = ready["first_seconds"]
        self.bytes: int = ready["bytes"]

    def run(self, runs: int) -> Block:
        """Run so many times in one go."""
        answer = self._child.ask({"runs": runs})
        return Block(**{**answer, "seconds": tuple(answer["seconds"])})


def start_worker(name: str, *, threads: int) -> JsonProcess:
    """A process that loads what it is told to, and runs it.

    Args:
        name: what it is called in messages.
        threads: that OpenMP may have in it.
    """
    return JsonProcess(
        [sys.executable, "-W", "ignore", "-m", "allometry.profiling.worker"],
        name=name,
        failure=MeasurementError,
        environment=_environment(os.environ, threads),
    )


def _environment(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """Of a worker: where this package is, and how many threads OpenMP may have."""
    places = [place for place in sys.path if place]
    return {**environment, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": str(threads)}


def specification(candidate: MeasuredNetwork, folder: Path) -> dict[str, Any]:
    """What a worker is told; the network is exported first where the runtime reads a file."""
    file = candidate.file
    if candidate.exported and file is None:
        file = _export(candidate, folder / "network.onnx")
    return {
        "runtime": candidate.runtime,
        "network": candidate.network,
        "part": candidate.part,
        "module": candidate.module,
        "file": None if file is None else str(file),
        "shape": candidate.shape,
        "threads": candidate.threads,
        "precision": candidate.precision,
        "device": candidate.device,
    }


def _export(candidate: MeasuredNetwork, path: Path) -> Path:
    import torch

    from allometry.arch import from_json
    from allometry.deploy import write_onnx
    from allometry.nn import build, open_module

    if candidate.network is not None:
        module: torch.nn.Module = build(from_json(candidate.network), seed=0)
    else:
        module = open_module(candidate.module or "")
    return write_onnx(module, path, example=torch.zeros(candidate.shape))


def open_all(held: ExitStack, chosen: Sequence[MeasuredNetwork]) -> list[Subject]:
    """A process for each candidate, ended with `held`."""
    return [held.enter_context(Process(candidate)) for candidate in chosen]
