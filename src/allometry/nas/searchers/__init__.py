"""Searchers by name and by value. All are asked for networks and told what they are worth."""

from __future__ import annotations

import sys
from copy import deepcopy
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, TypeVar, cast

from allometry.arch import Space
from allometry.base import InputError, UnknownNameError
from allometry.base.plugins import PLUGIN_HINT
from allometry.nas.searchers.base import (
    SEARCHERS,
    EncodedSearcher,
    MakeSearcher,
    NamedSearcher,
    Proposal,
    Searcher,
    dominates,
    front,
)
from allometry.nas.searchers.evolution import EvolutionConfig, EvolutionSearcher, RandomSearcher

if TYPE_CHECKING:
    import optuna

SearcherLike: TypeAlias = "str | Searcher | MakeSearcher | optuna.samplers.BaseSampler"
"""A searcher's name; any object with ask and tell; a class or function that makes one; or a sampler of Optuna."""


def make_searcher(searcher: SearcherLike, space: Space, *, seed: int = 0, objectives: int = 1) -> Searcher:
    """The searcher of a space, at its beginning.

    Args:
        searcher: a name of `SEARCHERS`; an object with `ask` and `tell`, or a sampler of Optuna, of which a copy is
            used, so that the same object gives the same search; or a class or function that makes one, called with
            space, seed and objectives.
        space: to draw from.
        seed: of all its chance; an object has its own.
        objectives: how many values it will be told of each network.

    Raises:
        UnknownNameError: there is none of that name.
        InputError: it is no searcher, cannot be copied, or cannot handle so many objectives.

    Example:
        >>> from allometry.catalog import find_space
        >>> import optuna
        >>> space = find_space("fbnet")
        >>> make_searcher(optuna.samplers.TPESampler(seed=1), space).ask().shape
        (28,)
        >>> make_searcher("evolve", space)
        Traceback (most recent call last):
            ...
        allometry.base.errors.UnknownNameError: No searcher is named 'evolve'. Did you mean 'evolution'? ...
    """
    check_searcher(searcher)
    if isinstance(searcher, str):
        return SEARCHERS.get(searcher).make(space, seed=seed, objectives=objectives)
    if _is_sampler(searcher):
        from allometry.nas.searchers.optuna_samplers import OptunaSearcher

        return OptunaSearcher(space, sampler=_copied(searcher), objectives=objectives)
    if hasattr(searcher, "ask") and not isinstance(searcher, type):
        return _copied(cast("Searcher", searcher))
    made: object = cast("MakeSearcher", searcher)(space, seed=seed, objectives=objectives)
    if not isinstance(made, Searcher):
        raise InputError(f"{searcher_name(searcher)} made a {type(made).__name__}, without ask and tell.")
    return made


def check_searcher(searcher: object, others: tuple[str, ...] = ()) -> None:
    """Refuse what is no searcher.

    Args:
        searcher: a name or a value.
        others: names that are possible beside those of `SEARCHERS`.

    Raises:
        UnknownNameError: no searcher has that name.
        InputError: the value is none.

    Example:
        >>> check_searcher(3)
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: A searcher is a name, an object with ask and tell, ... not 3.
    """
    if isinstance(searcher, str):
        if searcher not in others and searcher not in SEARCHERS:
            raise UnknownNameError("searcher", searcher, (*SEARCHERS.names(), *others), PLUGIN_HINT)
    elif not (isinstance(searcher, Searcher) or callable(searcher) or _is_sampler(searcher)):
        raise InputError(
            "A searcher is a name, an object with ask and tell, a class or function that makes one of a space, a seed "
            f"and the number of objectives, or a sampler of Optuna, not {searcher!r}."
        )


def searcher_name(searcher: object) -> str:
    """A searcher in run folders and reports: its name; of a value the class, and its fields if it is a dataclass.

    Example:
        >>> searcher_name("evolution"), searcher_name(RandomSearcher)
        ('evolution', 'RandomSearcher')
    """
    if isinstance(searcher, str):
        return searcher
    if is_dataclass(searcher) and not isinstance(searcher, type):
        return repr(searcher)
    return str(getattr(searcher, "__name__", type(searcher).__name__))


def _is_sampler(searcher: object) -> TypeGuard[optuna.samplers.BaseSampler]:
    """Whether it is Optuna's; who has one has imported it."""
    if "optuna" not in sys.modules:
        return False
    import optuna

    return isinstance(searcher, optuna.samplers.BaseSampler)


_Copied = TypeVar("_Copied")


def _copied(searcher: _Copied) -> _Copied:
    try:
        return deepcopy(searcher)
    except Exception as error:
        raise InputError(
            f"{type(searcher).__name__} cannot be copied ({error}), and a search that goes on asks a copy from the "
            "start again: give a class or function that makes it, of a space, a seed and the number of objectives."
        ) from error


__all__ = [
    "SEARCHERS",
    "EncodedSearcher",
    "EvolutionConfig",
    "EvolutionSearcher",
    "MakeSearcher",
    "NamedSearcher",
    "Proposal",
    "RandomSearcher",
    "Searcher",
    "SearcherLike",
    "check_searcher",
    "dominates",
    "front",
    "make_searcher",
    "searcher_name",
]
