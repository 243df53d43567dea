"""MnasNet's controller as a searcher."""

from __future__ import annotations

import numpy as np

from allometry.arch import Space
from allometry.base import InputError
from allometry.search.controller import Controller
from allometry.search.rows import Row, Values

_LESSON = 8  # networks of a lesson
_REFUSED = 32  # of those that were refused meanwhile, at most so many are part of the lesson


class ControllerSearcher:
    """Draws from MnasNet's controller, which learns from every eight networks, and from those that were refused.

    Args:
        space: to draw from.
        seed: of the policy and its draws.

    Raises:
        InputError: it is told of several objectives; it learns from one reward.

    Source: MnasNet (Tan et al. 2019), section 3.2.
    """

    tries = 300

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        self._controller = Controller(space, seed=seed)
        self._told: list[tuple[Row, float]] = []
        self._refused: list[Row] = []

    def ask(self) -> Row:
        """A row by the policy."""
        row: Row = self._controller.draw(1)[0]
        return row

    def tell(self, row: Row, values: Values) -> None:
        """Part of a lesson, which is learned once it is complete."""
        if len(values) != 1:
            raise InputError(
                f"The controller learns from one reward, not from {len(values)} objectives; "
                "join them in one expression, or search by nsga2."
            )
        self._told.append((row, values[0]))
        if len(self._told) < _LESSON:
            return
        rows = np.stack([*(row for row, _ in self._told), *self._refused])
        worth = np.array([*(value for _, value in self._told), *[-np.inf] * len(self._refused)])
        self._controller.learn(rows, worth)
        self._told, self._refused = [], []

    def refuse(self, row: Row) -> None:
        """A bad example for the next lesson."""
        if len(self._refused) < _REFUSED:
            self._refused.append(row)
