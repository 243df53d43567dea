"""Budgets: limits on what a network may cost, as people write them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from allometry.base import BudgetError
from allometry.base.checks import is_number
from allometry.base.reading import parse_number
from allometry.base.text import shown
from allometry.cost.cost import Cost
from allometry.cost.measures import MACS, MEASURES, Measure, as_measure

_LIMIT = re.compile(r"\s*(?P<measure>[a-zA-Z]\w*)\s*(?P<sign><=|>=|=|<|>)\s*(?P<value>\S.*?)\s*")
_MULTIPLE = re.compile(r"(?P<factor>[0-9]+(?:\.[0-9]+)?)\s*x")
_GROUPED = re.compile(r"(?<![0-9.])[0-9]{1,3},[0-9]")
_MOST = 1e27  # of any unit; what is written is exact up to there
_EXAMPLES = (
    "Write it as 400M (MACs), macs<=400M, params<=5M, memory<=512MB, latency<=20ms, 4x, or several of them joined by "
    "commas."
)


@dataclass(frozen=True, slots=True, init=False)
class Limit:
    """One measure and the most it may be, in its unit; the least where higher values are better.

    Args:
        measure: a measure, or the name of one.
        most: bytes for memory, seconds for latency, a count for params, MACs and activations.

    Raises:
        BudgetError: the limit is not a positive number.
        UnknownNameError: no measure has that name.

    Example:
        >>> print(Limit("memory", 512_000_000))
        memory <= 512MB
        >>> print(Limit("latency", 0.02))
        latency <= 20 ms
    """

    measure: Measure
    most: float

    def __init__(self, measure: Measure | str, most: float) -> None:
        object.__setattr__(self, "measure", as_measure(measure))
        if not is_number(most) or most <= 0:
            raise BudgetError(
                f"The limit of {self.measure.name} must be a positive number, in "
                f"{self.measure.unit.symbol or 'ones'}, not {shown(most)}."
            )
        object.__setattr__(self, "most", most)

    def value(self, cost: Cost) -> float:
        """The value of `cost` that is limited.

        Raises:
            BudgetError: the cost has no such value: a latency is measured on a device, not counted.
        """
        value = self.measure.of(cost)
        if value is None:
            raise BudgetError(
                f"The budget limits the {self.measure.name}, which is not counted but measured on a device: "
                "`allometry scale` and `run` do that, and `solve` where it is given something to measure with."
            )
        return float(value)

    def allows(self, value: float) -> bool:
        """Whether a value is within the limit; exact."""
        sign = self.measure.sign
        return sign * value <= sign * self.most

    def use(self, value: float) -> float:
        """The fraction of the limit that a value takes: at most 1 where the limit allows it."""
        if self.measure.sign > 0:
            return value / self.most
        return self.most / value if value else math.inf

    def times(self, factor: float) -> Limit:
        """The limit, so many times as wide; counts are rounded down."""
        most = self.most * factor if self.measure.sign > 0 else self.most / factor
        return Limit(self.measure, max(1, int(most)) if self.measure.unit.whole else most)

    def exact(self) -> str:
        """The limit as text that reads back as itself."""
        return f"{self.measure.name}{self._sign}{self.measure.unit.exact(self.most)}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"measure": self.measure.name, "most": self.most}

    @property
    def _sign(self) -> str:
        return "<=" if self.measure.sign > 0 else ">="

    def __str__(self) -> str:
        return f"{self.measure.name} {self._sign} {self.measure.format(self.most)}"


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
        measures = [limit.measure.name for limit in self.limits]
        if not measures:
            raise BudgetError(f"A budget needs at least one limit. {_EXAMPLES}")
        twice = {measure for measure in measures if measures.count(measure) > 1}
        if twice:
            raise BudgetError(f"The budget limits {', '.join(sorted(twice))} twice; give each measure once.")

    def use(self, cost: Cost) -> float:
        """The largest fraction of a limit that `cost` takes: at most 1 where the budget allows it."""
        return max(limit.use(limit.value(cost)) for limit in self.limits)

    def allows(self, cost: Cost) -> bool:
        """Whether `cost` is within every limit; exact."""
        return all(limit.allows(limit.value(cost)) for limit in self.limits)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What it limits."""
        return tuple(limit.measure for limit in self.limits)

    @property
    def needs_runtime(self) -> bool:
        """Whether a network has to run on a device to be judged by it."""
        return any(measure.needs_runtime for measure in self.measures)

    @property
    def is_counted(self) -> bool:
        """Whether counting is enough to judge a network by it."""
        return all(measure.count is not None for measure in self.measures)

    def exact(self) -> str:
        """The budget as text that reads back as itself; `str` rounds for people.

        Example:
            >>> parse_budget("macs<=9876543").exact()
            'macs<=9876543'
        """
        return ",".join(limit.exact() for limit in self.limits)

    def times(self, factor: float) -> Budget:
        """The budget with every limit multiplied; counts are rounded down.

        Example:
            >>> print(parse_budget("10M").times(0.25))
            macs <= 2.50M
        """
        return Budget(tuple(limit.times(factor) for limit in self.limits))

    def __str__(self) -> str:
        return ", ".join(str(limit) for limit in self.limits)


