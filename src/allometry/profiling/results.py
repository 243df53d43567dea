"""Figures with their spread, ratios with their intervals, and doubts about both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

import numpy as np

from allometry.base.html import html_table
from allometry.base.units import format_milliseconds, format_quantity, plural
from allometry.cost import Measure, Measurement, Readings
from allometry.cost.measures import recorded_measure
from allometry.profiling.machine import MachineInfo
from allometry.profiling.measured_network import MeasuredNetwork
from allometry.profiling.sampling import Samples

_RESAMPLED = 10_000
_WIDE = 0.25  # of the median, from the 10th to the 90th percentile
_WAITING = 0.02  # fraction of the time without a core
_OTHERS = 0.1  # cores that other processes kept busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds of a run. No run is left out; percentiles bear with the odd slow one.

    Attributes:
        median: of all runs.
        low: the 10th percentile.
        high: the 90th percentile.
        least: the quickest run.
        runs: how many.
        rounds: turns that they were spread over.
        turns: the median of each turn, in order.

    Example:
        >>> latency([[0.01, 0.02], [0.03]]).median
        0.02
    """

    median: float
    low: float
    high: float
    least: float
    runs: int
    rounds: int
    turns: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a candidate costs on a device.

    Attributes:
        name: of the network.
        runtime: what ran it.
        precision: of the arithmetic.
        threads: of the runtime.
        batch: images of a run.
        resolution: side of the input, in pixels.
        device: `cpu` or `cuda`.
        latency: of a run.
        throughput: images per second at the median latency.
        memory: bytes that its process had at most.
        own_memory: those beyond what the runtime takes before a network is loaded.
        load_seconds: from the file, or from data, to a network that is ready.
        first_seconds: of the first run, in which much is made ready.
        bytes: of its weights in memory, or of its file.
        steady: whether its warm-up came to an end.
        measures: what else is known of it, by the names of measures.

    Example:
        >>> one = Measured(
        ...     name="b0",
        ...     runtime="torch",
        ...     precision="float32",
        ...     threads=1,
        ...     batch=1,
        ...     resolution=224,
        ...     device="cpu",
        ...     latency=latency([[0.02, 0.02]]),
        ...     throughput=50.0,
        ...     memory=400_000_000,
        ...     own_memory=60_000_000,
        ...     load_seconds=0.1,
        ...     first_seconds=0.05,
        ...     bytes=21_000_000,
        ...     steady=True,
        ... )
        >>> one.latency.median, one.throughput
        (0.02, 50.0)
    """

    name: str
    runtime: str
    precision: str
    threads: int
    batch: int
    resolution: int
    device: str
    latency: Latency
    throughput: float
    memory: int
    own_memory: int
    load_seconds: float
    first_seconds: float
    bytes: int
    steady: bool
    measures: Readings = field(default_factory=dict)

    @property
    def measurement(self) -> Measurement:
        """What measures are read from."""
        return Measurement(latency=self.latency.median, memory=self.own_memory, size=self.bytes)

    def formatted(self, measures: Iterable[Measure]) -> list[str]:
        """The values of these measures for people; nothing for what is not known."""
        return [
            measure.format(self.measures[measure.name]) if measure.name in self.measures else ""
            for measure in measures
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times as long one takes as another: the median over the rounds, with a 95 % interval.

    Attributes:
        name: of the one.
        runtime: of the one.
        ratio: its latency as a multiple of the first candidate's.
        low: lower end of the interval.
        high: upper end of the interval.

    Example:
        >>> Ratio(name="b1", runtime="torch", ratio=1.7, low=1.6, high=1.8).ratio
        1.7
    """

    name: str
    runtime: str
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """All figures of one measurement, with the device that they belong to.

    Attributes:
        machine_info: of the device.
        measured: a candidate each, in the order they were given.
        ratios: to the first one, of all others.
        busy_cores: cores that other processes kept busy meanwhile; None where the system does not tell.
        warnings: reasons to doubt the figures, a sentence each.

    Example:
        >>> from allometry.profiling import machine_info
        >>> ratio_to_first = Ratio(name="b1", runtime="torch", ratio=1.7, low=1.6, high=1.8)
        >>> measurements = Measurements(
        ...     machine_info=machine_info(),
        ...     measured=(),
        ...     ratios=(ratio_to_first,),
        ...     busy_cores=0.0,
        ...     warnings=(),
        ... )
        >>> measurements.to_dict()["ratios"][0]["ratio"]
        1.7
    """

    machine_info: MachineInfo
    measured: tuple[Measured, ...]
    ratios: tuple[Ratio, ...]
    busy_cores: float | None
    warnings: tuple[str, ...]

    @property
    def more(self) -> tuple[Measure, ...]:
        """The measures that are known besides, of some or all."""
        names = dict.fromkeys(name for one in self.measured for name in one.measures)
        return tuple(recorded_measure(name) for name in names)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)

    def __repr__(self) -> str:
        times = "; ".join(
            f"{one.name} in {one.runtime}: {format_milliseconds(one.latency.median)} "
            f"({format_milliseconds(one.latency.low)} to {format_milliseconds(one.latency.high)})"
            for one in self.measured
        )
        warned = f"; {plural(len(self.warnings), 'warning')}" if self.warnings else ""
        return f"Measurements({times}{warned})"

    def _repr_html_(self) -> str:
        usual = ("name", "runtime", "px", "median", "10 % to 90 %", "images/s", "memory", "load", "size")
        columns = (*usual, *(measure.label for measure in self.more))
        rows = [
            (
                one.name,
                one.runtime,
                one.resolution,
                format_milliseconds(one.latency.median),
                f"{format_milliseconds(one.latency.low)} to {format_milliseconds(one.latency.high)}",
                round(one.throughput),
                format_quantity(one.own_memory, unit="B"),
                format_milliseconds(one.load_seconds),
                format_quantity(one.bytes, unit="B"),
                *one.formatted(self.more),
            )
            for one in self.measured
        ]
        return html_table(columns, rows) + "".join(f"<p>{escape(warning)}</p>" for warning in self.warnings)


