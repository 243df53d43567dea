"""A meter: networks measured one after another as a solver or a search asks for them, none of them twice."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from allometry.arch import Network, digest, from_json, to_json
from allometry.base import Progress, SilentProgress
from allometry.base.decoding import Count, Positive
from allometry.base.files import append_line, read_lines
from allometry.base.processes import Resource
from allometry.base.units import SECONDS
from allometry.cost import MEASURES, Budget, MeasureFn, Measurement, Readings, RuntimeConfig, count
from allometry.profiling.machine import machine_info
from allometry.profiling.measure import Opener, measure
from allometry.profiling.measured_network import MeasuredNetwork
from allometry.profiling.processes import Subject, open_all
from allometry.profiling.results import quiet_ratio
from allometry.profiling.sampling import MeasureConfig
from allometry.runs.values import Record
from allometry.scaling import COMPOUND, ScalingLaw, Solution, solve

if TYPE_CHECKING:  # the process that measures loads no torch by itself
    from allometry.training.session import Session

METER_CONFIG = MeasureConfig(rounds=21, seconds=0.1, warm_up=3.0)
"""Of one reading: about four seconds."""


def network_to_measure(network: Network, runtime_config: RuntimeConfig) -> MeasuredNetwork:
    """A network, run as it is said.

    Example:
        >>> from allometry.catalog import get
        >>> network_to_measure(get("efficientnet-b0"), RuntimeConfig(threads=2)).threads
        2
    """
    return MeasuredNetwork(
        name=network.name or "network",
        network=to_json(network),
        channels=network.in_channels,
        resolution=network.resolution,
        **asdict(runtime_config),
    )


class _Known(NamedTuple):
    """Times as long as the first network, seconds that this one took meanwhile, bytes of memory, bytes of the file."""

    ratio: float
    reference: float
    memory: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line(Record):
    """A network that was measured, as `readings.jsonl` has it."""

    network: str
    json: str
    runtime_config: RuntimeConfig
    ratio: Positive
    reference: Positive
    memory: Count
    size: Count
    processor: str
    warnings: tuple[str, ...]


class LatencyMeter(Resource):
    """Measures networks, each in a process of its own, by turns with the first one it was asked for.

    Devices are quicker at one time than at another. So a network's latency is how many times as long it takes as the
    first one right beside it, in turns that nothing disturbed, times what the first one takes in the middle of all its
    readings: two networks can be compared however far apart they were measured, and the more there are, the better is
    known how long they take. End it as a context, or with `close`.

    Args:
        runtime_config: how networks are run.
        config: of one reading.
        store: a file with a line for each network measured; those are not measured again, also by a later process.
        progress: is told of each reading.
        opener: makes networks ready to run.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.catalog import get
        >>> tiny = replace(get("efficientnet-b0"), resolution=32)
        >>> quick = MeasureConfig(rounds=2, seconds=0.01, warm_up=0.1)
        >>> with LatencyMeter(RuntimeConfig(runtime="torch"), config=quick) as watch:
        ...     watch(tiny) == watch(tiny), watch(tiny)["latency"] > 0
        (True, True)
    """

    def __init__(
        self,
        runtime_config: RuntimeConfig = RuntimeConfig(),
        *,
        config: MeasureConfig = METER_CONFIG,
        store: Path | None = None,
        progress: Progress = SilentProgress(),
        opener: Opener = open_all,
    ) -> None:
        self.runtime_config, self.warnings = runtime_config, tuple[str, ...]()
        self._config, self._store, self._progress, self._opener = config, store, progress, opener
        self._running: list[Subject] = []
        self._processes = ExitStack()
        lines = [] if store is None else [_Line.from_dict(line) for line in read_lines(store)]
        lines = [line for line in lines if line.runtime_config == runtime_config]
        self._first = from_json(lines[0].json) if lines else None
        self._known = {
            line.network: _Known(line.ratio, line.reference, line.memory, line.size) for line in lines
        }
        # What is in the store counts when it is asked for: asked the same again, a later process answers the same.
        self._references: dict[str, float] = {}
        super().__init__(self._processes)

    def __call__(self, network: Network) -> Readings:
        """What the runtime tells of `network`, by the names of the measures that are read from it.

        The latency of a network read before may have become a little more exact.

        Raises:
            InputError: the runtime does not run it like that.
            MissingExtraError: the runtime is not installed.
            MeasurementError: the process that measures died.
            StorageError: the store cannot be written.
        """
        self._first = self._first or network
        key = digest(network)
        new = key not in self._known
        if new:
            self._known[key] = self._measure(network, self._first)
            self._keep(network, key)
        known = self._known[key]
        self._references[key] = known.reference
        seconds = known.ratio * statistics.median(self._references.values())
        measurement = Measurement(seconds, known.memory, known.size)
        if new:
            self._progress.say(
                f"measured {SECONDS.format(seconds)} in {self.runtime_config.runtime}: "
                f"{network.resolution} px, {count(network).macs:,} MACs"
            )
        return {measure.name: measure.read(measurement) for measure in MEASURES if measure.read}

    def _measure(self, network: Network, first: Network) -> _Known:
        chosen = [
            replace(network_to_measure(first, self.runtime_config), name="the first network"),
            replace(
                network_to_measure(network, self.runtime_config),
                name=f"a network of {count(network).macs:,} MACs",
            ),
        ]
        alone = digest(network) == digest(first)
        measurements = measure(chosen[:1] if alone else chosen, config=self._config, opener=self._open)
        self.warnings, last = measurements.warnings, measurements.measured[-1]
        ratio, reference = quiet_ratio(measurements.measured[0].latency, last.latency)
        return _Known(ratio, reference, last.own_memory, last.bytes)

    def _open(self, held: ExitStack, chosen: Sequence[MeasuredNetwork]) -> list[Subject]:
        """The first network stays ready throughout."""
        if not self._running:
            self._running = self._opener(self._processes, chosen[:1])
        return [*self._running, *self._opener(held, chosen[1:])]

    def _keep(self, network: Network, key: str) -> None:
        if self._store is None:
            return
        line = _Line(
            network=key,
            json=to_json(network),
            runtime_config=self.runtime_config,
            **self._known[key]._asdict(),
            processor=machine_info(device=self.runtime_config.device).processor,
            warnings=self.warnings,
        )
        append_line(self._store, line.to_dict())


def solve_on_device(
    network: Network,
    budget: Budget,
    *,
    law: ScalingLaw = COMPOUND,
    runtime_config: RuntimeConfig = RuntimeConfig(),
    progress: Progress = SilentProgress(),
) -> tuple[Solution, tuple[str, ...]]:
    """`solve` with this device as the judge of latency and memory; and reasons to doubt its last reading.

    Args:
        network: what to grow or shrink.
        budget: with a limit of latency or memory.
        law: in what proportion to grow.
        runtime_config: how networks are run.
        progress: is told of each reading.

    Raises:
        BudgetError: it cannot be met.
        InputError: the runtime does not run the network like that.
        MissingExtraError: the runtime is not installed.
        MeasurementError: the process that measures died.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import as_budget
        >>> budget = as_budget("latency<=5ms, macs<=1k")
        >>> solve_on_device(get("efficientnet-b0"), budget)  # told before anything is measured
        Traceback (most recent call last):
            ...
        allometry.base.errors.BudgetError: No network of this law meets ...
    """
    with LatencyMeter(runtime_config, progress=progress) as watch:
        return solve(network, budget, law=law, measure=watch), watch.warnings


FILE = "readings.jsonl"


@contextmanager
def open_meter(session: Session, runtime_config: RuntimeConfig | None) -> Iterator[MeasureFn | None]:
    """What measures networks for a run, or None where counting is enough.

    A network that was read is not read again, also when the run goes on in another process: asked the same questions,
    it comes to the same network.
    """
    if runtime_config is None:
        yield None
        return
    with LatencyMeter(runtime_config, store=session.run.path / FILE, progress=session.progress) as watch:
        yield watch
        for warning in watch.warnings:
            session.progress.say(f"warning: {warning}")
