"""The best subnet within limits, by evolution over a predictor: nothing is trained, and nothing is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from allometry.arch.any_space import AnySpace
from allometry.base import InputError
from allometry.base.checks import check_fields
from allometry.nas.encodings import Encodings
from allometry.nas.proposals import EncodingFilter
from allometry.supernets.evolution import SubnetEvolution, Transform
from allometry.supernets.predictor_quality import Accuracies, Predicts


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecializeConfig:
    """How evolution goes.

    Generations are fewer and larger than Once-for-All's, since many networks at once take little longer than few;
    `docs/results.md` compares both, and `THOROUGH`, under "Predicting and searching subnets".

    Attributes:
        population: children of a generation.
        generations: at most; it ends before where nothing new is found.
        parents: the fraction of the population that lives on and has children.
        mutated: the fraction of the children by mutation, half of them in one choice only; the others are crossed.
        rate: with which a choice mutates in the other half.
        network_rate: the same of the choices of the whole network, such as the resolution.
        best: networks that are given back.

    Raises:
        InputError: a number is out of its range.

    Source: released Once-for-All code, `evolution.py`: 100, 500, 0.25, 0.5, 0.1 and 0.5, without children that differ
    in one choice only.

    Example:
        >>> SpecializeConfig(generations=20).best
        10
        >>> SpecializeConfig(population=1)
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: population must be at least 2, not 1.
    """

    population: int = 1000
    generations: int = 50
    parents: float = 0.25
    mutated: float = 0.5
    rate: float = 0.1
    network_rate: float = 0.5
    best: int = 10

    def __post_init__(self) -> None:
        check_fields(self, population=2, generations=0, best=1)
        for name in ("parents", "mutated", "rate", "network_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be a fraction from 0 to 1, not {getattr(self, name)!r}.")


THOROUGH = SpecializeConfig(population=4000, generations=300)
"""About a million networks, fewer where little that is new is allowed: for a last word, where a quick answer is not
enough."""


class Specialized(NamedTuple):
    """What evolution found.

    Attributes:
        encodings: the best networks, all different, the best first, [best, choices].
        accuracies: predicted, of these, [best].
        examined: how many different networks were predicted.
        history: the best predicted accuracy at the start and after each generation.

    Example:
        >>> import numpy as np
        >>> best = Specialized(
        ...     encodings=np.array([[1, 0]], np.int8),
        ...     accuracies=np.array([0.7]),
        ...     examined=4,
        ...     history=(0.6, 0.7),
        ... )
        >>> best.encodings.tolist(), best.history[-1]
        ([[1, 0]], 0.7)
    """

    encodings: Encodings
    accuracies: Accuracies
    examined: int
    history: tuple[float, ...]


def specialize(
    space: AnySpace,
    predictor: Predicts,
    *,
    allows: EncodingFilter,
    settings: SpecializeConfig = SpecializeConfig(),
    seed: int = 0,
    transform: Transform | None = None,
    start: Encodings | None = None,
) -> Specialized:
    """Search the networks of the highest predicted accuracy within limits.

    It starts from the space's smallest member and from random ones; where hardly any is allowed, from what is near
    the smallest. No network is predicted twice.

    Measure what comes back: the best prediction of very many is too high (`docs/results.md` says by how much).
    Measured, it can be fitted to along with the others.

    Args:
        space: to search.
        predictor: says the accuracy of encodings, [N, choices] to [N].
        allows: says which encodings keep all limits, [N, choices] to bool [N]; what it refuses is never predicted.
        settings: of the evolution.
        seed: of all chance.
        transform: a projection of encodings onto those that are sought, such as `couple_encodings`.
        start: other members to start from, [N, choices], such as what is best for a limit nearby.

    Raises:
        BudgetError: nothing is allowed of all that was looked at to start from.
        InputError: `start` is not of this space.

    Source: Once-for-All (Cai et al. 2020), section 3.4; Real et al. 2019, *Regularized evolution*.

    Example:
        >>> from allometry.nas import Costs
        >>> from allometry.catalog import find_space
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> costs = Costs(space)
        >>> front = specialize(
        ...     space,
        ...     lambda encodings: costs(encodings)["params"] / 1e7,
        ...     allows=lambda encodings: costs(encodings)["macs"] <= 200e6,
        ...     settings=SpecializeConfig(population=100, generations=20),
        ... )
        >>> int(costs(front.encodings)["macs"].max()) <= 200e6, front.history[-1] > front.history[0]
        (True, True)
    """
    breeder = SubnetEvolution(
        space, allows, transform, rate=settings.rate, network_rate=settings.network_rate, seed=seed
    )
    kept = max(2, settings.best, round(settings.parents * settings.population))
    children = breeder.first(settings.population, start)
    encodings, accuracies = children[:0], np.empty(0)
    examined, history = 0, []
    for generation in range(settings.generations + 1):
        encodings = np.concatenate([encodings, children])
        accuracies = np.concatenate([accuracies, np.asarray(predictor(children), np.float64)])
        examined += len(children)
        order = np.argsort(-accuracies, kind="stable")[:kept]
        encodings, accuracies = encodings[order], accuracies[order]
        history.append(float(accuracies[0]))
        if generation < settings.generations:
            others = encodings[breeder.random.permutation(len(encodings))]
            children = breeder.children(encodings, others, settings.population, mutated=settings.mutated)
            if not len(children):
                break
    return Specialized(encodings[: settings.best], accuracies[: settings.best], examined, tuple(history))
