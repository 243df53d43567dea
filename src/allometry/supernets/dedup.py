"""Which rows were met before, for millions of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from allometry.nas.encodings import Encodings

Keys = npt.NDArray[np.uint64]
_SEED = 0x5EE4


class SeenEncodings:
    """Tells rows that come for the first time from those that were met before.

    A row is kept as a number of 64 bits, the sum of its options times random numbers, one for each choice. So two of
    ten million different rows have the same one with a probability of some millionths; the later of them is taken for
    met. The numbers stand in a few sorted arrays, each more than twice as long as the next, which are merged as they
    grow.

    Args:
        width: of the rows.

    Example:
        >>> seen = SeenEncodings(2)
        >>> rows = np.array([[0, 1], [2, -1], [0, 1]], np.int8)
        >>> seen.first(rows).tolist(), seen.first(rows[1:] + 1).tolist(), seen.first(rows).tolist()
        ([0, 1], [0, 1], [])
    """

    def __init__(self, width: int) -> None:
        self._factors: Keys = np.random.default_rng(_SEED).integers(
            2**64, size=width, dtype=np.uint64, endpoint=False
        )
        self._parts: list[Keys] = []

    def first(self, rows: Encodings) -> npt.NDArray[np.int64]:
        """The places, in order, of rows that were not met, each once; from now on they are met."""
        keys, places = np.unique(self._keys(rows), return_index=True)
        for part in self._parts:
            near = np.minimum(np.searchsorted(part, keys), len(part) - 1)
            fresh = part[near] != keys
            keys, places = keys[fresh], places[fresh]
        if len(keys):
            self._keep(keys)
        return np.sort(places)

    def _keys(self, rows: Encodings) -> Keys:
        keys = np.zeros(len(rows), np.uint64)
        for column, factor in zip(rows.T, self._factors, strict=True):
            keys += column.astype(np.uint64) * factor
        return keys

    def _keep(self, keys: Keys) -> None:
        self._parts.append(keys)
        while len(self._parts) > 1 and len(self._parts[-2]) <= 2 * len(self._parts[-1]):
            last = self._parts.pop()
            self._parts[-1] = np.sort(np.concatenate([self._parts[-1], last]), kind="stable")
