"""What a data set is: classes, three splits of labeled images, and the files that were left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from allometry.data.images.cache import PixelCache
from allometry.data.images.pixels import Pixels, shrink
from allometry.data.images.reading import Levels, UnreadableImageError, read_image

Labels = npt.NDArray[np.integer[Any]]
"""int64 [N], the class of each image; or, of images with several labels, uint8 [N, classes], 1 for each that it has."""
SPLITS = ("train", "val", "test")
_AT_ONCE = 10_000


class Rejected(NamedTuple):
    """A file that is not part of the data set, by its name there, and why.

    Example:
        >>> Rejected("cats/1.jpg", "it is damaged").reason
        'it is damaged'
    """

    path: str
    reason: str


class Split(Protocol):
    """Labeled images, by index from 0.

    Example:
        >>> from allometry.data import open_data
        >>> val = open_data("icons").splits["val"]
        >>> len(val), val.channels, val.image(0, min_side=32).shape
        (862, 1, (32, 32, 1))
    """

    @property
    def labels(self) -> Labels:
        """Class index of each image, int64 [N], or its labels, uint8 [N, classes]; read-only."""

    @property
    def names(self) -> tuple[str, ...]:
        """Each image's path inside the folder, in the manifest, in its shard; `set/icon` for the built-in icons."""

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The group of each image, such as its patient or site; None where each is on its own."""

    @property
    def channels(self) -> int:
        """Channels of every image: 1 or 3."""

    def __len__(self) -> int:
        """Number of images."""

    def image(self, index: int, *, min_side: int | None = None) -> Pixels:
        """One image, uint8 [height, width, channels]; do not write into it.

        With `min_side`, an image whose shorter side is longer than that many pixels is shrunk to it.
        """

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of one image, in pixels, without reading it."""

    def digest(self, index: int) -> str:
        """A digest of one image's content."""


class Images(Protocol):
    """Images of one size: an array of [N, height, width, channels], or a file that holds one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N, height, width, channels."""

    def __getitem__(self, index: int, /) -> Pixels:
        """One image, uint8 [height, width, channels]."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ArraySplit:
    """A split whose images lie in an array.

    Attributes:
        images: uint8 [M, height, width, channels].
        labels: int64 [N], or uint8 [N, classes].
        names: N of them.
        rows: int64 [N], where in `images` each image lies; by default N is M, and they lie in order.
        digests: uint8 [N, 16], of the images' contents, where they are known already.
        groups: of each image; None where each is on its own.

    Example:
        >>> split = ArraySplit(
        ...     images=np.zeros((2, 8, 8, 1), np.uint8), labels=np.array([0, 1]), names=("set/a", "set/b")
        ... )
        >>> len(split), split.image(1).shape, split.image(1, min_side=4).shape
        (2, (8, 8, 1), (4, 4, 1))
    """

    images: Images
    labels: Labels
    names: tuple[str, ...]
    rows: npt.NDArray[np.int64] | None = None
    digests: Pixels | None = None
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        assert len(self.images.shape) == 4  # noqa: S101
        number = self.images.shape[0] if self.rows is None else len(self.rows)
        assert number == len(self.labels) == len(self.names)  # noqa: S101
        object.__setattr__(self, "labels", read_only(self.labels))

    @property
    def channels(self) -> int:
        """Channels of every image."""
        return self.images.shape[3]

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int, *, min_side: int | None = None) -> Pixels:
        """One image, uint8 [height, width, channels], shrunk to a shorter side of `min_side` if larger.

        Raises:
            DataError: `images` is a file that has gone or was damaged.
        """
        return shrink(self._image(index), min_side)

    def size(self, index: int) -> tuple[int, int]:  # noqa: ARG002 - all are of one size
        """Height and width of one image, in pixels."""
        return self.images.shape[1], self.images.shape[2]

    def digest(self, index: int) -> str:
        """A digest of one image's pixels."""
        return image_digest(self._image(index)) if self.digests is None else bytes(self.digests[index]).hex()

    def _image(self, index: int) -> Pixels:
        return self.images[index if self.rows is None else int(self.rows[index])]


class Store(Protocol):
    """Where the bytes of a split's images are read from, by index from 0, in any order, from any thread."""

    def place(self, index: int) -> str:
        """Where one image lies, for messages."""

    def read(self, index: int) -> bytes:
        """The bytes of one image's file.

        Raises:
            DataError: they are not there any more; the image is named.
        """


