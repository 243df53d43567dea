"""Searchers by name. All are asked for networks and told what they are worth."""

from __future__ import annotations

from collections.abc import Callable

from allometry.arch import Space
from allometry.base import InputError, UnknownNameError
from allometry.nas.searchers.base import Searcher, dominates, front
from allometry.nas.searchers.evolution import EvolutionConfig, EvolutionSearcher, RandomSearcher


def _controller(space: Space, seed: int, objectives: int) -> Searcher:
    from allometry.nas.searchers.controller import ControllerSearcher

    if objectives != 1:
        raise InputError(
            f"The controller learns from one reward, not from {objectives} objectives; join them in one expression, "
            "or search by nsga2."
        )
    return ControllerSearcher(space, seed=seed)


def _nsga2(space: Space, seed: int, objectives: int) -> Searcher:
    from allometry.nas.searchers.optuna_samplers import OptunaSearcher, nsga2

    return OptunaSearcher(space, sampler=nsga2(seed=seed), objectives=objectives)


def _tpe(space: Space, seed: int, objectives: int) -> Searcher:
    from allometry.nas.searchers.optuna_samplers import OptunaSearcher, tpe

    return OptunaSearcher(space, sampler=tpe(seed=seed), objectives=objectives, forgets=True)


SEARCHERS: dict[str, Callable[[Space, int, int], Searcher]] = {
    "random": lambda space, seed, _objectives: RandomSearcher(space, seed=seed),
    "evolution": lambda space, seed, _objectives: EvolutionSearcher(space, seed=seed),
    "nsga2": _nsga2,
    "controller": _controller,
    "tpe": _tpe,
}
"""What `allometry search --algorithm` takes: a searcher from a space, a seed, and the number of objectives."""


def make_searcher(name: str, space: Space, *, seed: int = 0, objectives: int = 1) -> Searcher:
    """A searcher by its name.

    Args:
        name: of `SEARCHERS`.
        space: to draw from.
        seed: of all its chance.
        objectives: how many values it will be told of each network.

    Raises:
        UnknownNameError: there is none of that name.
        InputError: it cannot handle so many objectives.

    Example:
        >>> from allometry.catalog import find_space
        >>> make_searcher("evolve", find_space("fbnet"))
        Traceback (most recent call last):
            ...
        allometry.base.errors.UnknownNameError: No searcher is named 'evolve'. Did you mean 'evolution'?
    """
    if name not in SEARCHERS:
        raise UnknownNameError("searcher", name, SEARCHERS)
    return SEARCHERS[name](space, seed, objectives)


__all__ = [
    "SEARCHERS",
    "EvolutionConfig",
    "EvolutionSearcher",
    "RandomSearcher",
    "Searcher",
    "dominates",
    "front",
    "make_searcher",
]
