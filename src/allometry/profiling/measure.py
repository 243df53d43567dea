"""Measuring: candidates in processes of their own, by turns, with an eye on what else the machine does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from allometry.base import InputError, Progress, SilentProgress
from allometry.profiling.machine import busy_seconds, machine_info
from allometry.profiling.measured_network import MeasuredNetwork
from allometry.profiling.processes import Subject, open_all
from allometry.profiling.results import Measurements, Ratio, measured, measurement_warnings, ratio
from allometry.profiling.sampling import MeasureConfig, Samples, sample

Opener = Callable[[ExitStack, Sequence[MeasuredNetwork]], list[Subject]]


def measure(
    chosen: Sequence[MeasuredNetwork],
    *,
    config: MeasureConfig = MeasureConfig(),
    progress: Progress = SilentProgress(),
    opener: Opener = open_all,
    clock: Callable[[], float] = time.perf_counter,
) -> Measurements:
    """What candidates cost on this device: latency with its spread, throughput, memory, time to load, size.

    Each candidate has a process of its own, with its own runtime and threads, which sleeps while others run. They are
    warmed up until two turns agree, and then take turns. All runs count.

    Args:
        chosen: the candidates; ratios are to the first.
        config: how much is measured.
        progress: is told of each run.
        opener: makes candidates ready to run.
        clock: seconds.

    Raises:
        InputError: a candidate does not run like that, or there is none.
        MissingExtraError: its runtime is not installed.
        MeasurementError: its process died.

    Example:
        >>> from allometry.profiling import networks_to_measure
        >>> quick = MeasureConfig(rounds=2, seconds=0.01, warm_up=0.1)
        >>> result = measure(networks_to_measure(["efficientnet-b0"], resolution=32), config=quick)
        >>> result.measured[0].latency.low <= result.measured[0].latency.median
        True
    """
    if not chosen:
        raise InputError("Name at least one network to measure.")
    with ExitStack() as held:
        progress.say(f"making {len(chosen)} candidate{'s' if len(chosen) > 1 else ''} ready and warm")
        subjects = opener(held, chosen)
        progress.start("measuring", config.rounds * len(chosen), unit="turns")
        before, began = busy_seconds(), clock()
        own = time.process_time()
        samples = sample(subjects, config, advanced=lambda place: progress.advance(1, chosen[place].name))
        busy_cores = _others(before, samples, own=time.process_time() - own, seconds=clock() - began)
        progress.stop()
        results = tuple(
            measured(
                candidate,
                taken,
                load_seconds=subject.load_seconds,
                first_seconds=subject.first_seconds,
                size=subject.bytes,
            )
            for candidate, subject, taken in zip(chosen, subjects, samples, strict=True)
        )
    rounds = [[block.seconds for block in taken.blocks] for taken in samples]
    ratios = tuple(
        Ratio(name=candidate.name, runtime=candidate.runtime, **_named(ratio(rounds[0], own_rounds)))
        for candidate, own_rounds in zip(chosen[1:], rounds[1:], strict=True)
    )
    return Measurements(
        machine_info=machine_info(device=chosen[0].device),
        measured=results,
        ratios=ratios,
        busy_cores=busy_cores,
        warnings=measurement_warnings(results, samples, busy_cores=busy_cores),
    )


def _named(interval: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("ratio", "low", "high"), interval, strict=True))


def _others(before: float | None, samples: Sequence[Samples], *, own: float, seconds: float) -> float | None:
    """Cores that were busy with anything but this measurement."""
    after = busy_seconds()
    if before is None or after is None:
        return None
    ours = own + sum(
        sample.warm_up.processor + sum(block.processor for block in sample.blocks) for sample in samples
    )
    return max(0.0, after - before - ours) / seconds
