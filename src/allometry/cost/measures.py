"""Measures: what a network costs, each as one object. Budgets, objectives, tables, reports and verbs go over them."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Real
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, Protocol

from allometry.arch import Network
from allometry.base import AllometryError, InputError, MeasurementError
from allometry.base.plugins import Registry
from allometry.base.text import shown
from allometry.base.units import BYTES, COUNT, SECONDS, Unit

Readings = Mapping[str, float]
"""What was measured of a network: values by the names of their measures."""
MeasureFn = Callable[[Network], Readings]
"""Measures a network on a device; `profiling.LatencyMeter` is one. A network asked for again answers at once."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
# Names that an objective has for other things than what a network costs.
_TAKEN = frozenset({"accuracy", "loss", "step_time", "min", "max", "log", "exp", "sqrt"})


# Counts of a small and of a large network; of a layer there are no more of them than these.
_SAMPLES = tuple(
    SimpleNamespace(params=params, macs=macs, activations=activations, memory=memory)
    for params, macs, activations, memory in (
        (10_000, 1_000_000, 50_000, 300_000),
        (10**8, 10**11, 10**8, 10**9),
    )
)


class HasReadings(Protocol):
    """Counts of a network, with what was measured of it; a `Cost`."""

    @property
    def readings(self) -> Readings:
        """What was measured."""


class Measurement(NamedTuple):
    """What a runtime tells of a run: what a measure is read from.

    Attributes:
        latency: seconds of a run, the median.
        memory: bytes that the runtime took for the network.
        size: bytes of the network's file, or of its weights in memory.

    Example:
        >>> LATENCY.read(Measurement(latency=0.011, memory=77_000_000, size=21_000_000))
        0.011
    """

    latency: float
    memory: int
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Measure:
    """Something that a network costs or yields.

    It is known in one or several of three ways. `count` works it out of the counts; that is exact, and needs no device.
    `read` takes it from what a runtime tells of a run on this device. `measure` is a function of one's own: it may ask
    a power meter, a board or a compiler. What has `count` besides one of the others is counted where nothing measures.

    Attributes:
        name: as budgets, objectives and files write it: small letters, digits and underscores.
        label: as sentences and tables write it; by default the name.
        unit: of its values.
        better: whether lower values are better, so that a budget says `<=`, or higher ones, so that it says `>=`.
        count: its value from the counts of a network: what it is given has `params`, `macs`, `activations` and
            `memory`. These may be arrays, for many networks at once: use arithmetic only, or NumPy's functions.
        additive: whether `count` of a network is the sum of `count` of its layers, as a sum of params, MACs and
            activations with fixed weights is. Searches by gradient can weigh such a measure, and supernets know the
            least of it; of a layer there is no `memory`.
        read: its value from what a runtime tells of a run.
        measure: its value by a function of one's own; it is called once for each network that is looked at.

    Raises:
        InputError: the name is none, there is no way to know the value of an additive measure, or `count` gives no
            number for the counts of a small or a large network.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import Budget, Limit, count
        >>> energy = Measure(
        ...     name="energy",
        ...     unit=Unit("J"),
        ...     count=lambda counts: 4.6e-12 * counts.macs + 2.5e-10 * counts.activations,
        ...     additive=True,
        ... )
        >>> cost = count(get("efficientnet-b0"))
        >>> energy.format(energy.of(cost)), Budget((Limit(energy, 0.005),)).allows(cost)
        ('3.46 mJ', True)
    """

    name: str
    label: str = ""
    unit: Unit = COUNT
    better: Literal["lower", "higher"] = "lower"
    count: Callable[[Any], Any] | None = field(default=None, compare=False)
    additive: bool = False
    read: Callable[[Measurement], float] | None = field(default=None, compare=False)
    measure: Callable[[Network], float] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or keyword.iskeyword(self.name) or self.name in _TAKEN:
            raise InputError(
                f"A measure cannot be called {self.name!r}: its name is of small letters, digits and underscores, and "
                f"none of {', '.join(sorted(_TAKEN))}."
            )
        if self.additive and self.count is None:
            raise InputError(f"The measure {self.name} cannot be a sum over layers (additive) without count.")
        if self.better not in ("lower", "higher"):
            raise InputError(f"Of the measure {self.name} lower or higher is better, not {self.better!r}.")
        if not self.label:
            object.__setattr__(self, "label", self.name)
        if self.count is not None:
            for counts in _SAMPLES:
                self._checked(self.count, counts, InputError)

    def _checked(self, function: Callable[[Any], Any], given: object, kind: type[AllometryError]) -> float:
        """What a function that may be somebody's own gives, if that is a number."""
        try:
            value: Any = function(given)
            number = type(value) is not bool and isinstance(value, Real) and math.isfinite(value)
        except AllometryError:
            raise
        except Exception as error:
            raise kind(
                f"The measure {self.name} cannot be worked out: its function fails with {type(error).__name__}: "
                f"{shown(str(error))}."
            ) from error
        if not number:
            raise kind(
                f"The measure {self.name} cannot be worked out: its function gives {shown(value)}, no finite number."
            )
        return value  # type: ignore[no-any-return]

    def measured(self, network: Network) -> float:
        """Its value by its own function.

        Raises:
            MeasurementError: the function fails, or gives no finite number.
        """
        assert self.measure is not None  # noqa: S101
        return self._checked(self.measure, network, MeasurementError)

    def __repr__(self) -> str:
        return f"Measure({self.name!r})"

    def __reduce__(self) -> tuple[Callable[..., Measure], tuple[object, ...]]:
        """A registered measure goes to another process by its name, whatever functions it has."""
        if any(known is self for known in MEASURES):
            return as_measure, (self.name,)
        return _rebuilt, tuple(getattr(self, part.name) for part in fields(self))

    @property
    def sign(self) -> int:
        """1 where lower values are better, -1 where higher ones are."""
        return 1 if self.better == "lower" else -1

    @property
    def needs_runtime(self) -> bool:
        """Whether it is known from a run in a runtime alone."""
        return self.read is not None and self.count is None and self.measure is None

    def of(self, cost: HasReadings) -> float | None:
        """Its value of a network: as it was measured, else counted; None if it is neither."""
        value = cost.readings.get(self.name)
        if value is None and self.count is not None:
            value = self.count(cost)
        return value

    def parse(self, text: str) -> float:
        """Read a value, such as `20ms`.

        Raises:
            ValueError: the text is none.
        """
        return self.unit.parse(text)

    def format(self, value: float) -> str:
        """Write a value for people.

        Example:
            >>> MACS.format(385814752), MEMORY.format(5_000_000), LATENCY.format(0.02)
            ('386M', '5.00MB', '20 ms')
        """
        return self.unit.format(value)

    def describe(self, value: float) -> str:
        """A value with the measure's label.

        Example:
            >>> MACS.describe(1e7), MEMORY.describe(5e6), LATENCY.describe(0.02)
            ('10.0M MACs', '5.00MB of memory', '20 ms of latency')
        """
        return f"{self.format(value)}{' of ' if self.unit.symbol else ' '}{self.label}"


