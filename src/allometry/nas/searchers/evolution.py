"""Searchers of few lines: chance, and regularized evolution."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from allometry.arch import Space
from allometry.base import InputError
from allometry.base.checks import check_fields
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


_FEWEST, _MOST = 6, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionConfig:
    """How regularized evolution chooses.

    Attributes:
        population: how many of the latest networks live; None for a quarter of those that were tried so far, from 6 to
            100, so that a short search has children soon and a long one has many parents.
        sample: how many of them compete to be the parent.

    Raises:
        InputError: a number is out of its range.

    Source: Real et al. 2019, *Regularized evolution for image classifier architecture search*, section 3; there 100
    and 25 of 20,000 networks, here fewer, since fewer are trained. That the population grows is ours.

    Example:
        >>> [EvolutionConfig().living(tried) for tried in (0, 24, 100, 1000)], EvolutionConfig(population=8).living(100)
        ([6, 6, 25, 100], 8)
        >>> EvolutionConfig(population=4)
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: sample of the evolution must be from 1 to its population, 4, not 5.
    """

    population: int | None = None
    sample: int = 5

    def __post_init__(self) -> None:
        check_fields(self)
        fewest = self.living(0)
        if not 1 <= self.sample <= fewest:
            raise InputError(
                f"sample of the evolution must be from 1 to its population, {fewest}, not {self.sample}."
            )

    def living(self, tried: int) -> int:
        """How many live after so many were tried."""
        return min(_MOST, max(_FEWEST, tried // 4)) if self.population is None else self.population


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
        self._living: deque[tuple[Encoding, Values]] = deque()
        self._told = 0

    def ask(self) -> Encoding:
        """An encoding: at random until as many live as may, then a child of one of them."""
        child: Encoding
        if len(self._living) < self._settings.living(0):
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
        self._told += 1
        while len(self._living) > self._settings.living(self._told):
            self._living.popleft()


SEARCHERS.register(NamedSearcher("random", RandomSearcher))
SEARCHERS.register(NamedSearcher("evolution", EvolutionSearcher))
