"""What lies in a folder: folders, files and images, without what is hidden or left behind by systems."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from allometry.base import DataError
from allometry.data.images.formats import ENOUGH, EXTENSIONS, reader_of

_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}$")
RUBBISH = frozenset({"__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir"})
"""Folders that systems and programs leave behind, in lower case."""


def is_image(name: str) -> bool:
    """Whether a file's name ends as an image's."""
    return f".{name.rpartition('.')[2].lower()}" in EXTENSIONS


def is_image_file(path: str, name: str) -> bool:
    """Whether a file is an image, by the ending of its name, or by its content where the name has none.

    Example:
        >>> is_image_file("no-such-folder/cat.jfif", "cat.jfif"), is_image_file("no-such-folder/cat", "cat")
        (True, False)
    """
    return is_image(name) or (_ENDING.search(name) is None and _begins_as_image(path))


def _begins_as_image(path: str) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe that nobody writes to would never open
    except (OSError, ValueError):
        return False
    try:
        return stat.S_ISREG(os.fstat(handle).st_mode) and reader_of(os.read(handle, ENOUGH)) is not None
    except OSError:
        return False
    finally:
        os.close(handle)


def image_files(folder: Path) -> list[Path]:
    """The image files in a folder and in those within it, sorted; hidden ones are left out.

    They are known by the endings of their names, and those without one by their content.

    Raises:
        DataError: a folder cannot be looked into, or there is no image.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("b/1.png", "a.jpg", "notes.txt"):
        ...     (folder / name).parent.mkdir(exist_ok=True)
        ...     (folder / name).touch()
        >>> [str(path.relative_to(folder)) for path in image_files(folder)]
        ['a.jpg', 'b/1.png']
    """
    images = sorted(
        folder / path for path, entry in walk(folder, ".") if is_image_file(entry.path, entry.name)
    )
    if not images:
        raise DataError(f"There is no image in the folder {folder}.")
    return images


def subfolders(folder: Path) -> list[str]:
    """Names of the visible folders in a folder, sorted.

    Raises:
        DataError: the folder cannot be looked into.
    """
    return [entry.name for entry in _entries(str(folder)) if _is_folder(entry)]


def files_in(folder: Path) -> list[str]:
    """Names of the visible files in a folder, sorted.

    Raises:
        DataError: the folder cannot be looked into.
    """
    return [entry.name for entry in _entries(str(folder)) if not _is_folder(entry)]


def images_in(folder: Path) -> list[str]:
    """Names of the visible image files in a folder, sorted.

    Raises:
        DataError: the folder cannot be looked into.
    """
    return [name for name in files_in(folder) if is_image_file(f"{folder}/{name}", name)]


def walk(root: Path, start: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The visible files under `start`; each folder is entered once, so that links cannot loop."""
    waiting, entered = [start], set()
    while waiting:
        folder = waiting.pop()
        status = (root / folder).stat()
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        for entry in _entries(str(root / folder)):
            path = f"{folder}/{entry.name}"
            if _is_folder(entry):
                if entry.name.lower() not in RUBBISH:
                    waiting.append(path)
            else:
                yield path, entry


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"Cannot look into the folder {folder}: {error.strerror or error}.") from error
    return sorted(visible, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself
