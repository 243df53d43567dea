"""Some images of a split, or those of several, as a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from allometry.data.dataset import FileSplit, Labels, Split, read_only, with_levels
from allometry.data.images.pixels import Pixels
from allometry.data.images.reading import Levels, to_pixels


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

    @cached_property
    def groups(self) -> tuple[str, ...] | None:
        groups = self.whole.groups
        return None if groups is None else tuple(groups[index] for index in self.chosen.tolist())

    @property
    def channels(self) -> int:
        return self.whole.channels

    def with_levels(self, levels: Levels | None) -> Split:
        whole = with_levels(self.whole, levels)
        return self if whole is self.whole else _Part(whole, self.chosen)

    def __len__(self) -> int:
        return len(self.chosen)

    def image(self, index: int, *, min_side: int | None = None) -> Pixels:
        return self.whole.image(int(self.chosen[index]), min_side=min_side)

    def size(self, index: int) -> tuple[int, int]:
        return self.whole.size(int(self.chosen[index]))

    def digest(self, index: int) -> str:
        return self.whole.digest(int(self.chosen[index]))


def file_bytes(split: Split, index: int) -> bytes | None:
    """The bytes of one image's file; None where the images of a split are no files.

    Raises:
        DataError: the file is not there any more; the image is named.

    Example:
        >>> from allometry.data import open_data
        >>> file_bytes(open_data("icons").splits["val"], 0) is None
        True
    """
    if isinstance(split, _Part):
        return file_bytes(split.whole, int(split.chosen[index]))
    return split.store.read(index) if isinstance(split, FileSplit) else None


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


@dataclass(frozen=True, eq=False)
class _Joined:
    parts: tuple[Split, ...]
    labels: Labels
    channels: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", read_only(self.labels))

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.names)

    @cached_property
    def groups(self) -> tuple[str, ...] | None:
        """Those of the parts; an image of a part without groups is on its own."""
        if all(part.groups is None for part in self.parts):
            return None
        return tuple(
            group
            for number, part in enumerate(self.parts)
            for group in part.groups or (f"{number}/{name}" for name in part.names)
        )

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        return np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        return len(self.labels)

    def with_levels(self, levels: Levels | None) -> Split:
        parts = tuple(with_levels(part, levels) for part in self.parts)
        return self if parts == self.parts else replace(self, parts=parts)

    def image(self, index: int, *, min_side: int | None = None) -> Pixels:
        part, place = self._find(index)
        return to_pixels(part.image(place, min_side=min_side), channels=self.channels)

    def size(self, index: int) -> tuple[int, int]:
        part, place = self._find(index)
        return part.size(place)

    def digest(self, index: int) -> str:
        part, place = self._find(index)
        return part.digest(place)

    def _find(self, index: int) -> tuple[Split, int]:
        number = int(np.searchsorted(self._ends, index, side="right"))
        return self.parts[number], index - (int(self._ends[number - 1]) if number else 0)


def joined(splits: Sequence[Split], *, labels: Labels, channels: int) -> Split:
    """The images of some splits as one, with other labels, and with 1 channel or 3.

    Example:
        >>> from allometry.data import open_data
        >>> icons = open_data("icons").splits
        >>> both = joined([icons["val"], icons["test"]], labels=np.zeros(862 + 1716), channels=3)
        >>> len(both), both.names[862] == icons["test"].names[0], both.image(862).shape
        (2578, True, (96, 96, 3))
    """
    return _Joined(tuple(splits), labels, channels)
