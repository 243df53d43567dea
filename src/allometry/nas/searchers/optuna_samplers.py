"""Optuna's samplers as searchers: NSGA-II and the tree-structured Parzen estimator."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from allometry.arch import Choice, Option, Space
from allometry.nas.encodings import ABSENT, Encoding, Values

if TYPE_CHECKING:
    import optuna


_POPULATION = 16
_FORGOTTEN = 50
_FIRST = 10  # networks at random before the estimator has something to estimate


class OptunaSearcher:
    """A sampler of Optuna, asked choice by choice: the depths first, then what is there with them.

    Args:
        space: to draw from.
        sampler: of Optuna.
        objectives: how many values it is told.
        forgets: whether refused proposals are put out of its memory from time to time: an estimator that reads all
            of it for each choice would get ever slower. An evolution has to keep its generations.

    Example:
        >>> from allometry.catalog import find_space
        >>> searcher = OptunaSearcher(find_space("fbnet"), sampler=tpe(seed=0))
        >>> searcher.tell(searcher.ask(), (0.5,))
    """

    tries = 50  # an answer takes a hundred times as long as that of other searchers

    def __init__(
        self,
        space: Space,
        *,
        sampler: Callable[[], optuna.samplers.BaseSampler],
        objectives: int = 1,
        forgets: bool = False,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._study = optuna.create_study(sampler=sampler(), directions=["maximize"] * objectives)
        self._asked: dict[bytes, optuna.Trial] = {}
        self._forgets, self._refused = forgets, 0

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
        self._asked[encoding.tobytes()] = trial
        return encoding

    def tell(self, encoding: Encoding, values: Values) -> None:
        """What the encoding is worth; one that was not asked for is taken as if it had been."""
        import optuna

        trial = self._asked.pop(encoding.tobytes(), None)
        if trial is None:
            self._study.add_trial(self._given(encoding, values))
        elif min(values) == float("-inf"):
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, list(values))

    def refuse(self, encoding: Encoding) -> None:
        """The sampler forgets that it proposed it."""
        import optuna

        self._study.tell(self._asked.pop(encoding.tobytes()), state=optuna.trial.TrialState.FAIL)
        self._refused += 1
        if self._forgets and self._refused >= _FORGOTTEN:
            self._forget()

    def _forget(self) -> None:
        """Go on with what is known; what is still open is told later, as if it had not been asked for."""
        import optuna

        known = self._study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        self._study = optuna.create_study(sampler=self._study.sampler, directions=self._study.directions)
        self._study.add_trials(known)
        self._asked, self._refused = {}, 0

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


def nsga2(*, seed: int = 0, population: int = _POPULATION) -> Callable[[], optuna.samplers.BaseSampler]:
    """NSGA-II: a population that evolves towards the front of all objectives.

    Source: Deb et al. 2002, *A fast and elitist multiobjective genetic algorithm*; Optuna's implementation.
    """

    def make() -> optuna.samplers.BaseSampler:
        import optuna

        return optuna.samplers.NSGAIISampler(population_size=population, seed=seed)

    return make


def tpe(*, seed: int = 0, first: int = _FIRST) -> Callable[[], optuna.samplers.BaseSampler]:
    """The tree-structured Parzen estimator: choice by choice, what is more frequent among the good than among the rest.

    Source: Bergstra et al. 2011, *Algorithms for hyper-parameter optimization*; Optuna's implementation.
    """

    def make() -> optuna.samplers.BaseSampler:
        import optuna

        with warnings.catch_warnings():  # that an option of it may change some day
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(n_startup_trials=first, seed=seed, constant_liar=True)

    return make
