"""How a folder of class folders is arranged: which file belongs to which class and, perhaps, split."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from allometry.base import DataError
from allometry.data.dataset import Rejected
from allometry.data.pictures.reading import EXTENSIONS

_SPLIT_OF_FOLDER = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_ARRANGE = "Put each class's images in a folder of its own: {0}/cat/1.jpg, {0}/dog/1.jpg and so on."


class Found(NamedTuple):
    """An image file of a class, not yet opened.

    Attributes:
        path: inside the data set's folder, with forward slashes.
        split: the split folder that it lies in; empty where there are none.
        class_name: the folder that names its class.
        size: in bytes.
        modified: in nanoseconds.
    """

    path: str
    split: str
    class_name: str
    size: int
    modified: int


class Layout(NamedTuple):
    """What lies in a folder.

    Attributes:
        classes: names, sorted.
        folders: the folder of each split that has one; none in a plain folder of class folders.
        files: the images, sorted by path.
        rejected: what is no image or in no class.
    """

    classes: tuple[str, ...]
    folders: Mapping[str, str]
    files: tuple[Found, ...]
    rejected: tuple[Rejected, ...]


def scan(root: Path) -> Layout:
    """Find the classes and image files of a folder, without opening an image.

    Raises:
        DataError: there is no such folder, or it does not hold class folders.
    """
    _check_folder(root)
    folders = _subfolders(root)
    splits = _split_folders(root, folders)
    rejected = [Rejected(name, "not inside a class folder") for name in _images_in(root)]
    files: list[Found] = []
    if splits:
        beside = sorted(set(folders) - set(splits))
        rejected += [Rejected(name, "not inside train, val or test") for name in beside]
        classes = _common_classes(root, splits)
    else:
        classes = tuple(folders)
        _check_classes(root, classes)
    for folder, split in (splits or {"": ""}).items():
        base = f"{folder}/" if folder else ""
        stray = _images_in(root / folder) if folder else []
        rejected += [Rejected(base + name, "not inside a class folder") for name in stray]
        for class_name in classes:
            for path in _walk(root, base + class_name):
                found = _look_at(root, path, split, class_name)
                if isinstance(found, Found):
                    files.append(found)
                else:
                    rejected.append(found)
    folder_of = {split: folder for folder, split in splits.items()}
    return Layout(classes, folder_of, tuple(sorted(files)), tuple(sorted(rejected)))


def _check_folder(root: Path) -> None:
    if root.is_dir():
        return
    if root.exists():
        raise DataError(f"{root} is a file; give the folder that holds one folder of images for each class.")
    beside = _subfolders(root.parent) if root.parent.is_dir() else []
    near = get_close_matches(root.name, ["icons", *beside], n=1, cutoff=0.6)
    if not near:
        advice = "Give a folder of class folders, or icons for the built-in set."
    elif near == ["icons"] and "icons" not in beside:
        advice = "Did you mean icons, the built-in set?"
    else:
        advice = f"Did you mean {root.parent / near[0]}?"
    raise DataError(f"There is no folder {root}. {advice}")


def _split_folders(root: Path, folders: list[str]) -> dict[str, str]:
    """Folder name to split, empty where `train` is missing or is itself a class (of vehicles, say)."""
    if "train" not in folders:
        return {}
    found = {name: _SPLIT_OF_FOLDER[name] for name in folders if name in _SPLIT_OF_FOLDER}
    alone = len(found) == len(folders)
    if not _subfolders(root / "train"):
        if alone and _images_in(root / "train"):
            raise DataError(f"{root / 'train'} holds images directly. {_ARRANGE.format(root / 'train')}")
        return {}
    if not alone and len(found) == 1:
        return {}
    if len(set(found.values())) < len(found):
        raise DataError(f"{root} has several folders for validation; keep one of val, valid and validation.")
    return found


def _common_classes(root: Path, splits: dict[str, str]) -> tuple[str, ...]:
    classes = tuple(_subfolders(root / "train"))
    _check_classes(root / "train", classes)
    for folder in splits:
        here = _subfolders(root / folder)
        differing = sorted(set(classes) ^ set(here))
        if differing:
            where = ", ".join(
                f"{name!r} only in {'train' if name in classes else folder}" for name in differing[:5]
            )
            more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
            raise DataError(
                f"train and {folder} in {root} have different classes: {where}{more}. "
                "Give every split the same class folders."
            )
    return classes


def _check_classes(root: Path, classes: tuple[str, ...]) -> None:
    if not classes:
        direct = "holds images but" if _images_in(root) else "has"
        raise DataError(f"{root} {direct} no class folders. {_ARRANGE.format(root)}")
    if len(classes) == 1:
        raise DataError(
            f"{root} has only one class, {classes[0]!r}, and there is nothing to tell it from. "
            "Add a folder for each other class."
        )


def _look_at(root: Path, path: str, split: str, class_name: str) -> Found | Rejected:
    if Path(path).suffix.lower() not in EXTENSIONS:
        return Rejected(path, "not an image file")
    try:
        status = (root / path).stat()
    except OSError:
        return Rejected(path, "a link to nothing")
    if not stat.S_ISREG(status.st_mode):
        return Rejected(path, "not a regular file")
    return Found(path, split, class_name, status.st_size, status.st_mtime_ns)


def _walk(root: Path, start: str) -> Iterator[str]:
    """Paths of the visible files under `start`; each folder is entered once, so that links cannot loop."""
    waiting, entered = [start], set()
    while waiting:
        folder = waiting.pop()
        status = (root / folder).stat()
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        for entry in _entries(root / folder):
            if _is_folder(entry):
                waiting.append(f"{folder}/{entry.name}")
            else:
                yield f"{folder}/{entry.name}"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"Cannot look into the folder {folder}: {error.strerror or error}.") from error
    return sorted(visible, key=lambda entry: entry.name)


def _subfolders(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if _is_folder(entry)]


def _images_in(folder: Path) -> list[str]:
    names = [entry.name for entry in _entries(folder) if not _is_folder(entry)]
    return [name for name in names if Path(name).suffix.lower() in EXTENSIONS]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself
