"""The whole front of predicted accuracy against one cost at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.arch.any_space import AnySpace
from allometry.base import InputError
from allometry.base.checks import check_fields
from allometry.nas.encodings import Encodings
from allometry.nas.proposals import EncodingFilter
from allometry.supernets.evolution import SubnetEvolution, Transform
from allometry.supernets.predictor_quality import Accuracies, Predicts

Cost = Callable[[Encodings], npt.NDArray[np.floating]]
"""What encodings cost, [N, choices] to [N], all above 0."""
_NEAR = 0.05  # of all that live, how far away by cost a mate may be


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoConfig:
    """How the front is searched.

    Attributes:
        living: networks that live on and have children, or a few more: the front, the front of the rest, and so on.
        population: children of a generation.
        generations: at most; it ends before where nothing new is found.
        mutated: the fraction of the children by mutation, half of them in one choice only; the others are crossed.
        rate: with which a choice mutates in the other half.
        network_rate: the same of the choices of the whole network, such as the resolution.

    Raises:
        InputError: a number is out of its range.

    Example:
        >>> ParetoConfig(generations=20).population
        1000
        >>> ParetoConfig(mutated=2)
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: mutated must be a fraction from 0 to 1, not 2.
    """

    living: int = 500
    population: int = 1000
    generations: int = 100
    mutated: float = 0.5
    rate: float = 0.1
    network_rate: float = 0.5

    def __post_init__(self) -> None:
        check_fields(self, living=2, population=2, generations=0)
        for name in ("mutated", "rate", "network_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be a fraction from 0 to 1, not {getattr(self, name)!r}.")


class Front(NamedTuple):
    """The networks than which none that was found is both cheaper and better.

    Attributes:
        encodings: by rising cost, [N, choices].
        costs: strictly rising, [N].
        accuracies: predicted, strictly rising, [N].
        examined: how many different networks were predicted.

    Example:
        >>> front = Front(
        ...     encodings=np.array([[0, 0], [1, 0]], np.int8),
        ...     costs=np.array([1e6, 2e6]),
        ...     accuracies=np.array([0.6, 0.7]),
        ...     examined=4,
        ... )
        >>> len(front.encodings), front.costs.tolist()
        (2, [1000000.0, 2000000.0])
    """

    encodings: Encodings
    costs: npt.NDArray[np.float64]
    accuracies: Accuracies
    examined: int


def everything(encodings: Encodings) -> npt.NDArray[np.bool_]:
    """Allow all encodings."""
    return np.ones(len(encodings), bool)


def pareto(
    space: AnySpace,
    predictor: Predicts,
    *,
    cost: Cost,
    allows: EncodingFilter = everything,
    settings: ParetoConfig = ParetoConfig(),
    seed: int = 0,
    transform: Transform | None = None,
    start: Encodings | None = None,
) -> Front:
    """Search the best networks for every cost at once.

    The front lives on with the front of the rest, and so on. All have children, and are crossed with others of about
    their cost, so that what is good at one cost is soon tried at the next. `docs/results.md` compares it with a search
    for each limit, under "Predicting and searching subnets".

    Args:
        space: to search.
        predictor: says the accuracy of encodings, [N, choices] to [N].
        cost: of encodings, [N], above 0: such as the MACs of `search.Costs`, or `search.Latencies`.
        allows: says which encodings keep all limits.
        settings: of the evolution.
        seed: of all chance.
        transform: a projection of encodings onto those that are sought, such as `couple_encodings`.
        start: other members to start from, [N, choices].

    Raises:
        BudgetError: nothing is allowed of all that was looked at to start from.
        InputError: `start` is not of this space, or a cost is not above 0.

    Source: fronts, one after the other: NSGA-II (Deb et al. 2002), here without its distances within a front; the
    front in place of one budget after the other: Once-for-All (Cai et al. 2020), Figure 9.

    Example:
        >>> from allometry.nas import Costs
        >>> from allometry.catalog import find_space
        >>> space = find_space("fbnet")
        >>> costs = Costs(space)
        >>> front = pareto(
        ...     space,
        ...     lambda encodings: costs(encodings)["params"] / 1e7,
        ...     cost=lambda encodings: costs(encodings)["macs"],
        ...     settings=ParetoConfig(population=100, generations=10),
        ... )
        >>> bool((np.diff(front.costs) > 0).all() and (np.diff(front.accuracies) > 0).all())
        True
    """
    breeder = SubnetEvolution(
        space, allows, transform, rate=settings.rate, network_rate=settings.network_rate, seed=seed
    )
    children = breeder.first(settings.population, start)
    encodings, costs, accuracies, examined = children[:0], np.empty(0), np.empty(0), 0
    for generation in range(settings.generations + 1):
        encodings = np.concatenate([encodings, children])
        costs = np.concatenate([costs, _checked(cost(children))])
        accuracies = np.concatenate([accuracies, np.asarray(predictor(children), np.float64)])
        examined += len(children)
        living = _living(costs, accuracies, settings.living)
        encodings, costs, accuracies = encodings[living], costs[living], accuracies[living]
        if generation < settings.generations:
            others = encodings[_neighbors(len(encodings), breeder.random)]
            children = breeder.children(encodings, others, settings.population, mutated=settings.mutated)
            if not len(children):
                break
    best = _living(costs, accuracies, 1)
    return Front(encodings[best], costs[best], accuracies[best], examined)


def _living(costs: npt.NDArray[np.float64], accuracies: Accuracies, least: int) -> npt.NDArray[np.int64]:
    """The front, the front of the rest, and so on, until there are so many; by rising cost."""
    left = np.lexsort((-accuracies, costs))
    chosen = left[:0]
    while len(chosen) < least and len(left):
        best = np.maximum.accumulate(accuracies[left])
        on = np.concatenate([[True], accuracies[left][1:] > best[:-1]])
        chosen, left = np.concatenate([chosen, left[on]]), left[~on]
    living: npt.NDArray[np.int64] = chosen[np.argsort(costs[chosen], kind="stable")]
    return living


def _neighbors(number: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """For each of those sorted by cost, another of about its cost."""
    most = max(1, round(_NEAR * number))
    places = np.arange(number) + random.integers(-most, most + 1, size=number)
    near: npt.NDArray[np.int64] = np.clip(places, 0, number - 1)
    return near


def _checked(costs: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    values = np.asarray(costs, np.float64)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise InputError("Every network must cost something above 0, as MACs, params and seconds do.")
    return values