def parse_budget(text: str, reference: Cost | None = None) -> Budget:
    """Read a budget. A bare quantity means MACs; `4x` means four times the MACs of `reference`.

    Args:
        text: `400M`, `macs<=400M, params<=5M`, `memory<=512MB`, `latency<=20ms`, `4x`, `params<=2x`; any measure that
            is registered.
        reference: what multiples are of.

    Raises:
        BudgetError: the text is not a budget, or a multiple without a reference.

    Example:
        >>> parse_budget("20M").limits
        (Limit(measure=Measure('macs'), most=20000000),)
        >>> parse_budget("latency<=20ms").limits
        (Limit(measure=Measure('latency'), most=0.02),)
        >>> parse_budget("accuracy<=1")
        Traceback (most recent call last):
            ...
        allometry.base.errors.BudgetError: A budget cannot limit 'accuracy'; possible: params, macs, activations, ...
    """
    if _GROUPED.search(text):
        raise BudgetError(
            f"Cannot read the budget {shown(text)}: commas stand between limits, so numbers are written without them "
            f"(5000000 or 5M, 2.5ms). {_EXAMPLES}"
        )
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


def _parse_limit(text: str, reference: Cost | None) -> Limit:
    match = _LIMIT.fullmatch(text)
    name, value = (match["measure"].lower(), match["value"]) if match else (MACS.name, text.strip())
    if name not in MEASURES:
        raise BudgetError(
            f"A budget cannot limit {shown(name)}; possible: {', '.join(MEASURES.names())}. {_EXAMPLES}"
        )
    measure = MEASURES.get(name)
    if match and match["sign"].startswith("<" if measure.sign < 0 else ">"):
        least = "more" if measure.sign < 0 else "less"
        raise BudgetError(
            f"Cannot read the budget {shown(text.strip())}: of {name} {least} is better; write "
            f"{name}{'>=' if measure.sign < 0 else '<='}{value}."
        )
    multiple = _MULTIPLE.fullmatch(value)
    try:
        most = _multiple_of(multiple, measure, text, reference) if multiple else measure.parse(value)
    except ValueError as error:
        if isinstance(error, BudgetError):
            raise
        raise BudgetError(f"Cannot read the budget {shown(text.strip())}: {error}. {_EXAMPLES}") from error
    if most <= 0 or (most < 1 and measure.unit.whole):
        raise BudgetError(f"The budget {shown(text.strip())} allows nothing; give a positive limit.")
    return Limit(measure, most)


def _multiple_of(match: re.Match[str], measure: Measure, text: str, reference: Cost | None) -> float:
    factor = parse_number(match["factor"])
    if reference is None:
        raise BudgetError(f"The budget {shown(text.strip())} is a multiple, but of what? {_EXAMPLES}")
    value = measure.of(reference)
    if value is None:
        raise BudgetError(
            f"The budget {shown(text.strip())} is a multiple of a {measure.name} that nobody measured; give a value in "
            f"{measure.unit.symbol or 'numbers'}, such as {measure.format(0.02)}."
        )
    most = factor * value
    if most > _MOST:
        raise ValueError(f"{shown(match['factor'])[1:-1]} times as much is beyond all bounds")
    return int(most) if measure.unit.whole else most
