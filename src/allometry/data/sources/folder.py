"""From a folder of class folders to a data set: which file belongs to which class and, perhaps, split."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from allometry.base import DataError
from allometry.base.reading import is_folder
from allometry.base.text import printable
from allometry.data.dataset import Dataset
from allometry.data.images.formats import EXTENSIONS
from allometry.data.sources.assembling import assemble
from allometry.data.sources.checking import check_files
from allometry.data.sources.classes import class_name, sorted_classes
from allometry.data.sources.records import (
    ImageRecord,
    Layout,
    OpenOptions,
    RejectedFile,
    split_of,
    splits_of,
    stamp_of,
)
from allometry.data.sources.stores import FileStore

MANIFESTS = (".csv", ".tsv", ".parquet")
_RUBBISH = frozenset({"__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir"})
_ARRANGE = "Put each class's images in a folder of its own: {0}/cat/1.jpg, {0}/dog/1.jpg and so on."


def scan(root: Path, *, partial: bool = False) -> Layout:
    """Find the classes and image files of a folder, without opening an image.

    Args:
        root: the folder.
        partial: classes and splits need not be complete, since nothing is to learn from the images.

    Raises:
        DataError: the folder does not hold class folders, or cannot be looked into.
    """
    folders, refused = _without_rubbish("", subfolders(root))
    splits = _split_folders(root, folders, partial=partial)
    refused += [RejectedFile(name, "not inside a class folder") for name in _images_in(root)]
    if splits:
        beside = sorted(set(folders) - set(splits))
        refused += [RejectedFile(name, "not inside train, val or test") for name in beside]
    files: list[ImageRecord] = []
    names: dict[str, set[str]] = {}
    for folder, split in (splits or {"": ""}).items():
        base = f"{folder}/" if folder else ""
        inside, rubbish = _without_rubbish(base, subfolders(root / folder) if folder else folders)
        stray = _images_in(root / folder) if folder else []
        refused += [*rubbish, *(RejectedFile(base + name, "not inside a class folder") for name in stray)]
        name_of = _class_names(root / folder, inside)
        names[folder] = set(name_of.values())
        for class_folder, name in name_of.items():
            for path, entry in _walk(root, base + class_folder):
                result = _look_at(path, entry, split, name)
                if isinstance(result, ImageRecord):
                    files.append(result)
                else:
                    refused.append(result)
    empty = set().union(*names.values()) - {file.class_name for file in files}
    empty -= {file.class_name for file in refused}
    refused += [
        RejectedFile(f"{folder}/{name}".lstrip("/"), "an empty folder, which is taken for no class")
        for folder, own in names.items()
        for name in own & empty
    ]
    classes = sorted_classes(set().union(*names.values()) - empty)
    if splits and not partial:
        _refuse_differing(root, splits, {folder: own - empty for folder, own in names.items()})
    _check_classes(root, classes, splits, partial=partial)
    return Layout(str(root), classes, tuple(splits.values()), tuple(sorted(files)), tuple(sorted(refused)))


def _without_rubbish(base: str, folders: Sequence[str]) -> tuple[list[str], list[RejectedFile]]:
    """The folders without those that systems and programs leave behind."""
    rubbish = [name for name in folders if name.lower() in _RUBBISH]
    refused = [RejectedFile(base + name, "a folder that a system or program has left") for name in rubbish]
    return [name for name in folders if name not in rubbish], refused


def _class_names(root: Path, folders: Sequence[str]) -> dict[str, str]:
    """The class that each folder is of."""
    name_of = {folder: class_name(folder) or folder for folder in folders}
    folder_of: dict[str, str] = {}
    for folder, name in name_of.items():
        if name in folder_of:
            raise DataError(
                f"Two folders in {printable(str(root))} are for one class, {name!r}: {printable(folder_of[name])!r} "
                f"and {printable(folder)!r}. Put their images into one of them."
            )
        folder_of[name] = folder
    return name_of


def is_image(name: str) -> bool:
    """Whether a file's name ends as an image's."""
    return f".{name.rpartition('.')[2].lower()}" in EXTENSIONS


def image_files(folder: Path) -> list[Path]:
    """The image files in a folder and in those within it, by their endings, sorted; hidden ones are left out.

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
    images = sorted(folder / path for path, entry in _walk(folder, ".") if is_image(entry.name))
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


