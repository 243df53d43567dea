"""From a folder of class folders to a data set: which file belongs to which class and, perhaps, split."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from allometry.base import DataError
from allometry.base.reading import is_folder
from allometry.base.text import printable
from allometry.data.sources.assembling import Found, assemble
from allometry.data.sources.checking import check_files
from allometry.data.sources.classes import class_name, sorted_classes
from allometry.data.sources.listing import RUBBISH, files_in, images_in, is_image_file, subfolders, walk
from allometry.data.sources.records import ImageRecord, Layout, OpenOptions, RejectedFile, stamp_of
from allometry.data.sources.split_folders import ARRANGE, refuse_differing, split_folders
from allometry.data.sources.stores import FileStore

MANIFESTS = (".csv", ".tsv", ".parquet")


def scan(root: Path, *, partial: bool = False, grouped: bool = False) -> Layout:
    """Find the classes and image files of a folder, without opening an image.

    Args:
        root: the folder.
        partial: classes and splits need not be complete, since nothing is to learn from the images.
        grouped: folders inside those of the classes are known to be groups.

    Raises:
        DataError: the folder does not hold class folders, or cannot be looked into.
    """
    folders, refused = _without_rubbish("", subfolders(root))
    splits = split_folders(root, folders, partial=partial, grouped=grouped)
    refused += [RejectedFile(name, "not inside a class folder") for name in images_in(root)]
    if splits:
        beside = sorted(set(folders) - set(splits))
        refused += [RejectedFile(name, "not inside train, val or test") for name in beside]
    files: list[ImageRecord] = []
    names: dict[str, set[str]] = {}
    for folder, split in (splits or {"": ""}).items():
        base = f"{folder}/" if folder else ""
        inside, rubbish = _without_rubbish(base, subfolders(root / folder) if folder else folders)
        stray = images_in(root / folder) if folder else []
        refused += [*rubbish, *(RejectedFile(base + name, "not inside a class folder") for name in stray)]
        name_of = _class_names(root / folder, inside)
        names[folder] = set(name_of.values())
        for class_folder, name in name_of.items():
            for path, entry in walk(root, base + class_folder):
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
        refuse_differing(root, splits, {folder: own - empty for folder, own in names.items()})
    _check_classes(root, classes, splits, partial=partial)
    return Layout(
        str(root),
        classes,
        tuple(splits.values()),
        tuple(sorted(files)),
        tuple(sorted(refused)),
        base=2 if splits else 1,
    )


def _without_rubbish(base: str, folders: Sequence[str]) -> tuple[list[str], list[RejectedFile]]:
    """The folders without those that systems and programs leave behind."""
    rubbish = [name for name in folders if name.lower() in RUBBISH]
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


def _check_classes(root: Path, classes: Sequence[str], splits: Mapping[str, str], *, partial: bool) -> None:
    """There must be class folders, and two at least to learn from."""
    train = next((name for name, split in splits.items() if split == "train"), next(iter(splits), ""))
    base = root / train
    manifests = [name for name in files_in(base) if name.endswith(MANIFESTS)]
    hint = f" If {base / manifests[0]} lists the images, give that file." if manifests else ""
    if not classes:
        direct = "holds images but" if images_in(base) else "has"
        raise DataError(f"{base} {direct} no class folders. {ARRANGE.format(base)}{hint}")
    if len(classes) == 1 and not partial:
        (only,) = classes
        inner = subfolders(base / only) if is_folder(base / only) else []
        if len(inner) > 1:
            hint = f" If the classes or splits are the folders in {base / only}, give that folder."
        raise DataError(
            f"{base} has only one class, {only!r}, and there is nothing to tell it from. "
            f"Add a folder for each other class.{hint}"
        )


def _look_at(path: str, entry: os.DirEntry[str], split: str, class_name: str) -> ImageRecord | RejectedFile:
    if not is_image_file(entry.path, entry.name):
        return RejectedFile(path, "not an image file", split, class_name)
    try:
        status = entry.stat()
    except OSError:
        return RejectedFile(path, "a link to nothing", split, class_name)
    if not stat.S_ISREG(status.st_mode):
        return RejectedFile(path, "not a regular file", split, class_name)
    return ImageRecord(path, split, class_name, stamp_of(status))


def find_in_folder(root: Path, options: OpenOptions) -> Found:
    """Look at the images of a folder of class folders; see `open_data`."""
    options.grouping.refuse_column(str(root), "a folder has no columns")
    layout = scan(root, partial=options.partial, grouped=options.grouping.by_path)
    source = str(root.resolve())
    checks = check_files(root, layout.files, source=source, options=options)
    return lambda judge: assemble(
        layout,
        checks,
        name=root.resolve().name,
        options=options,
        store=lambda files: FileStore(root, tuple(file.path for file in files)),
        judge=judge,
    )
