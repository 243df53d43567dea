"""Some images of a split, as a split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from allometry.data.dataset import Labels, Split, read_only
from allometry.data.images.pixels import Pixels


@dataclass(frozen=True, eq=False)
class _Part:
    whole: Split
    chosen: npt.NDArray[np.int64]

    @cached_property
    def labels(self) -> Labels:
        return read_only(self.whole.labels[self.chosen])

    @cached_property
    def names(self) -> tuple[str, ...]:
        names = self.whole.names
        return tuple(names[index] for index in self.chosen.tolist())

    @property
    def channels(self) -> int:
        return self.whole.channels

    def __len__(self) -> int:
        return len(self.chosen)

    def image(self, index: int, *, min_side: int | None = None) -> Pixels:
        return self.whole.image(int(self.chosen[index]), min_side=min_side)

    def size(self, index: int) -> tuple[int, int]:
        return self.whole.size(int(self.chosen[index]))

    def digest(self, index: int) -> str:
        return self.whole.digest(int(self.chosen[index]))


def part_of(split: Split, chosen: npt.NDArray[np.int64]) -> Split:
    """The images of `split` at these places, in this order.

    Example:
        >>> from allometry.data import open_data
        >>> val = open_data("icons").splits["val"]
        >>> few = part_of(val, np.array([5, 3]))
        >>> len(few), few.names[1] == val.names[3]
        (2, True)
    """
    return _Part(split, chosen)
