"""What a device says of a network, and what that lets one expect of others like it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from allometry.arch import Network
from allometry.cost.count import Cost, count

# Time grows a little slower than the MACs; a layer takes something whatever is in it. What readings say outweighs this.
_MACS, _ACTIVATIONS, _LAYERS = 0.7, 0.15, 0.15
_STEEPNESS = 4  # with which the weight of a reading falls with its distance


class Measurement(NamedTuple):
    """What one network took on a device.

    Attributes:
        latency: seconds of a run, the median.
        memory: bytes that the runtime took for it.

    Example:
        >>> Measurement(latency=0.011, memory=77_000_000)
        Measurement(latency=0.011, memory=77000000)
    """

    latency: float
    memory: int


MeasureFn = Callable[[Network], Measurement]
"""Measures a network on a device; `profiling.LatencyMeter` is one. A network asked for again answers at once."""
Pricing = Callable[[Network], Cost]
"""What a network costs: `count`, or an `Expectation`."""


class Expectation:
    """What networks will take, from the readings of some of their kind.

    A power of MACs, activations and layers, times what the nearest readings took more than that says. At a network that
    was read it is the reading itself.

    Args:
        measurements: of at least one network.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.catalog import get
        >>> b0 = get("efficientnet-b0")
        >>> expect = Expectation({b0: Measurement(latency=0.011, memory=77_000_000)})
        >>> round(expect(b0).latency, 6), expect(replace(b0, resolution=160)).latency < 0.008
        (0.011, True)
    """

    def __init__(self, measurements: Mapping[Network, Measurement]) -> None:
        assert measurements, "an expectation needs a reading"  # noqa: S101
        self._known = []
        for network, measurement in measurements.items():
            cost = count(network)
            features = _place(network, cost)
            slower = math.log(measurement.latency) - _work(features)
            self._known.append((features, slower, math.log(measurement.memory / cost.memory)))

    def __call__(self, network: Network) -> Cost:
        """`count(network)` with the latency and the memory that the device will say, about."""
        cost = count(network)
        features = _place(network, cost)
        whole = slower = larger = 0.0
        for known, its_slower, its_larger in self._known:
            weight = _weight(features, known)
            whole, slower, larger = (
                whole + weight,
                slower + weight * its_slower,
                larger + weight * its_larger,
            )
        return cost._replace(
            latency=math.exp(_work(features) + slower / whole),
            memory=round(cost.memory * math.exp(larger / whole)),
        )


def _place(network: Network, cost: Cost) -> tuple[float, float, float]:
    return math.log(cost.macs), math.log(cost.activations), math.log(network.depth)


def _work(features: tuple[float, float, float]) -> float:
    macs, activations, layers = features
    return _MACS * macs + _ACTIVATIONS * activations + _LAYERS * layers


def _weight(features: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    distance = math.dist(features, other)
    return float(max(distance, 1e-4) ** -_STEEPNESS)
