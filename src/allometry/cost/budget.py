"""Budgets: limits on what a network may cost, as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from allometry.base import BudgetError
from allometry.base.units import format_milliseconds, format_quantity, parse_duration, parse_quantity
from allometry.cost.count import Cost

Measure = Literal["macs", "params", "activations", "memory", "latency"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
MEASURED: frozenset[Measure] = frozenset({"latency", "memory"})
"""What a device is asked for, where there is one; memory is counted where there is none."""

_LIMIT = re.compile(r"\s*(?P<measure>[a-zA-Z]+)\s*(?:<=|=|<)\s*(?P<value>\S.*?)\s*")
_MULTIPLE = re.compile(r"(?P<factor>\d+(?:\.\d+)?)\s*x")
_EXAMPLES = (
    "Write it as 400M (MACs), macs<=400M, params<=5M, memory<=512MB, latency<=20ms, 4x, or several of them joined by "
    "commas."
)


@dataclass(frozen=True, slots=True)
class Limit:
    """One measure and the most it may be: bytes for memory, seconds for latency, a count for the others.

    Example:
        >>> print(Limit("memory", 512_000_000))
        memory <= 512MB
        >>> print(Limit("latency", 0.02))
        latency <= 20 ms
    """

    measure: Measure
    most: float

    def value(self, cost: Cost) -> float:
        """The figure of `cost` that is limited.

        Raises:
            BudgetError: the cost has no such figure: a latency is measured on a device, not counted.
        """
        value = getattr(cost, self.measure)
        if value is None:
            raise BudgetError(
                f"The budget limits the {self.measure}, which is not counted but measured on a device: "
                "`allometry scale` and `run` do that, and `solve` where it is given something to measure with."
            )
        return float(value)

    def __str__(self) -> str:
        return f"{self.measure} <= {format_measure(self.measure, self.most)}"


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits that all hold at once.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> budget = parse_budget("macs<=400M, params<=5M")
        >>> print(budget)
        macs <= 400M, params <= 5.00M
        >>> budget.allows(count(get("efficientnet-b0")))
        False
    """

    limits: tuple[Limit, ...]

    def __post_init__(self) -> None:
        measures = [limit.measure for limit in self.limits]
        if not measures:
            raise BudgetError(f"A budget needs at least one limit. {_EXAMPLES}")
        twice = {measure for measure in measures if measures.count(measure) > 1}
        if twice:
            raise BudgetError(f"The budget limits {', '.join(sorted(twice))} twice; give each measure once.")

    def use(self, cost: Cost) -> float:
        """The largest fraction of a limit that `cost` takes: at most 1 where the budget allows it."""
        return max(limit.value(cost) / limit.most for limit in self.limits)

    def allows(self, cost: Cost) -> bool:
        """Whether `cost` is within every limit; exact."""
        return all(limit.value(cost) <= limit.most for limit in self.limits)

    @property
    def measures(self) -> frozenset[Measure]:
        """What it limits."""
        return frozenset(limit.measure for limit in self.limits)

    def exact(self) -> str:
        """The budget as text that reads back as itself; `str` rounds for people.

        Example:
            >>> parse_budget("macs<=9876543").exact()
            'macs<=9876543'
        """
        units = {"latency": "s"}
        return ",".join(
            f"{limit.measure}<={limit.most!r}{units.get(limit.measure, '')}" for limit in self.limits
        )

    def times(self, factor: float) -> Budget:
        """The budget with every limit multiplied; counts are rounded down.

        Example:
            >>> print(parse_budget("10M").times(0.25))
            macs <= 2.50M
        """
        return Budget(
            tuple(Limit(limit.measure, _whole(limit, limit.most * factor)) for limit in self.limits)
        )

    def __str__(self) -> str:
        return ", ".join(str(limit) for limit in self.limits)


def parse_budget(text: str, reference: Cost | None = None) -> Budget:
    """Read a budget. A bare quantity means MACs; `4x` means four times the MACs of `reference`.

    Args:
        text: `400M`, `macs<=400M, params<=5M`, `memory<=512MB`, `latency<=20ms`, `4x`, `params<=2x`.
        reference: what multiples are of.

    Raises:
        BudgetError: the text is not a budget, or a multiple without a reference.

    Example:
        >>> parse_budget("20M").limits
        (Limit(measure='macs', most=20000000),)
        >>> parse_budget("latency<=20ms").limits
        (Limit(measure='latency', most=0.02),)
        >>> parse_budget("accuracy<=1")
        Traceback (most recent call last):
            ...
        allometry.base.errors.BudgetError: A budget cannot limit 'accuracy'; possible: macs, params, activations, ...
    """
    return Budget(tuple(_parse_limit(part, reference) for part in text.split(",")))


def as_budget(value: Budget | str, reference: Cost | None = None) -> Budget:
    """The budget that a user means: a budget, or its text.

    Args:
        value: the budget itself, or text as `parse_budget` takes it.
        reference: what multiples in a text are of.

    Raises:
        BudgetError: the text is not a budget, it is a multiple without a reference, or the value is of another type.

    Example:
        >>> as_budget("10M") == as_budget(Budget((Limit("macs", 10_000_000),)))
        True
    """
    if isinstance(value, Budget):
        return value
    if not isinstance(value, str):
        raise BudgetError(f"A budget or its text is expected, not a {type(value).__name__}. {_EXAMPLES}")
    return parse_budget(value, reference)


def format_measure(measure: Measure, value: float) -> str:
    """A value of that measure, readable.

    Example:
        >>> format_measure("macs", 385814752), format_measure("memory", 5_000_000)
        ('386M', '5.00MB')
    """
    if measure == "latency":
        return format_milliseconds(value)
    return format_quantity(value, unit="B" if measure == "memory" else "")


def _whole(limit: Limit, most: float) -> float:
    return most if limit.measure == "latency" else max(1, int(most))


def _parse_limit(text: str, reference: Cost | None) -> Limit:
    match = _LIMIT.fullmatch(text)
    measure, value = (match["measure"].lower(), match["value"]) if match else ("macs", text.strip())
    if measure not in MEASURES:
        raise BudgetError(f"A budget cannot limit {measure!r}; possible: {', '.join(MEASURES)}. {_EXAMPLES}")
    multiple = _MULTIPLE.fullmatch(value)
    try:
        if multiple:
            most: float = _multiple_of(float(multiple["factor"]), measure, text, reference)
        elif measure == "latency":
            most = parse_duration(value)
        else:
            most = parse_quantity(value, unit="B" if measure == "memory" else "")
    except ValueError as error:
        if isinstance(error, BudgetError):
            raise
        raise BudgetError(f"Cannot read the budget {text.strip()!r}: {error}. {_EXAMPLES}") from error
    if most <= 0 or (most < 1 and measure != "latency"):
        raise BudgetError(f"The budget {text.strip()!r} allows nothing; give a positive limit.")
    return Limit(measure, most)


def _multiple_of(factor: float, measure: str, text: str, reference: Cost | None) -> int:
    if reference is None:
        raise BudgetError(f"The budget {text.strip()!r} is a multiple, but of what? {_EXAMPLES}")
    value = getattr(reference, measure)
    if value is None:
        raise BudgetError(
            f"The budget {text.strip()!r} is a multiple of a {measure} that nobody measured; give a time, such as 20ms."
        )
    return int(factor * value)
