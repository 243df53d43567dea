"""How long the members of a module's supernet take on this device: some are measured, the others predicted by these."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from allometry.arch import ModuleSpace
from allometry.base import InputError
from allometry.base.units import SECONDS
from allometry.cost import MACS, PARAMS, LatencyTable, Limit, Readings, RuntimeConfig
from allometry.nas import Encoding, Encodings, network_of, sample_encodings
from allometry.nas.module_costs import ModuleCosts
from allometry.profiling import MeasureConfig, measure, networks_to_measure
from allometry.profiling.measured_network import MeasuredNetwork
from allometry.profiling.results import quiet_ratio
from allometry.runs.files import MEMBER_LATENCIES
from allometry.runs.records import MemberLatency
from allometry.supernets.opened import OpenSupernet

_MEASURED = 13  # members, the largest and the smallest among them, by which the others are predicted
_AT_ONCE = 4  # beside the largest one: each has a process of its own
_READING = MeasureConfig(rounds=15, seconds=0.1, warm_up=3.0)
_DRAWN = 9
_LEAST = 0.5  # of the quickest measured one, below which nothing is predicted

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LatencyFit:
    """Latency as a sum of a constant, MACs, params, pixels and blocks, fitted to members that were measured.

    No weight is negative, so that what is larger never takes less.

    Attributes:
        space: of the members.
        weights: of the terms, in seconds.
        least: seconds below which nothing is predicted.
        error: the median of how far the measured ones are from what is told by the others, as a fraction.
    """

    space: ModuleSpace
    weights: Values
    least: float
    error: float

    def __call__(self, encodings: Encodings) -> Values:
        """The predicted seconds of encodings [N, choices], [N]."""
        predicted: Values = np.maximum(_terms(self.space, encodings) @ self.weights, self.least)
        return predicted


def fit_latencies(space: ModuleSpace, encodings: Encodings, seconds: Values) -> LatencyFit:
    """Fit the latency of members to some that were measured; relative errors count.

    Args:
        space: of the members.
        encodings: measured, [N, choices].
        seconds: of these, [N].

    Raises:
        InputError: there are fewer than two.
    """
    if len(encodings) < 2:
        raise InputError("Latencies are told by two measured subnets or more.")
    terms = _terms(space, encodings) / seconds[:, None]
    aims = np.ones(len(seconds))
    errors = []
    for left_out in range(len(seconds)):
        others = np.arange(len(seconds)) != left_out
        errors.append(abs(float(terms[left_out] @ _solved(terms[others], aims[others])) - 1))
    return LatencyFit(space, _solved(terms, aims), _LEAST * float(seconds.min()), statistics.median(errors))


def _solved(terms: Values, aims: Values) -> Values:
    """Weights of least squares, of which none is negative: the most negative one is left out until none is."""
    used = np.ones(terms.shape[1], bool)
    weights = np.zeros(terms.shape[1])
    scale = np.abs(terms).max(0).clip(1e-30)
    while used.any():
        weights[:] = 0
        weights[used] = np.linalg.lstsq(terms[:, used] / scale[used], aims, rcond=None)[0] / scale[used]
        if (weights >= 0).all():
            break
        used[int(np.argmin(weights * scale))] = False
    return weights


def _terms(space: ModuleSpace, encodings: Encodings) -> Values:
    """[N, 5]: 1, MACs, params, pixels, blocks."""
    costs = ModuleCosts(space)(encodings)
    sides, blocks = np.zeros(len(encodings)), np.zeros(len(encodings))
    for choice, column in zip(space.choices, encodings.T, strict=True):
        if choice.dimension == "resolution":
            sides += np.array(choice.options)[column]
        elif choice.dimension == "depth":
            blocks += np.array(choice.options)[column]
    terms = [np.ones(len(encodings)), costs[MACS.name], costs[PARAMS.name], sides**2, blocks]
    return np.stack(terms, 1).astype(np.float64)


def predict_latencies(opened: OpenSupernet, space: ModuleSpace, runtime_config: RuntimeConfig) -> LatencyFit:
    """What predicts the latency of members in a runtime here; the first call measures some, which stay in the folder.

    Raises:
        InputError: the runtime does not run the module.
        MissingExtraError: the runtime is not installed.
        MeasurementError: a process died.
        Stopped: the user asked for it; what was measured stays.
    """
    sizes = np.array([len(choice.options) for choice in space.choices])
    drawn = sample_encodings(space, np.random.default_rng([opened.session.seed, _DRAWN]), 20 * _MEASURED)
    ends = np.array([sizes - 1, np.zeros_like(sizes)], np.int8)
    _, first = np.unique(np.concatenate([ends, drawn]), axis=0, return_index=True)
    chosen = np.concatenate([ends, drawn])[np.sort(first)][:_MEASURED]
    seconds = measure_latencies(opened, space, chosen, runtime_config)
    fitted = fit_latencies(space, chosen, seconds)
    opened.session.progress.say(
        f"latency in {runtime_config.runtime}: predicted by {len(chosen)} measured subnets, each of which the others "
        f"tell to {fitted.error:.1%} in the median"
    )
    return fitted


def quick_enough(
    opened: OpenSupernet,
    space: ModuleSpace,
    encodings: Encodings,
    ranked: Sequence[int],
    limits: Sequence[Limit],
    runtime_config: RuntimeConfig,
) -> tuple[int, Readings]:
    """The first of some members that keeps the limits as measured, else the quickest; with its reading.

    Args:
        opened: the supernet.
        space: of the members.
        encodings: of the members, [N, choices].
        ranked: their places, the best one first.
        limits: of the latency.
        runtime_config: in which it counts.
    """
    say, name = opened.session.progress.say, LatencyTable.measure.name
    seconds: dict[int, float] = {}
    for place in ranked:
        (own,) = measure_latencies(opened, space, encodings[place][None], runtime_config)
        seconds[place] = float(own)
        if all(limit.allows(seconds[place]) for limit in limits):
            return place, {name: seconds[place]}
        say(f"a subnet takes {SECONDS.format(seconds[place])}, more than predicted and than allowed")
    say(f"none of {len(ranked)} networks was measured within the limit; the nearest of them is given")
    nearest = min(ranked, key=seconds.__getitem__)
    return nearest, {name: seconds[nearest]}


def measure_latencies(
    opened: OpenSupernet, space: ModuleSpace, encodings: Encodings, runtime_config: RuntimeConfig
) -> Values:
    """The seconds [N] that members take, by turns with the largest one; those that were measured before are read.

    The errors are those of `predict_latencies`.
    """
    folder, session = opened.session.run.path, opened.session
    known = _known(opened, runtime_config)
    left = [encoding for encoding in encodings if tuple(encoding.tolist()) not in known]
    began = time.monotonic()
    if left:
        session.progress.start("measuring latencies", len(left), 0, unit="subnets")
    try:
        for first in range(0, len(left), _AT_ONCE):
            session.halt_if_requested()
            for line in _measured(opened, space, left[first : first + _AT_ONCE], runtime_config):
                MEMBER_LATENCIES.append(folder, line)
                session.progress.advance(1, SECONDS.format(line.ratio * line.reference))
    finally:
        if left:
            session.progress.stop()
            session.run.record_cost(
                "measure", f"subnets in {runtime_config}", seconds=time.monotonic() - began
            )
    known = _known(opened, runtime_config)
    reference = statistics.median(line.reference for line in known.values())
    return np.array([known[tuple(encoding.tolist())].ratio * reference for encoding in encodings])


def _known(opened: OpenSupernet, runtime_config: RuntimeConfig) -> dict[tuple[int, ...], MemberLatency]:
    lines = MEMBER_LATENCIES.read(opened.session.run.path)
    return {line.encoding: line for line in lines if line.runtime_config == runtime_config}


def _measured(
    opened: OpenSupernet, space: ModuleSpace, encodings: Sequence[Encoding], runtime_config: RuntimeConfig
) -> list[MemberLatency]:
    """Some members beside the largest one, each in a process of its own."""
    largest = np.array([len(choice.options) - 1 for choice in space.choices], np.int8)
    with tempfile.TemporaryDirectory(prefix="allometry-latency-") as name:
        chosen = [
            replace(
                _as_measured(opened, space, encoding, runtime_config, Path(name) / str(number)),
                name=f"subnet {number}",
            )
            for number, encoding in enumerate([largest, *encodings])
        ]
        read = measure(chosen, config=_READING).measured
    lines = []
    for encoding, one in zip(encodings, read[1:], strict=True):
        ratio, reference = quiet_ratio(read[0].latency, one.latency)
        lines.append(
            MemberLatency(
                encoding=tuple(encoding.tolist()),
                runtime_config=runtime_config,
                ratio=ratio,
                reference=reference,
            )
        )
    return lines


def _as_measured(
    opened: OpenSupernet,
    space: ModuleSpace,
    encoding: Encoding,
    runtime_config: RuntimeConfig,
    folder: Path,
) -> MeasuredNetwork:
    member = network_of(space, encoding)
    (measured,) = networks_to_measure(
        [opened.supernet.extract(member).cpu()],
        folder=folder,
        runtimes=[runtime_config.runtime],
        resolution=member.resolution,
        batch=runtime_config.batch,
        threads=runtime_config.threads,
        precision=runtime_config.precision,
        device=runtime_config.device,
    )
    return measured
