"""What very many members of a module's space cost, by the formula that the space has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allometry.arch import ModuleSpace
from allometry.arch.any_space import AnySpace
from allometry.cost import MACS, PARAMS
from allometry.nas.encodings import Encodings
from allometry.nas.lookup import Costs

_CHUNK = 16_384  # encodings at once


@dataclass(frozen=True, slots=True)
class ModuleCosts:
    """Multiply-accumulates and parameters of the members of a module's space, as they are counted when they run.

    Attributes:
        space: of the members.
    """

    space: ModuleSpace

    def __call__(self, encodings: Encodings) -> dict[str, npt.NDArray[np.float64]]:
        """The measures of encodings [N, choices] by their names, each [N]."""
        parts = [
            self._some(encodings[first : first + _CHUNK])
            for first in range(0, max(1, len(encodings)), _CHUNK)
        ]
        macs, params = (np.concatenate(values) for values in zip(*parts, strict=True))
        return {MACS.name: macs, PARAMS.name: params}

    def _some(self, encodings: Encodings) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        decisions = {
            choice.name: np.array(choice.options)[column]
            for choice, column in zip(self.space.choices, encodings.T, strict=True)
        }
        macs, params = self.space.counts(decisions, _look_up)
        number = len(encodings)
        return np.broadcast_to(np.asarray(macs, np.float64), number), np.broadcast_to(
            np.asarray(params, np.float64), number
        )


def counts_of(space: AnySpace) -> Costs | ModuleCosts:
    """What counts very many members of either kind of space.

    Raises:
        InputError: the space is too large for tables.
    """
    return ModuleCosts(space) if isinstance(space, ModuleSpace) else Costs(space)


def _look_up(
    decisions: npt.NDArray[np.float64], options: Sequence[float], values: Sequence[float]
) -> npt.NDArray[np.float64]:
    """The value that a table has for each decision; its options rise."""
    found: npt.NDArray[np.float64] = np.array(values, np.float64)[np.searchsorted(options, decisions)]
    return found
