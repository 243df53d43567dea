"""Data sets that give an item for an index, as PyTorch's and Hugging Face's do: read when they are needed."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.base import DataError, Progress
from allometry.base.progress import tracked
from allometry.base.text import shown
from allometry.data.dataset import Dataset, Labels, read_only
from allometry.data.images.cache import PixelCache
from allometry.data.images.pixels import Pixels, shrink
from allometry.data.images.reading import Decoded, Levels, to_pixels
from allometry.data.images.values import decode_value
from allometry.data.sources.arrays import Given, SplitRows, split_rows
from allometry.data.sources.assembling import Found
from allometry.data.sources.check import Check, check_pixels, digest_rows
from allometry.data.sources.records import Judge

_READ_TWICE = 8  # items: a flip at random shows in one of them, but for one time in 256
Label = int | str | tuple[int, ...]
"""The class of an image, or 0 and 1 for each of its labels."""


class Item(NamedTuple):
    """What a data set gives for an index: an image, its label, and its group if that is known."""

    image: object
    label: object
    group: object = None


class Known(NamedTuple):
    """An item that was read.

    Attributes:
        decoded: its image.
        label: its class or labels.
        group: what it has in common with others; empty text for nothing.
    """

    decoded: Decoded
    label: Label
    group: str


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """Labeled images, read one at a time: the data sets of others need not bear several threads.

    Attributes:
        name: of the data set.
        number: of items.
        read: the item of an index.
        classes: names; None where it has none.
    """

    name: str
    number: int
    read: Callable[[int], Item]
    classes: tuple[str, ...] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def item(self, index: int, *, levels: Levels | None = None, exact: bool = False) -> Known:
        """One image with its label and group; of 16 bits by these levels, or exactly.

        Raises:
            DataError: the item cannot be read, or holds something else.
        """
        place = f"item {index} of {self.name}"
        with self._lock:
            try:
                item = self.read(index)
            except DataError:
                raise
            except Exception as error:  # whatever the code of others raises
                raise DataError(f"Cannot read {place}: {type(error).__name__}: {error}.") from error
            name = f"The image of {place}"
            decoded = decode_value(item.image, name=name, levels=levels, exact=exact)
            return Known(decoded, _label(item.label, place), _group(item.group, place))


@dataclass(frozen=True, eq=False, kw_only=True)
class ItemSplit:
    """A split whose images are items; shrunk images are kept in a cache that all splits share.

    Attributes:
        items: of each image.
        places: of each image among its items.
        names: N of them.
        labels: int64 [N], or uint8 [N, classes].
        digests: uint8 [N, 16], of the images' contents.
        sizes: int32 [N, 2], height and width, in pixels.
        channels: 1 or 3; images are converted to it.
        cache: where shrunk images are kept.
        levels: of images with 16 bits, which values are black and white; None for 0 and 65,535.
        groups: of each image; None where each is on its own.
    """

    items: tuple[Items, ...]
    places: npt.NDArray[np.int64]
    names: tuple[str, ...]
    labels: Labels
    digests: Pixels
    sizes: npt.NDArray[np.int32]
    channels: int
    cache: PixelCache
    levels: Levels | None = None
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", read_only(self.labels))

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int, *, min_side: int | None = None) -> Pixels:
        """One image, uint8 [height, width, channels], shrunk to a shorter side of `min_side` if larger.

        Raises:
            DataError: the item cannot be read any more, or has another size than at first.
        """
        if min_side is None:
            return self._read(index)
        kept = self.cache.get(self.names[index], min_side)
        if kept is None:
            kept = shrink(self._read(index), min_side)
            self.cache.put(self.names[index], min_side, kept)
        return kept

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of one image, in pixels, as they were when the data set was opened."""
        height, width = self.sizes[index].tolist()
        return height, width

    def digest(self, index: int) -> str:
        """A digest of one image's pixels, taken when the data set was opened."""
        return bytes(self.digests[index]).hex()

    def with_levels(self, levels: Levels | None) -> ItemSplit:
        """The same images, read by these levels."""
        if self.levels == levels:
            return self
        return replace(self, levels=levels, cache=PixelCache(self.cache.limit))

    def _read(self, index: int) -> Pixels:
        pixels = self.items[index].item(int(self.places[index]), levels=self.levels).decoded.image
        if pixels.shape[:2] != self.size(index):
            raise _random(self.items[index], int(self.places[index]))
        return to_pixels(pixels, channels=self.channels)


