"""What a device says of some networks, and what that lets one expect of others like them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from allometry.arch import Network
from allometry.base import MeasurementError
from allometry.cost.cost import Cost
from allometry.cost.count import count
from allometry.cost.measures import MEASURES, Measure, MeasureFn, Readings

# Time grows a little slower than the MACs; a layer takes something whatever is in it. What readings say outweighs this.
_MACS, _ACTIVATIONS, _LAYERS = 0.7, 0.15, 0.15
_STEEPNESS = 4  # with which the weight of a reading falls with its distance

_Features = tuple[float, float, float]
Pricing = Callable[[Network], Cost]
"""What a network costs: `count`, or an `Expectation`."""


class Expectation:
    """What networks will take, from the readings of some of their kind.

    What is counted, too, is expected to be so many times the count as the nearest readings are; for the rest, a power
    of MACs, activations and layers stands for the count. At a network that was read it is the reading itself.

    Args:
        readings: of at least one network: what was measured of it, by the measures' names.
        measures: that these are, where some are not registered.

    Raises:
        MeasurementError: a reading is not a positive number.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.catalog import get
        >>> b0 = get("efficientnet-b0")
        >>> expect = Expectation({b0: {"latency": 0.011, "memory": 77_000_000}})
        >>> round(expect(b0).latency, 6), expect(replace(b0, resolution=160)).latency < 0.008
        (0.011, True)
    """

    def __init__(self, readings: Mapping[Network, Readings], measures: Iterable[Measure] = ()) -> None:
        assert readings, "an expectation needs a reading"  # noqa: S101
        self._measures = {measure.name: measure for measure in (*MEASURES, *measures)}
        self._known: list[tuple[_Features, dict[str, float]]] = []
        for network, values in readings.items():
            cost = count(network)
            features = _features(network, cost)
            ratios = {
                name: _log_ratio(self._measures[name], value, cost, features)
                for name, value in values.items()
                if name in self._measures
            }
            self._known.append((features, ratios))

    def __call__(self, network: Network) -> Cost:
        """`count(network)` with the values that the device will say, about."""
        cost = count(network)
        features = _features(network, cost)
        weights = [_weight(features, known) for known, _ in self._known]
        return cost.with_readings(
            {
                name: self._expected(self._measures[name], weights, cost, features)
                for name in self._known[0][1]
            }
        )

    def _expected(self, measure: Measure, weights: Iterable[float], cost: Cost, features: _Features) -> float:
        whole = ratio = 0.0
        for weight, (_, ratios) in zip(weights, self._known, strict=True):
            if measure.name in ratios:
                whole, ratio = whole + weight, ratio + weight * ratios[measure.name]
        if measure.count is None:
            value = math.exp(measure.sign * _work(features) + ratio / whole)
        else:
            value = measure.count(cost) * math.exp(ratio / whole)
        return round(value) if measure.unit.whole else value


def read_with(measures: Iterable[Measure], meter: MeasureFn | None = None) -> MeasureFn | None:
    """What measures networks for these measures, or None where counting is enough.

    Args:
        measures: that are asked for.
        meter: reads a device: it is asked where one of the measures is read from a runtime, or is not known otherwise.

    Returns:
        A function from a network to its readings. A measure's own function is called once for a network; it raises a
        `MeasurementError` where the meter does not give what is asked for.
    """
    measures = tuple(measures)
    own = [measure for measure in measures if measure.measure is not None]
    by_meter = [measure for measure in measures if measure.measure is None and is_read(measure, meter)]
    if not own and not by_meter:
        return None
    known: dict[Network, dict[str, float]] = {}

    def read(network: Network) -> Readings:
        if network not in known:
            known[network] = {measure.name: measure.measured(network) for measure in own}
        if meter is None or not by_meter:
            return known[network]
        return {**_told(meter(network), by_meter), **known[network]}

    return read


def _told(values: object, measures: Iterable[Measure]) -> Readings:
    """What a meter gave, if that is what was asked for."""
    missing = [
        measure.name for measure in measures if not isinstance(values, Mapping) or measure.name not in values
    ]
    if missing or not isinstance(values, Mapping):
        raise MeasurementError(
            f"What measures networks gives values by the names of measures, such as {{'{missing[0]}': 0.011}}; it gave "
            f"{values!r}."
        )
    return values


def is_read(measure: Measure, meter: MeasureFn | None) -> bool:
    """Whether a measure is read from networks, one by one, where there is this meter or none."""
    if measure.measure is not None:
        return True
    return meter is not None and (measure.read is not None or measure.count is None)


def _features(network: Network, cost: Cost) -> _Features:
    return math.log(cost.macs), math.log(cost.activations), math.log(network.depth)


def _log_ratio(measure: Measure, value: float, cost: Cost, features: _Features) -> float:
    """How many times as much was read as is counted, or as the work is, as a logarithm."""
    if not 0 < value < math.inf:
        raise MeasurementError(
            f"The measure {measure.name} came to {value!r} for a network of {cost.macs:,} MACs; a positive number is "
            "expected."
        )
    if measure.count is None:
        return math.log(value) - measure.sign * _work(features)
    return math.log(value / measure.count(cost))


def _work(features: _Features) -> float:
    macs, activations, layers = features
    return _MACS * macs + _ACTIVATIONS * activations + _LAYERS * layers


def _weight(features: _Features, other: _Features) -> float:
    distance = math.dist(features, other)
    return float(max(distance, 1e-4) ** -_STEEPNESS)
