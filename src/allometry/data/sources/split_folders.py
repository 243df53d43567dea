"""Which folders are splits, and which are classes: nothing is guessed where that is not clear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from allometry.base import DataError
from allometry.base.text import first_few
from allometry.data.sources.listing import images_in, subfolders
from allometry.data.sources.records import split_of, splits_of

ARRANGE = "Put each class's images in a folder of its own: {0}/cat/1.jpg, {0}/dog/1.jpg and so on."
"""How class folders are arranged in a folder."""


def split_folders(root: Path, folders: list[str], *, partial: bool, grouped: bool = False) -> dict[str, str]:
    """Folder name to split, empty where none is for training or that is itself a class (of vehicles, say)."""
    splits = splits_of(folders)
    alone = len(splits) == 1 < len(folders)
    train = next((name for name, split in splits.items() if split == "train"), None)
    if train is None and partial:
        train = next(iter(splits), None)
    if train is None:
        if len(splits) > 1 and (
            len(splits) == len(folders) or all(subfolders(root / name) for name in splits)
        ):
            known = " and ".join(sorted(set(splits.values())))
            raise DataError(f"{root} has folders for {known} but none for training; call one train.")
        _refuse_nested(root, folders, grouped=grouped)
        return {}
    if not subfolders(root / train):
        if not alone and all(map(split_of, splits)) and images_in(root / train):
            raise DataError(f"{root / train} holds images directly. {ARRANGE.format(root / train)}")
        return {}
    if alone:
        _refuse_doubtful(root, train, [name for name in folders if name != train])
        return {}
    for split in ("train", "val", "test"):
        several = [name for name in splits if splits[name] == split]
        if len(several) > 1:
            what = {"train": "training", "val": "validation", "test": "testing"}[split]
            raise DataError(
                f"{root} has several folders for {what}, {' and '.join(several)}; keep one of them."
            )
    return splits


def _refuse_nested(root: Path, folders: list[str], *, grouped: bool) -> None:
    """Refuse folders that all hold the same folders: those are the classes, whatever the outer ones are called."""
    inner = [set(subfolders(root / name)) for name in folders]
    if len(folders) < 2 or len(inner[0]) < 2 or any(names != inner[0] for names in inner):
        return
    classes = ", ".join(sorted(inner[0])[:3])
    if all(map(split_of, inner[0])):
        raise DataError(
            f"The folders {' and '.join(folders[:3])} in {root} each hold {' and '.join(sorted(inner[0])[:3])}. Put "
            "the splits outside and the classes inside: train/cat, train/dog, test/cat, test/dog."
        )
    if not grouped:
        raise DataError(
            f"The folders {' and '.join(folders[:3])} in {root} all hold the same folders ({classes}), so that it is "
            "not clear which are the classes. Call the outer ones train, val and test, or give one of them; if the "
            "inner ones are groups, such as patients, say --group folder."
        )


def _refuse_doubtful(root: Path, train: str, others: Sequence[str]) -> None:
    """Refuse a folder for training beside folders that are no splits, where it is not itself a class."""
    classes = set(subfolders(root / train))
    nested = {name: set(subfolders(root / name)) for name in others}
    alike = [name for name in others if nested[name] == classes]
    if len(classes) > 1 and alike:
        raise DataError(
            f"{train} and {' and '.join(alike[:3])} in {root} hold the same folders "
            f"({', '.join(sorted(classes)[:3])}). Call the others val and test, or move them away."
        )
    if len(classes) > 1 and not any(nested.values()):
        raise DataError(
            f"It is not clear whether {train} in {root} holds the images to train on or is a class like "
            f"{' and '.join(others[:3])}. Give {root / train} if the classes are in it, or call it otherwise."
        )


def refuse_differing(root: Path, splits: Mapping[str, str], names: Mapping[str, set[str]]) -> None:
    """Every split needs the classes of the training images."""
    train = next(name for name, split in splits.items() if split == "train")
    for folder in splits:
        differing = sorted(names[train] ^ names[folder])
        if differing:
            where = [f"{name!r} only in {train if name in names[train] else folder}" for name in differing]
            raise DataError(
                f"{train} and {folder} in {root} have different classes: {first_few(where, 5)}. "
                "Give every split the same class folders."
            )