@dataclass(frozen=True, eq=False, kw_only=True)
class FileSplit:
    """A split whose images are files of JPEG, PNG and so on; shrunk images are kept in a cache that all splits share.

    Attributes:
        names: of the images, no two of them equal.
        labels: int64 [N], or uint8 [N, classes].
        digests: uint8 [N, 16], of the files' bytes.
        sizes: int32 [N, 2], height and width of each image, in pixels.
        channels: 1 or 3; images are converted to it.
        cache: where shrunk images are kept.
        store: where the files' bytes are read from.
        groups: of each image; None where each is on its own.
        levels: of images with 16 bits, which values are black and white; None for 0 and 65,535.
    """

    names: tuple[str, ...]
    labels: Labels
    digests: Pixels
    sizes: npt.NDArray[np.int32]
    channels: int
    cache: PixelCache
    store: Store
    levels: Levels | None = None
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", read_only(self.labels))

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int, *, min_side: int | None = None) -> Pixels:
        """One image, uint8 [height, width, channels], shrunk to a shorter side of `min_side` if larger.

        Raises:
            DataError: the file has gone or was damaged since the data was opened; it is named.
        """
        if min_side is None:
            return self._read(index, None)
        kept = self.cache.get(self.names[index], min_side)
        if kept is None:
            kept = self._read(index, min_side)
            self.cache.put(self.names[index], min_side, kept)
        return kept

    def draft(self, index: int, *, min_side: int, upper: float) -> Pixels:
        """One image for a training view, neither taken from the cache nor put there: what `image` gives, in less time.

        A JPEG file's levels may be off by a little, and the rows below the fraction `upper` may be black.

        Raises:
            DataError: the file has gone or was damaged since the data was opened; it is named.
        """
        return self._read(index, min_side, quick=True, upper=upper)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of one image, in pixels, as they were when the file was checked."""
        height, width = self.sizes[index].tolist()
        return height, width

    def digest(self, index: int) -> str:
        """A digest of one file's bytes, taken when it was checked."""
        return bytes(self.digests[index]).hex()

    def with_levels(self, levels: Levels | None) -> FileSplit:
        """The same images, read by these levels."""
        if self.levels == levels:
            return self
        return replace(self, levels=levels, cache=PixelCache(self.cache.limit))

    def _read(self, index: int, min_side: int | None, **options: Any) -> Pixels:  # noqa: ANN401 - of read_image
        data = self.store.read(index)
        try:
            return read_image(data, channels=self.channels, min_side=min_side, levels=self.levels, **options)
        except UnreadableImageError as error:
            raise UnreadableImageError(self.store.place(index), error.reason) from error


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Images to learn from.

    Attributes:
        name: `icons`, or the name of the folder, manifest, shards or arrays.
        classes: names of the classes; a label is an index into them.
        channels: 1 if every usable image is gray, else 3.
        image_size: median over all images of the shorter side, in pixels.
        splits: exactly `train`, `val` and `test`.
        rejected: the images that were left out, each with its reason.
        levels: of images with 16 bits, which values are black and white, by those to train; None for 0 and 65,535.
        remarks: what is odd about the images, in sentences: 16 bits that are used in part, images that show nothing,
            pictures that have two classes, or that are nearly the same in training and test.
        grouped_by: how the user says which images belong together (see `open_data`); empty where that is not said.

    Example:
        >>> from allometry.data import open_data
        >>> icons = open_data("icons")
        >>> len(icons.classes), icons.channels, icons.image_size, len(icons.splits["train"])
        (88, 1, 96, 7359)
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    image_size: int
    splits: Mapping[str, Split]
    rejected: tuple[Rejected, ...] = ()
    levels: Levels | None = None
    remarks: tuple[str, ...] = ()
    grouped_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert tuple(self.splits) == SPLITS, f"splits are {tuple(self.splits)}"  # noqa: S101

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none.

        Example:
            >>> from allometry.data import open_data
            >>> open_data("icons").multi_label
            False
        """
        return self.splits["train"].labels.ndim == 2

    @cached_property
    def fingerprint(self) -> str:
        """A digest of classes, splits, names and contents; computed once, on first use."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps([self.classes, self.channels]).encode())
        for name, split in self.splits.items():
            # The JSON of [name, [[image, label, digest], ...]], of which a million images would fill the memory.
            digest.update(f"[{json.dumps(name)}, [".encode())
            for start in range(0, len(split), _AT_ONCE):
                places = range(start, min(start + _AT_ONCE, len(split)))
                labels = split.labels[start : places.stop].tolist()
                records = [
                    [split.names[place], label, split.digest(place)]
                    for place, label in zip(places, labels, strict=True)
                ]
                digest.update(((", " if start else "") + json.dumps(records)[1:-1]).encode())
            digest.update(b"]]")
        return digest.hexdigest()

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(split)}" for name, split in self.splits.items())
        return f"Dataset({self.name}: {len(self.classes)} classes, {sizes})"


def with_levels(split: Split, levels: Levels | None) -> Split:
    """The images of a split as a network is to see them that learned to read 16 bits by these levels.

    Example:
        >>> pixels = np.zeros((2, 8, 8, 1), np.uint8)
        >>> split = ArraySplit(images=pixels, labels=np.array([0, 1]), names=("a", "b"))
        >>> with_levels(split, (0, 4095)) is split  # its images have 8 bits
        True
    """
    change = getattr(split, "with_levels", None)
    changed: Split = split if change is None else change(levels)
    return changed


def group_numbers(split: Split) -> npt.NDArray[np.int64] | None:
    """The groups of a split's images as numbers, int64 [N]; None where each image is on its own.

    Example:
        >>> pixels = np.zeros((3, 8, 8, 1), np.uint8)
        >>> photos = ArraySplit(
        ...     images=pixels, labels=np.zeros(3), names=("a", "b", "c"), groups=("ann", "bob", "ann")
        ... )
        >>> group_numbers(photos).tolist()
        [0, 1, 0]
    """
    groups = split.groups
    if groups is None or len(set(groups)) == len(groups):
        return None
    numbers: npt.NDArray[np.int64] = np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)
    return numbers


def read_only(labels: npt.ArrayLike) -> Labels:
    """Labels as a read-only array, int64 [N] or uint8 [N, classes]."""
    array: Labels = np.array(labels)
    array = array.astype(np.uint8 if array.ndim == 2 else np.int64)
    array.setflags(write=False)
    return array


def image_digest(pixels: Pixels) -> str:
    """A digest of an image's pixels."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest()
