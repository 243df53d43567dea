"""What a network costs, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from allometry.cost.measures import COUNTED, LATENCY, MEASURES, Measure, Readings, as_measure

_COUNTS = tuple(measure.name for measure in COUNTED)


@dataclass(frozen=True, slots=True, repr=False)
class Cost:
    """What a network, or part of one, costs for one image.

    Attributes:
        params: trainable parameters (batch norm's moving statistics are not among them).
        macs: multiply-accumulates of convolutions and linear layers; `flops = 2 * macs`.
        activations: elements of all convolution outputs.
        memory: bytes that inference needs in float32 for one image: parameters, batch norm's statistics, and
            the most feature-map elements alive at one time. Where a device was asked, what its runtime took.
        readings: what else was measured, by the names of the measures, such as the latency in seconds.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> cost = count(get("efficientnet-b0"))
        >>> cost
        Cost(params=5288548, macs=385814752, activations=6747036, memory=27343376)
        >>> cost["macs"], cost.with_readings({"latency": 0.011}).latency
        (385814752, 0.011)
    """

    params: int
    macs: int
    activations: int
    memory: int
    readings: Readings = field(default_factory=dict, hash=False)

    def __getitem__(self, measure: Measure | str) -> float:
        """The value of a measure, or of the one of that name.

        Raises:
            KeyError: it was neither counted nor measured.
            UnknownNameError: no measure has that name.
        """
        value = as_measure(measure).of(self)
        if value is None:
            raise KeyError(measure)
        return value

    def get(self, measure: Measure | str) -> float | None:
        """The value of a measure; None if it was neither counted nor measured."""
        return as_measure(measure).of(self)

    @property
    def latency(self) -> float | None:
        """Seconds of a run on a device, where one was asked."""
        return self.get(LATENCY)

    def with_readings(self, readings: Readings) -> Self:
        """The same, with what was measured of the network."""
        counts = {name: value for name, value in readings.items() if name in _COUNTS}
        others = {name: value for name, value in readings.items() if name not in _COUNTS}
        return replace(self, **counts, readings={**self.readings, **others})  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"Cost({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"

    def to_dict(self) -> dict[str, Any]:
        """What is known, by the names of the measures, as JSON-ready values.

        Example:
            >>> Cost(1, 2, 3, 4, {"latency": 0.5}).to_dict()
            {'params': 1, 'macs': 2, 'activations': 3, 'memory': 4, 'latency': 0.5}
        """
        values = {name: getattr(self, name) for name in _COUNTS}
        known = {measure.name: measure.of(self) for measure in MEASURES}
        others = {name: value for name, value in known.items() if value is not None}
        return values | others | dict(self.readings)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave; what names no measure is ignored.

        Raises:
            KeyError: a count is missing.

        Example:
            >>> cost = Cost(1, 2, 3, 4, {"latency": 0.5})
            >>> Cost.from_dict(cost.to_dict()) == cost
            True
        """
        counted = cls(*(values[name] for name in _COUNTS))
        readings = {
            measure.name: values[measure.name]
            for measure in MEASURES
            if values.get(measure.name) is not None and measure.of(counted) != values[measure.name]
        }
        return replace(counted, readings=readings)