MEASURES: Registry[Measure] = Registry("measure")
"""The measures by name."""

PARAMS = MEASURES.register(
    Measure(name="params", label="parameters", count=attrgetter("params"), additive=True)
)
MACS = MEASURES.register(Measure(name="macs", label="MACs", count=attrgetter("macs"), additive=True))
ACTIVATIONS = MEASURES.register(Measure(name="activations", count=attrgetter("activations"), additive=True))
MEMORY = MEASURES.register(
    Measure(name="memory", unit=BYTES, count=attrgetter("memory"), read=attrgetter("memory"))
)
LATENCY = MEASURES.register(Measure(name="latency", unit=SECONDS, read=attrgetter("latency")))

COUNTED = (PARAMS, MACS, ACTIVATIONS, MEMORY)
"""Those that every `Cost` has as a field of its own."""


def register_measure(measure: Measure, *, replace: bool = False) -> Measure:
    """Make a measure known by its name to budgets, objectives, verbs, reports and the command line.

    Args:
        measure: the measure; it is given back.
        replace: whether it takes the place of another one of that name.

    Raises:
        InputError: another measure has that name.

    Example:
        >>> layers = Measure(name="weight_bytes", unit=BYTES, count=lambda counts: 4 * counts.params, additive=True)
        >>> with MEASURES.registered(layers):  # as register_measure(layers), and undone at the end
        ...     from allometry.cost import parse_budget
        ...     print(parse_budget("weight_bytes<=1MB"))
        weight_bytes <= 1.00MB
    """
    return MEASURES.register(measure, replace=replace)


def as_measure(value: Measure | str) -> Measure:
    """The measure that a user means: a measure, or its name.

    Raises:
        UnknownNameError: no measure is registered by that name.
        InputError: the value is of another type.

    Example:
        >>> as_measure("latency") is as_measure(LATENCY)
        True
    """
    if isinstance(value, Measure):
        return value
    if not isinstance(value, str):
        raise InputError(f"A measure or its name is expected, not a {type(value).__name__}.")
    return MEASURES.get(value.strip().lower())


def recorded_measure(name: str) -> Measure:
    """The measure that a file names; a plain number where nobody has registered it here.

    Example:
        >>> recorded_measure("latency") is LATENCY, recorded_measure("of_yesterday").format(12345.6)
        (True, '1.235e+04')
    """
    return MEASURES.get(name) if name in MEASURES else Measure(name=name, unit=Unit())


def more_measures() -> tuple[Measure, ...]:
    """The measures besides those that every `Cost` counts.

    Example:
        >>> LATENCY in more_measures(), MACS in more_measures()
        (True, False)
    """
    return tuple(measure for measure in MEASURES if measure not in COUNTED)


def _rebuilt(*values: object) -> Measure:
    names = (part.name for part in fields(Measure))
    return Measure(**dict(zip(names, values, strict=True)))  # type: ignore[arg-type]
