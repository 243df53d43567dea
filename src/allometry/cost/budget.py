"""Budgets: limits on what a network may cost, as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from allometry.base import BudgetError
from allometry.base.units import format_quantity, parse_quantity
from allometry.cost.count import Cost

Measure = Literal["macs", "params", "activations", "memory"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

_LIMIT = re.compile(r"\s*(?P<measure>[a-zA-Z]+)\s*(?:<=|=|<)\s*(?P<value>\S.*?)\s*")
_MULTIPLE = re.compile(r"(?P<factor>\d+(?:\.\d+)?)\s*x")
_EXAMPLES = "Write it as 400M (MACs), macs<=400M, params<=5M, memory<=512MB, 4x, or several joined by commas."


@dataclass(frozen=True, slots=True)
class Limit:
    """One measure and the most it may be: bytes for memory, a count for the others.

    Example:
        >>> print(Limit("memory", 512_000_000))
        memory <= 512MB
    """

    measure: Measure
    most: int

    def __str__(self) -> str:
        return f"{self.measure} <= {show(self.measure, self.most)}"


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits that all hold at once.

    Example:
        >>> from allometry.zoo import get
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
        """The largest share of a limit that `cost` takes: at most 1 where the budget allows it."""
        shares: list[float] = [getattr(cost, limit.measure) / limit.most for limit in self.limits]
        return max(shares)

    def allows(self, cost: Cost) -> bool:
        """Whether `cost` is within every limit; exact."""
        return all(getattr(cost, limit.measure) <= limit.most for limit in self.limits)

    def exact(self) -> str:
        """The budget as text that reads back as itself; `str` rounds for people.

        Example:
            >>> parse_budget("macs<=9876543").exact()
            'macs<=9876543'
        """
        return ",".join(f"{limit.measure}<={limit.most}" for limit in self.limits)

    def times(self, factor: float) -> Budget:
        """The budget with every limit multiplied, rounded down.

        Example:
            >>> print(parse_budget("10M").times(0.25))
            macs <= 2.50M
        """
        return Budget(tuple(Limit(limit.measure, max(1, int(limit.most * factor))) for limit in self.limits))

    def __str__(self) -> str:
        return ", ".join(str(limit) for limit in self.limits)


def parse_budget(text: str, reference: Cost | None = None) -> Budget:
    """Read a budget. A bare quantity means MACs; `4x` means four times the MACs of `reference`.

    Args:
        text: `400M`, `macs<=400M, params<=5M`, `memory<=512MB`, `4x`, `params<=2x`.
        reference: what multiples are of.

    Raises:
        BudgetError: the text is not a budget, or a multiple without a reference.

    Example:
        >>> parse_budget("20M").limits
        (Limit(measure='macs', most=20000000),)
        >>> parse_budget("latency<=soon")
        Traceback (most recent call last):
            ...
        allometry.base.errors.BudgetError: A budget cannot limit 'latency'; possible: macs, params, activations, ...
    """
    return Budget(tuple(_parse_limit(part, reference) for part in text.split(",")))


def show(measure: Measure, value: float) -> str:
    """A value of that measure, readable.

    Example:
        >>> show("macs", 385814752), show("memory", 5_000_000)
        ('386M', '5.00MB')
    """
    return format_quantity(value, unit="B" if measure == "memory" else "")


def _parse_limit(text: str, reference: Cost | None) -> Limit:
    match = _LIMIT.fullmatch(text)
    measure, value = (match["measure"].lower(), match["value"]) if match else ("macs", text.strip())
    if measure not in MEASURES:
        raise BudgetError(f"A budget cannot limit {measure!r}; possible: {', '.join(MEASURES)}. {_EXAMPLES}")
    multiple = _MULTIPLE.fullmatch(value)
    try:
        if multiple:
            most = _multiple_of(float(multiple["factor"]), measure, text, reference)
        else:
            most = parse_quantity(value, unit="B" if measure == "memory" else "")
    except ValueError as error:
        if isinstance(error, BudgetError):
            raise
        raise BudgetError(f"Cannot read the budget {text.strip()!r}: {error}. {_EXAMPLES}") from error
    if most < 1:
        raise BudgetError(f"The budget {text.strip()!r} allows nothing; give a positive limit.")
    return Limit(measure, most)


def _multiple_of(factor: float, measure: str, text: str, reference: Cost | None) -> int:
    if reference is None:
        raise BudgetError(f"The budget {text.strip()!r} is a multiple, but of what? {_EXAMPLES}")
    return int(factor * getattr(reference, measure))
