"""Searchers of few lines: chance, and regularized evolution."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from allometry.arch import Space
from allometry.base import InputError
from allometry.base.checks import check_at_least
from allometry.nas.encodings import Encoding, Values, mutate_encodings, sample_encodings
from allometry.nas.searchers.base import SEARCHERS, NamedSearcher, dominates


class RandomSearcher:
    """Draws members at random, each with the same probability, and learns nothing.

    Args:
        space: to draw from.
        seed: of what it draws.
        objectives: any number.

    Example:
        >>> from allometry.catalog import find_space
        >>> RandomSearcher(find_space("fbnet"), seed=0).ask().shape
        (28,)
    """

    tries = 300

    def __init__(self, space: Space, *, seed: int = 0, objectives: int = 1) -> None:
        del objectives
        self._space, self._random = space, np.random.default_rng(seed)

    def ask(self) -> Encoding:
        """An encoding."""
        encoding: Encoding = sample_encodings(self._space, self._random, 1)[0]
        return encoding

    def tell(self, encoding: Encoding, values: Values) -> None:
        """Learn nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionConfig:
    """How regularized evolution chooses.

    Attributes:
        population: how many of the latest networks live.
        sample: how many of them compete to be the parent.

    Raises:
        InputError: a number is out of its range.

    Source: Real et al. 2019, *Regularized evolution for image classifier architecture search*, section 3; there 100
    and 25 of 20,000 networks, here fewer, since fewer are trained.

    Example:
        >>> EvolutionConfig(population=8).sample
        5
        >>> EvolutionConfig(population=4)
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: sample of the evolution must be from 1 to its population, 4, not 5.
    """

    population: int = 16
    sample: int = 5

    def __post_init__(self) -> None:
        check_at_least(self)
        if not 1 <= self.sample <= self.population:
            raise InputError(
                f"sample of the evolution must be from 1 to its population, {self.population}, not {self.sample}."
            )


class EvolutionSearcher:
    """Regularized evolution: the best of a few living networks has a child, and the oldest dies.

    With several objectives, of two networks that compete the one that is better in all of them wins; where none is,
    chance decides.

    Args:
        space: to draw from.
        seed: of all chance.
        objectives: any number.
        settings: of the population.

    Source: Real et al. 2019, *Regularized evolution for image classifier architecture search*, Algorithm 1.

    Example:
        >>> from allometry.catalog import find_space
        >>> searcher = EvolutionSearcher(find_space("fbnet"), seed=0)
        >>> encoding = searcher.ask()
        >>> searcher.tell(encoding, (0.5,))
    """

    tries = 300

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        objectives: int = 1,
        settings: EvolutionConfig = EvolutionConfig(),
    ) -> None:
        del objectives
        self._space, self._random, self._settings = space, np.random.default_rng(seed), settings
        self._living: deque[tuple[Encoding, Values]] = deque(maxlen=settings.population)

    def ask(self) -> Encoding:
        """An encoding: at random until as many live as may, then a child of one of them."""
        child: Encoding
        if len(self._living) < self._settings.population:
            child = sample_encodings(self._space, self._random, 1)[0]
            return child
        some = self._random.choice(len(self._living), size=self._settings.sample, replace=False)
        parent, best = self._living[some[0]]
        for place in some[1:]:
            encoding, values = self._living[place]
            if dominates(values, best):
                parent, best = encoding, values
        child = mutate_encodings(self._space, parent[None], self._random)[0]
        return child

    def tell(self, encoding: Encoding, values: Values) -> None:
        """It lives from now on."""
        self._living.append((encoding, values))


SEARCHERS.register(NamedSearcher("random", RandomSearcher))
SEARCHERS.register(NamedSearcher("evolution", EvolutionSearcher))