def _split_folders(root: Path, folders: list[str], *, partial: bool) -> dict[str, str]:
    """Folder name to split, empty where none is for training or that is itself a class (of vehicles, say)."""
    splits = splits_of(folders)
    only_splits = len(splits) == len(folders)
    train = next((name for name, split in splits.items() if split == "train"), None)
    if train is None and partial:
        train = next(iter(splits), None)
    if train is None:
        _refuse_nested(root, folders)
        return {}
    if not subfolders(root / train):
        if only_splits and all(map(split_of, folders)) and _images_in(root / train):
            raise DataError(f"{root / train} holds images directly. {_ARRANGE.format(root / train)}")
        return {}
    if not only_splits and len(splits) == 1:
        _refuse_nested(root, folders)
        return {}
    for split in ("train", "val", "test"):
        several = [name for name in splits if splits[name] == split]
        if len(several) > 1:
            what = {"train": "training", "val": "validation", "test": "testing"}[split]
            raise DataError(
                f"{root} has several folders for {what}, {' and '.join(several)}; keep one of them."
            )
    return splits


def _refuse_nested(root: Path, folders: list[str]) -> None:
    """Refuse folders that all hold the same folders: those are the classes, whatever the outer ones are called."""
    inner = [set(subfolders(root / name)) for name in folders]
    if len(folders) < 2 or len(inner[0]) < 2 or any(names != inner[0] for names in inner):
        return
    known = sorted({split_of(name) for name in folders} - {""})
    classes = ", ".join(sorted(inner[0])[:3])
    if known:
        raise DataError(
            f"{root} has folders for {' and '.join(known)} but none for training; call one train."
        )
    raise DataError(
        f"The folders {' and '.join(folders[:3])} in {root} all hold the same folders ({classes}), so that it is not "
        "clear which are the classes. Call the outer ones train, val and test, or give one of them."
    )


def _refuse_differing(root: Path, splits: Mapping[str, str], names: Mapping[str, set[str]]) -> None:
    """Every split needs the classes of the training images."""
    train = next(name for name, split in splits.items() if split == "train")
    for folder in splits:
        differing = sorted(names[train] ^ names[folder])
        if differing:
            where = ", ".join(
                f"{name!r} only in {train if name in names[train] else folder}" for name in differing[:5]
            )
            more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
            raise DataError(
                f"{train} and {folder} in {root} have different classes: {where}{more}. "
                "Give every split the same class folders."
            )


def _check_classes(root: Path, classes: Sequence[str], splits: Mapping[str, str], *, partial: bool) -> None:
    """There must be class folders, and two at least to learn from."""
    train = next((name for name, split in splits.items() if split == "train"), next(iter(splits), ""))
    base = root / train
    manifests = [name for name in files_in(base) if name.endswith(MANIFESTS)]
    hint = f" If {base / manifests[0]} lists the images, give that file." if manifests else ""
    if not classes:
        direct = "holds images but" if _images_in(base) else "has"
        raise DataError(f"{base} {direct} no class folders. {_ARRANGE.format(base)}{hint}")
    if len(classes) == 1 and not partial:
        (only,) = classes
        inner = subfolders(base / only) if is_folder(base / only) else []
        if len(inner) > 1:
            hint = f" If the folders in {base / only} are the classes, give that folder."
        raise DataError(
            f"{base} has only one class, {only!r}, and there is nothing to tell it from. "
            f"Add a folder for each other class.{hint}"
        )


def _look_at(path: str, entry: os.DirEntry[str], split: str, class_name: str) -> ImageRecord | RejectedFile:
    if not is_image(entry.name):
        return RejectedFile(path, "not an image file", split, class_name)
    try:
        status = entry.stat()
    except OSError:
        return RejectedFile(path, "a link to nothing", split, class_name)
    if not stat.S_ISREG(status.st_mode):
        return RejectedFile(path, "not a regular file", split, class_name)
    return ImageRecord(path, split, class_name, stamp_of(status))


def _walk(root: Path, start: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
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
                if entry.name.lower() not in _RUBBISH:
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


def _images_in(folder: Path) -> list[str]:
    return [name for name in files_in(folder) if is_image(name)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself


def open_folder(root: Path, options: OpenOptions) -> Dataset:
    """Open a folder of class folders; see `open_data`."""
    layout = scan(root, partial=options.judge is not None)
    source = str(root.resolve())
    checks = check_files(root, layout.files, source=source, options=options)
    return assemble(
        layout,
        checks,
        name=root.resolve().name,
        options=options,
        store=lambda files: FileStore(root, tuple(file.path for file in files)),
    )
