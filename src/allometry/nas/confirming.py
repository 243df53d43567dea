"""Predicted costs confirmed by measuring: the best of some networks that keeps its limits indeed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from allometry.arch import Network
from allometry.cost import LatencyTable, Limit, MeasureFn, Readings
from allometry.cost.measurements import read_with


class Confirmed(NamedTuple):
    """The network that was taken, by its place, and what was measured of it."""

    place: int
    readings: Readings


def confirmed(
    networks: Iterable[Network],
    limits: Sequence[Limit],
    meter: MeasureFn | None,
    *,
    names: Sequence[str],
    say: Callable[[str], None],
) -> Confirmed:
    """The first network whose readings keep the limits, else the one that is nearest to them.

    Args:
        networks: the best one first; at least one.
        limits: of the budget; those of measures that are counted alone are known to be kept.
        meter: reads the device, where that judges.
        names: of the networks, for what is said.
        say: is told of each network that does not keep the limits.

    Example:
        >>> from allometry.catalog import get
        >>> networks = [get("efficientnet-b1"), get("efficientnet-b0")]
        >>> seconds = dict(zip(networks, (0.02, 0.01), strict=True))
        >>> confirmed(
        ...     networks, [Limit("latency", 0.015)], lambda network: {"latency": seconds[network]},
        ...     names=["b1", "b0"], say=print,
        ... )
        b1 takes 20 ms, more than predicted and than allowed
        Confirmed(place=1, readings={'latency': 0.01})
    """
    measures = {limit.measure for limit in limits if limit.measure.measure or limit.measure.needs_runtime}
    if meter is not None:
        measures.add(LatencyTable.measure)
    read = read_with(measures, meter)
    if read is None:
        return Confirmed(0, {})
    checked = [limit for limit in limits if limit.measure in measures]
    over: list[tuple[float, int, Readings]] = []
    readings: Readings
    for place, network in enumerate(networks):
        values = read(network)
        readings = {measure.name: values[measure.name] for measure in measures}
        broken = [limit for limit in checked if not limit.allows(readings[limit.measure.name])]
        if not broken:
            return Confirmed(place, readings)
        over.append((max(limit.use(readings[limit.measure.name]) for limit in broken), place, readings))
        measure = broken[0].measure
        than = "more" if measure.sign > 0 else "less"
        say(
            f"{names[place]} takes {measure.format(readings[measure.name])}, {than} than predicted and than allowed"
        )
    _, place, readings = min(over, key=lambda entry: entry[:2])
    say(f"none of {len(over)} networks was measured within the limit; the nearest of them is given")
    return Confirmed(place, readings)
