"""Arrays in files: `data.npz`, or a folder with `images.npy` and `labels.npy`, however large."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from allometry.base import DataError
from allometry.base.archives import PackedError, check_zip
from allometry.base.machine import memory
from allometry.base.reading import is_file
from allometry.data.dataset import image_digest
from allometry.data.images.pixels import Pixels
from allometry.data.images.reading import UnreadableImageError
from allometry.data.sources.arrays import Given, array_checks, assemble_arrays, with_channels
from allometry.data.sources.assembling import Found
from allometry.data.sources.boundary import first_line, parsing
from allometry.data.sources.check import CHECK_KINDS, Check
from allometry.data.sources.checking import (
    CHANGED_UNSEEN,
    index_file,
    load_index,
    sampled,
    save_index,
    settled,
    to_columns,
)
from allometry.data.sources.grouping import USUAL_COLUMN
from allometry.data.sources.likeness import known_pairs
from allometry.data.sources.records import OpenOptions, stamp_of
from allometry.data.sources.stores import read_part

NEEDED = ("images.npy", "labels.npy")
_OPTIONAL = ("classes", "split")


@dataclass(frozen=True, slots=True)
class NpyImages:
    """Images in a `.npy` file, each read when it is asked for.

    The file is not mapped into memory: were it cut short under a training, the system would end the process.

    Attributes:
        path: of the file.
        offset: where the first image begins, in bytes.
        shape: N, height, width, channels.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]

    def __getitem__(self, index: int, /) -> Pixels:
        """One image, uint8 [height, width, channels].

        Raises:
            DataError: the file has gone or was cut short.
        """
        _, height, width, channels = self.shape
        length = height * width * channels
        try:
            data = read_part(self.path, self.offset + index * length, length)
        except OSError as error:
            raise UnreadableImageError(
                f"image {index} of {self.path}", error.strerror or str(error)
            ) from error
        if len(data) < length:
            raise UnreadableImageError(f"image {index} of {self.path}", "the file has been cut short")
        return np.frombuffer(data, np.uint8).reshape(height, width, channels)


def find_in_npz(path: Path, options: OpenOptions) -> Found:
    """Look at the images of a file of `numpy.savez`; see `open_data`."""
    arrays = _load_npz(path)
    for name in ("images", "labels"):
        if name not in arrays:
            raise DataError(
                f"{path} has no array {name!r}; found: {', '.join(arrays) or 'none'}. It needs images and "
                "labels, and may have classes, split and group."
            )
    images = with_channels(arrays["images"], f"images in {path}")
    given = _given(path, arrays, options)
    labels, checks = arrays["labels"], array_checks(images, options.progress)
    return lambda judge: assemble_arrays(images, labels, checks, replace(given, judge=judge), name=path.stem)


def find_in_npy_folder(root: Path, options: OpenOptions) -> Found:
    """Look at a folder of `images.npy` and `labels.npy`, perhaps `classes`, `split` and `group`; see `open_data`."""
    images = _images(root / NEEDED[0])
    optional = (*_OPTIONAL, options.grouping.column or USUAL_COLUMN)
    beside = {name: _load_npy(root / f"{name}.npy") for name in optional if (root / f"{name}.npy").exists()}
    given = _given(root, beside, options)
    labels, checks = _load_npy(root / NEEDED[1]), _checks(images, options)
    name = root.resolve().name
    return lambda judge: assemble_arrays(images, labels, checks, replace(given, judge=judge), name=name)


def _given(path: Path, arrays: Mapping[str, npt.NDArray[Any]], options: OpenOptions) -> Given:
    """What the arrays tell beside images and labels."""
    column = options.grouping.column
    if column is not None and column not in arrays:
        options.grouping.refuse_column(
            str(path), f"it has no array of that name, only {', '.join(arrays) or 'none'}"
        )
    return Given(
        classes=_text(path, "classes", arrays.get("classes")),
        splits=_text(path, "split", arrays.get("split")),
        groups=_text(path, column or USUAL_COLUMN, arrays.get(column or USUAL_COLUMN)),
        grouping=options.grouping,
        seed=options.seed,
        place=str(path),
        progress=options.progress,
        find=partial(known_pairs, source=str(path), options=options),
    )


def _load_npz(path: Path) -> Mapping[str, npt.NDArray[Any]]:
    with _reading(path), path.open("rb") as opened:
        check_zip(path, most=memory() * 4 // 5)
        loaded = np.load(opened, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise DataError(
                f"{path} holds one array, as a .npy does; save images and labels with numpy.savez."
            )
        with loaded as file:
            return {name: file[name] for name in file.files}


def _load_npy(path: Path, *, mapped: bool = False) -> npt.NDArray[Any]:
    if not is_file(path):
        raise DataError(f"{path} is no regular file.")
    with _reading(path):
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if mapped else None)
    if not isinstance(loaded, np.ndarray):
        raise DataError(f"{path} is no file of one array.")
    return loaded


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    with parsing(path, "NumPy arrays"):
        try:
            yield
        except (PackedError, MemoryError) as error:
            raise DataError(
                f"{path} takes more memory than there is: {first_line(error)}. Save images.npy and labels.npy in a "
                "folder, of which each image is read when it is needed."
            ) from error
        except ValueError as error:
            if "allow_pickle" not in str(error):
                raise
            raise DataError(
                f"{path} holds Python objects, which are not read: they could do anything. Save plain arrays."
            ) from error


def _images(path: Path) -> NpyImages:
    """Where the images lie in the file; mapping it is the way to have NumPy read the header."""
    mapped = _load_npy(path, mapped=True)
    shaped = with_channels(mapped, str(path))
    if not isinstance(mapped, np.memmap) or not mapped.flags.c_contiguous:
        raise DataError(f"{path} is in Fortran's order; save it with numpy.ascontiguousarray.")
    return NpyImages(path, int(mapped.offset), tuple(shaped.shape))


def _checks(images: NpyImages, options: OpenOptions, clock: Callable[[], int] = time.time_ns) -> list[Check]:
    """What is known of every image, from the index where the file is as it was."""
    began = clock()
    status = images.path.stat()
    source = str(images.path.resolve())
    about = {
        "source": source,
        "stamp": (stamp := stamp_of(status)),
        "shape": list(images.shape),
    }
    index = index_file(options.cache_folder, source)
    known = load_index(index, about=about, kinds=CHECK_KINDS)
    progress = options.progress
    if known:
        checks = list(map(Check, *known.values()))
        if all(
            image_digest(images[row]) == checks[row].digest for row in sampled(images.shape[0], now=began)
        ):
            return checks
        progress.say(f"{images.path}: {CHANGED_UNSEEN}")
    checks = array_checks(images, progress)
    if settled(stamp, began):
        save_index(index, about=about, columns=to_columns(checks), progress=progress)
    return checks


def _text(path: Path, name: str, array: npt.NDArray[Any] | None) -> Sequence[str] | None:
    """The values of an array of text; numbers are names, too."""
    if array is None:
        return None
    if array.ndim != 1 or array.dtype.kind not in "SUTiu":
        raise DataError(f"{path}: {name} must be text [N], not {array.dtype} {list(array.shape)}.")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "surrogateescape")
    return [str(text) for text in array.tolist()]
