"""The whole front of predicted accuracy against one cost at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.arch import Space
from allometry.base import InputError
from allometry.search.proposals import Allowed
from allometry.search.rows import Rows
from allometry.supernet.breeding import Breeder, Transform
from allometry.supernet.judging import Accuracies, Predicts

Cost = Callable[[Rows], npt.NDArray[np.floating]]
"""What rows cost, [N, knobs] to [N], all above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoSettings:
    """How the front is searched.

    Attributes:
        bins: of the logarithm of the cost, equally wide.
        kept: networks that live in each.
        population: children of a generation.
        generations: at most; it ends before where nothing new is found.
        mutated: the share of the children by mutation, half of them in one knob only; the others are crossed.
        rate: with which a knob mutates in the other half.
        network_rate: the same of the knobs of the whole network, such as the resolution.

    Raises:
        InputError: a number is out of its range.
    """

    bins: int = 100
    kept: int = 5
    population: int = 1000
    generations: int = 150
    mutated: float = 0.5
    rate: float = 0.1
    network_rate: float = 0.5

    def __post_init__(self) -> None:
        for name, least in (("bins", 1), ("kept", 1), ("population", 2), ("generations", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, not {getattr(self, name)!r}.")
        for name in ("mutated", "rate", "network_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be a share from 0 to 1, not {getattr(self, name)!r}.")


class Front(NamedTuple):
    """The networks than which none that was found is both cheaper and better.

    Attributes:
        rows: by rising cost, [N, knobs].
        costs: strictly rising, [N].
        accuracies: predicted, strictly rising, [N].
        looked: how many different networks were predicted.
    """

    rows: Rows
    costs: npt.NDArray[np.float64]
    accuracies: Accuracies
    looked: int


def everything(rows: Rows) -> npt.NDArray[np.bool_]:
    """Allow all rows."""
    return np.ones(len(rows), bool)


def pareto(
    space: Space,
    predictor: Predicts,
    *,
    cost: Cost,
    allows: Allowed = everything,
    settings: ParetoSettings = ParetoSettings(),
    seed: int = 0,
    transform: Transform | None = None,
    start: Rows | None = None,
) -> Front:
    """Search the best networks for every cost at once.

    The best few of each bin of the logarithm of the cost live on, have children, and are crossed with others of about
    their cost: so that what is good at one cost is soon tried at the next.

    Args:
        space: to search.
        predictor: says the accuracy of rows, [N, knobs] to [N].
        cost: of rows, [N], above 0: such as the MACs of `search.Costs`, or `search.Latencies`.
        allows: says which rows keep all limits.
        settings: of the evolution.
        seed: of all chance.
        transform: a projection of rows onto those that are sought, such as `couple_rows`.
        start: other members to start from, [N, knobs].

    Raises:
        BudgetError: nothing is allowed of all that was looked at to start from.
        InputError: `start` is not of this space, or a cost is not above 0.

    Source: bins of what should vary, each with its best: Mouret & Clune 2015, *Illuminating search spaces by mapping
    elites*; the front in place of one budget after the other: Once-for-All (Cai et al. 2020), Figure 9.

    Example:
        >>> from allometry.search import Costs
        >>> from allometry.zoo import find_space
        >>> space = find_space("fbnet")
        >>> costs = Costs(space)
        >>> front = pareto(
        ...     space,
        ...     lambda rows: costs(rows)["params"] / 1e7,
        ...     cost=lambda rows: costs(rows)["macs"],
        ...     settings=ParetoSettings(population=100, generations=10),
        ... )
        >>> bool((np.diff(front.costs) > 0).all() and (np.diff(front.accuracies) > 0).all())
        True
    """
    breeder = Breeder(
        space, allows, transform, rate=settings.rate, network_rate=settings.network_rate, seed=seed
    )
    children = breeder.first(settings.population, start)
    rows, prices, accuracies, looked = children[:0], np.empty(0), np.empty(0), 0
    for generation in range(settings.generations + 1):
        rows = np.concatenate([rows, children])
        prices = np.concatenate([prices, _checked(cost(children))])
        accuracies = np.concatenate([accuracies, np.asarray(predictor(children), np.float64)])
        looked += len(children)
        living = _living(prices, accuracies, settings)
        rows, prices, accuracies = rows[living], prices[living], accuracies[living]
        if generation < settings.generations:
            near = int(breeder.random.integers(1, 2 * settings.kept + 1))
            children = breeder.children(
                rows, np.roll(rows, near, axis=0), settings.population, mutated=settings.mutated
            )
            if not len(children):
                break
    order = np.lexsort((-accuracies, prices))
    before = np.maximum.accumulate(np.concatenate([[-np.inf], accuracies[order][:-1]]))
    best = order[accuracies[order] > before]
    return Front(rows[best], prices[best], accuracies[best], looked)


def _living(
    prices: npt.NDArray[np.float64], accuracies: Accuracies, settings: ParetoSettings
) -> npt.NDArray[np.int64]:
    """The best few of each bin, by rising cost of the bins, the best of each first."""
    logs = np.log(prices)
    width = max(float(np.ptp(logs)), 1e-12) / settings.bins
    bins = np.minimum((logs - logs.min()) / width, settings.bins - 1).astype(np.int64)
    order = np.lexsort((-accuracies, bins))
    sorted_bins = bins[order]
    within = np.arange(len(order)) - np.searchsorted(sorted_bins, sorted_bins)
    living: npt.NDArray[np.int64] = order[within < settings.kept]
    return living


def _checked(prices: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    found = np.asarray(prices, np.float64)
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise InputError(
            "Every network must cost something above 0, since costs are compared by their logarithm."
        )
    return found