def latency(rounds: Sequence[Sequence[float]]) -> Latency:
    """The figures of some runs, in seconds, turn by turn."""
    runs = np.concatenate([np.asarray(turn, float) for turn in rounds])
    low, median, high = np.percentile(runs, [10, 50, 90]).tolist()
    return Latency(
        median=median,
        low=low,
        high=high,
        least=float(runs.min()),
        runs=len(runs),
        rounds=len(rounds),
        turns=tuple(float(np.median(turn)) for turn in rounds),
    )


def quiet_ratio(first: Latency, other: Latency) -> tuple[float, float]:
    """How many times as long `other` takes as `first` while nothing disturbs them, and seconds of `first` then.

    What disturbs a machine slows large networks and small ones by different amounts. So only the third of the rounds
    counts in which both were nearest to their quickest turn.

    Args:
        first: of a candidate.
        other: of another one that took turns with it.

    Example:
        >>> quiet = latency([[0.01]] * 4)
        >>> quiet_ratio(quiet, latency([[0.02], [0.02], [0.05], [0.09]]))
        (2.0, 0.01)
    """
    turns = np.array([first.turns, other.turns])
    slowest = (turns / turns.min(1, keepdims=True)).max(0)
    quiet = np.argsort(slowest, kind="stable")[: max(1, turns.shape[1] // 3)]
    return float(np.median(turns[1, quiet] / turns[0, quiet])), float(np.median(turns[0, quiet]))


def ratio(
    first: Sequence[Sequence[float]], other: Sequence[Sequence[float]], *, seed: int = 0
) -> tuple[float, float, float]:
    """The median over the rounds of `other` to `first`, with a 95 % interval by resampling rounds.

    Both took turns: a round's two medians saw the same machine.

    Example:
        >>> ratio([[1, 1], [2, 2], [4, 4]], [[2, 2], [4, 4], [8, 8]])
        (2.0, 2.0, 2.0)
    """
    ratios = np.array(
        [np.median(mine) / np.median(theirs) for theirs, mine in zip(first, other, strict=True)]
    )
    drawn = np.random.default_rng(seed).integers(0, len(ratios), (_RESAMPLED, len(ratios)))
    low, high = np.percentile(np.median(ratios[drawn], axis=1), [2.5, 97.5]).tolist()
    return float(np.median(ratios)), low, high


def measured(
    candidate: MeasuredNetwork, samples: Samples, *, load_seconds: float, first_seconds: float, size: int
) -> Measured:
    """The figures of one candidate."""
    times = latency([block.seconds for block in samples.blocks])
    return Measured(
        name=candidate.name,
        runtime=candidate.runtime,
        precision=candidate.precision,
        threads=candidate.threads,
        batch=candidate.batch,
        resolution=candidate.resolution,
        device=candidate.device,
        latency=times,
        throughput=candidate.batch / times.median,
        memory=max(block.peak for block in samples.blocks),
        own_memory=max(block.own_peak for block in samples.blocks),
        load_seconds=load_seconds,
        first_seconds=first_seconds,
        bytes=size,
        steady=samples.warm_up.steady,
    )


def measurement_warnings(
    results: Sequence[Measured], samples: Sequence[Samples], *, busy_cores: float | None
) -> tuple[str, ...]:
    """Reasons not to trust the figures: a machine that did something else, runs that differ, a warm-up without end.

    Args:
        results: of all candidates.
        samples: what they were taken from.
        busy_cores: cores that other processes kept busy.
    """
    warnings = []
    if busy_cores is not None and busy_cores > _OTHERS:
        warnings.append(
            f"Other processes kept {busy_cores:.1f} cores busy meanwhile; measure again when the machine is quiet."
        )
    for result, sample in zip(results, samples, strict=True):
        what = f"{result.name} in {result.runtime}"
        waited = sum(block.waited for block in sample.blocks) / sum(block.wall for block in sample.blocks)
        spread = (result.latency.high - result.latency.low) / result.latency.median
        if waited > _WAITING:
            warnings.append(f"{what} was without a core for {waited:.0%} of its time.")
        if spread > _WIDE:
            warnings.append(
                f"{what} varies: the 10th and the 90th percentile lie {spread:.0%} of the median apart."
            )
        if not result.steady:
            warnings.append(f"{what} did not become steady while it warmed up.")
    return tuple(warnings)