def find_in_items(parts: Mapping[str, Items], *, cache_bytes: int, given: Given) -> Found:
    """Look at items, in splits that are given, or that are cut as `open_data` does it.

    Each item is read once, to know its label, size and content; later images are read when they are needed.

    Args:
        parts: the items of each split; those under the empty name are to be cut.
        cache_bytes: memory for images that are kept between epochs.
        given: what is known beside them; what the items tell themselves comes from here.

    Raises:
        DataError: an item cannot be read, is different each time, or a class has too few images.
    """
    name = next(iter(parts.values())).name
    listed = [(split, items, place) for split, items in parts.items() for place in range(items.number)]
    labels, checks, groups = _read_all([(items, place) for _, items, place in listed], given.progress)
    if not any(groups):
        given.grouping.refuse_column(name, "its items have no such column or key")
    marked = "" not in parts
    whole = replace(
        given,
        classes=_classes(parts),
        names=[f"{split}/{place}" for split, _, place in listed] if marked else None,
        splits=[split for split, _, _ in listed] if marked else None,
        groups=groups,
        place=name,
    )

    def make(judge: Judge | None) -> Dataset:
        assigned = split_rows(labels, checks, replace(whole, judge=judge))
        usable = np.concatenate(list(assigned.rows.values())).tolist()
        gray = all(checks[row].gray for row in usable)
        channels, cache = judge.channels if judge else 1 if gray else 3, PixelCache(cache_bytes)
        return Dataset(
            name=name,
            classes=assigned.classes,
            channels=channels,
            image_size=int(median(min(checks[row].height, checks[row].width) for row in usable)),
            splits={
                split: _item_split(rows.tolist(), listed, checks, assigned, channels, cache)
                for split, rows in assigned.rows.items()
            },
            rejected=assigned.rejected,
            levels=assigned.levels,
            remarks=assigned.remarks,
            grouped_by=given.grouping.texts,
        )

    return make


def _item_split(
    rows: Sequence[int],
    listed: Sequence[tuple[str, Items, int]],
    checks: Sequence[Check],
    assigned: SplitRows,
    channels: int,
    cache: PixelCache,
) -> ItemSplit:
    """Some of the items that are listed as a split."""
    return ItemSplit(
        items=tuple(listed[row][1] for row in rows),
        places=np.array([listed[row][2] for row in rows], np.int64),
        names=tuple(assigned.names[row] for row in rows),
        labels=assigned.labels[list(rows)],
        digests=digest_rows([checks[row].digest for row in rows]),
        sizes=np.array([(checks[row].height, checks[row].width) for row in rows], np.int32).reshape(-1, 2),
        channels=channels,
        cache=cache,
        levels=assigned.levels,
        groups=assigned.groups_of(np.array(rows, np.int64)),
    )


def _label(label: object, place: str) -> Label:
    plain = label.tolist() if hasattr(label, "tolist") else label
    if isinstance(plain, list | tuple) and len(plain) == 1:
        plain = plain[0]
    if isinstance(plain, list | tuple) and len(plain) > 1 and all(value in (0, 1) for value in plain):
        return tuple(int(value) for value in plain)
    if isinstance(plain, bytes):
        return plain.decode(errors="surrogateescape")
    if isinstance(plain, bool) or (isinstance(plain, float) and plain.is_integer()):
        return int(plain)
    if not isinstance(plain, int | str):
        raise DataError(
            f"The label of {place} must be an integer or text, or 0 and 1 for each class, not {label!r}."
        )
    return plain


def _group(group: object, place: str) -> str:
    """A group as text; empty text for none."""
    plain = group.tolist() if hasattr(group, "tolist") else group
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if plain is None or (isinstance(plain, float) and math.isnan(plain)):
        return ""
    if isinstance(plain, bytes):
        return plain.decode(errors="surrogateescape")
    if not isinstance(plain, int | str):
        raise DataError(f"The group of {place} must be text or a whole number, not {shown(group)}.")
    return str(plain).strip()


def _classes(parts: Mapping[str, Items]) -> tuple[str, ...] | None:
    known = {items.classes for items in parts.values() if items.classes is not None}
    if len(known) > 1:
        raise DataError("The splits name different classes; give data sets of the same classes.")
    return known.pop() if known else None


def _read_all(
    listed: Sequence[tuple[Items, int]], progress: Progress
) -> tuple[list[Label], list[Check], list[str]]:
    """The label of each item, what is known of its image, and its group."""
    labels: list[Label] = []
    checks: list[Check] = []
    groups: list[str] = []
    again = set(np.linspace(0, len(listed) - 1, _READ_TWICE).astype(int).tolist())
    with tracked(progress, "checking images", len(listed)):
        for number, (items, place) in enumerate(listed):
            known = items.item(place, exact=True)
            check = _check(known.decoded)
            if number in again and _check(items.item(place, exact=True).decoded) != check:
                raise _random(items, place)
            labels.append(known.label)
            checks.append(check)
            groups.append(known.group)
            progress.advance(1)
    kinds = {(type(label), len(label) if isinstance(label, tuple) else 0) for label in labels}
    if len(kinds) > 1:
        raise DataError(f"{listed[0][0].name} has labels of several kinds or lengths; give one kind.")
    return labels, checks, groups


def _check(decoded: Decoded) -> Check:
    pixels = decoded.image if decoded.deep is None else decoded.deep
    content = hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16)
    return check_pixels(content.hexdigest(), decoded)


def _random(items: Items, place: int) -> DataError:
    return DataError(
        f"Item {place} of {items.name} is another image each time it is read. Give the data set without random "
        "transforms; the recipe's augmentation varies the images."
    )
