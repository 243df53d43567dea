"""Optuna's samplers as searchers: NSGA-II and the tree-structured Parzen estimator."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from allometry.arch import Choice, Option, Space
from allometry.nas.encodings import ABSENT, Encoding, Values
from allometry.nas.searchers.base import SEARCHERS, NamedSearcher

if TYPE_CHECKING:
    import optuna


_POPULATION = 16
_FORGOTTEN = 50
_FIRST = 10  # networks at random before the estimator has something to estimate


class OptunaSearcher:
    """A sampler of Optuna, asked choice by choice: the depths first, then what is there with them.

    What a tree-structured Parzen estimator proposed and was refused is put out of its memory from time to time, since
    it reads all of that for each choice and would get ever slower.

    Args:
        space: to draw from.
        sampler: of Optuna, that nobody else uses.
        objectives: how many values it is told.

    Example:
        >>> from allometry.catalog import find_space
        >>> import optuna
        >>> searcher = OptunaSearcher(find_space("fbnet"), sampler=optuna.samplers.TPESampler(seed=0))
        >>> searcher.tell(searcher.ask(), (0.5,))
    """

    tries = 50  # an answer takes a hundred times as long as that of other searchers

    def __init__(self, space: Space, *, sampler: optuna.samplers.BaseSampler, objectives: int = 1) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._study = optuna.create_study(sampler=sampler, directions=["maximize"] * objectives)
        self._open: dict[bytes, optuna.Trial] = {}
        self._forgets, self._refused = isinstance(sampler, optuna.samplers.TPESampler), 0

    def ask(self) -> Encoding:
        """An encoding by the sampler."""
        trial = self._study.ask()
        chosen: dict[str, Option] = {}
        encoding = np.full(len(self._space.choices), ABSENT, np.int8)

        def decide(choices: tuple[Choice, ...]) -> None:
            for choice in choices:
                number = trial.suggest_categorical(choice.name, range(len(choice.options)))
                chosen[choice.name] = choice.options[number]
                encoding[self._space.choices.index(choice)] = number

        decide(self._space.layout.depth_choices)
        decide(self._space.active_choices(chosen)[len(chosen) :])
        self._open[encoding.tobytes()] = trial
        return encoding

    def tell(self, encoding: Encoding, values: Values) -> None:
        """What the encoding is worth; one that was not asked for is taken as if it had been."""
        import optuna

        trial = self._open.pop(encoding.tobytes(), None)
        if trial is None:
            self._study.add_trial(self._given(encoding, values))
        elif min(values) == float("-inf"):
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, list(values))

    def refuse(self, encoding: Encoding) -> None:
        """The sampler forgets that it proposed it."""
        import optuna

        self._study.tell(self._open.pop(encoding.tobytes()), state=optuna.trial.TrialState.FAIL)
        self._refused += 1
        if self._forgets and self._refused >= _FORGOTTEN:
            self._forget()

    def _forget(self) -> None:
        """Go on with what is known; what is still open is told later, as if it had not been asked for."""
        import optuna

        known = self._study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        self._study = optuna.create_study(sampler=self._study.sampler, directions=self._study.directions)
        self._study.add_trials(known)
        self._open, self._refused = {}, 0

    def _given(self, encoding: Encoding, values: Values) -> optuna.trial.FrozenTrial:
        import optuna

        there = [
            (choice, int(number))
            for choice, number in zip(self._space.choices, encoding, strict=True)
            if number != ABSENT
        ]
        nothing = min(values) == float("-inf")
        return optuna.create_trial(
            state=optuna.trial.TrialState.FAIL if nothing else optuna.trial.TrialState.COMPLETE,
            params={choice.name: number for choice, number in there},
            distributions={
                choice.name: optuna.distributions.CategoricalDistribution(range(len(choice.options)))
                for choice, _ in there
            },
            values=None if nothing else list(values),
        )


def nsga2(space: Space, *, seed: int = 0, objectives: int = 1) -> OptunaSearcher:
    """NSGA-II: a population that evolves towards the front of all objectives.

    Source: Deb et al. 2002, *A fast and elitist multiobjective genetic algorithm*; Optuna's implementation.
    """
    import optuna

    sampler = optuna.samplers.NSGAIISampler(population_size=_POPULATION, seed=seed)
    return OptunaSearcher(space, sampler=sampler, objectives=objectives)


def tpe(space: Space, *, seed: int = 0, objectives: int = 1) -> OptunaSearcher:
    """The tree-structured Parzen estimator: choice by choice, what is more frequent among the good than among the rest.

    Source: Bergstra et al. 2011, *Algorithms for hyper-parameter optimization*; Optuna's implementation.
    """
    import optuna

    with warnings.catch_warnings():  # that an option of it may change some day
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(n_startup_trials=_FIRST, seed=seed, constant_liar=True)
    return OptunaSearcher(space, sampler=sampler, objectives=objectives)


SEARCHERS.register(NamedSearcher("nsga2", nsga2))
SEARCHERS.register(NamedSearcher("tpe", tpe))
