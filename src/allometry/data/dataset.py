"""What a data set is: classes, three splits of labelled images, and the files that were left out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from allometry.data.pictures.cache import PixelCache
from allometry.data.pictures.pixels import Pixels, shrink
from allometry.data.pictures.reading import read_image

Labels = npt.NDArray[np.int64]
SPLITS = ("train", "val", "test")


class Rejected(NamedTuple):
    """A file that is not part of the data set, by its path inside the folder, and why."""

    path: str
    reason: str


class Split(Protocol):
    """Labelled images, by index from 0."""

    @property
    def labels(self) -> Labels:
        """Class index of each image, int64 [N], read-only."""

    @property
    def names(self) -> tuple[str, ...]:
        """Each image's path inside the folder, or `set/icon` for the built-in icons."""

    @property
    def channels(self) -> int:
        """Channels of every image: 1 or 3."""

    def __len__(self) -> int:
        """Number of images."""

    def image(self, index: int, *, at_least: int | None = None) -> Pixels:
        """One image, uint8 [height, width, channels]; do not write into it.

        With `at_least`, an image whose shorter side is longer than that many pixels is shrunk to it.
        """

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of one image, in pixels, without reading it."""

    def digest(self, index: int) -> str:
        """A digest of one image's content."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ArraySplit:
    """A split that lies in memory.

    Attributes:
        images: uint8 [N, height, width, channels].
        labels: int64 [N].
        names: N of them.

    Example:
        >>> split = ArraySplit(
        ...     images=np.zeros((2, 8, 8, 1), np.uint8), labels=np.array([0, 1]), names=("set/a", "set/b")
        ... )
        >>> len(split), split.image(1).shape, split.image(1, at_least=4).shape
        (2, (8, 8, 1), (4, 4, 1))
    """

    images: Pixels
    labels: Labels
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.images.ndim == 4  # noqa: S101
        assert len(self.images) == len(self.labels) == len(self.names)  # noqa: S101
        object.__setattr__(self, "labels", read_only(self.labels))

    @property
    def channels(self) -> int:
        """Channels of every image."""
        return int(self.images.shape[3])

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int, *, at_least: int | None = None) -> Pixels:
        """One image, uint8 [height, width, channels], shrunk to a shorter side of `at_least` if larger."""
        return shrink(self.images[index], at_least)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of one image, in pixels."""
        height, width = self.images[index].shape[:2]
        return height, width

    def digest(self, index: int) -> str:
        """A digest of one image's pixels."""
        return hashlib.blake2b(self.images[index].tobytes(), digest_size=16).hexdigest()


@dataclass(frozen=True, eq=False, kw_only=True)
class FileSplit:
    """A split whose images are files; shrunk pictures are kept in a cache that all splits share.

    Attributes:
        root: the data set's folder.
        names: the files, relative to it.
        labels: int64 [N].
        digests: of the files' bytes.
        sizes: height and width of each picture, in pixels.
        channels: 1 or 3; images are converted to it.
        cache: where shrunk pictures are kept.
    """

    root: Path
    names: tuple[str, ...]
    labels: Labels
    digests: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    channels: int
    cache: PixelCache

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", read_only(self.labels))

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int, *, at_least: int | None = None) -> Pixels:
        """One image, uint8 [height, width, channels], shrunk to a shorter side of `at_least` if larger.

        Raises:
            DataError: the file has gone or was damaged since the folder was opened; it is named.
        """
        name = self.names[index]
        path = self.root / name
        if at_least is None:
            return read_image(path, channels=self.channels)
        kept = self.cache.get(name, at_least)
        if kept is None:
            kept = read_image(path, channels=self.channels, at_least=at_least)
            self.cache.put(name, at_least, kept)
        return kept

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of one image, in pixels, as they were when the file was checked."""
        return self.sizes[index]

    def digest(self, index: int) -> str:
        """A digest of one file's bytes, taken when it was checked."""
        return self.digests[index]


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Images to learn from.

    Attributes:
        name: `icons`, or the folder's name.
        classes: names of the classes; a label is an index into them.
        channels: 1 if every usable image is grey, else 3.
        image_size: median over all images of the shorter side, in pixels.
        splits: exactly `train`, `val` and `test`.
        rejected: the files that were left out, each with its reason.

    Example:
        >>> from allometry.data import open_data
        >>> icons = open_data("icons")
        >>> len(icons.classes), icons.channels, icons.image_size, len(icons.splits["train"])
        (88, 1, 96, 7901)
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    image_size: int
    splits: Mapping[str, Split]
    rejected: tuple[Rejected, ...] = ()

    def __post_init__(self) -> None:
        assert tuple(self.splits) == SPLITS, f"splits are {tuple(self.splits)}"  # noqa: S101

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(split)}" for name, split in self.splits.items())
        return f"Dataset({self.name}: {len(self.classes)} classes, {sizes})"


def read_only(labels: npt.ArrayLike) -> Labels:
    """Labels as a read-only int64 array."""
    array = np.array(labels, dtype=np.int64)
    array.setflags(write=False)
    return array
