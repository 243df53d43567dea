"""From images that were found and checked to splits: leaks left out, groups kept together, classes complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from allometry.base import DataError
from allometry.data.dataset import SPLITS, Rejected
from allometry.data.images.reading import Levels
from allometry.data.sources.check import Check
from allometry.data.sources.cutting import assign_splits
from allometry.data.sources.grouping import UNGROUPED, Grouping
from allometry.data.sources.likeness import Finder, about_leaks, group_files, pairs_of, tie
from allometry.data.sources.near_duplicates import near_duplicates
from allometry.data.sources.records import SEPARATOR, ImageRecord, Judge, Layout, RejectedFile
from allometry.data.sources.remarks import levels_of, remarks_of

_SHOWN_REASONS = 3


class SplitFiles(NamedTuple):
    """Images in their splits.

    Attributes:
        splits: the images of `train`, `val` and `test`, each sorted by path.
        rejected: what is left out.
        levels: which values of 16 bits are black and white; None where they use the whole range.
        remarks: what is odd about the images.
    """

    splits: dict[str, list[ImageRecord]]
    rejected: tuple[Rejected, ...]
    levels: Levels | None = None
    remarks: tuple[str, ...] = ()


def split_layout(
    layout: Layout,
    checks: Mapping[str, Check],
    *,
    seed: int,
    shown: Callable[[str], str] = str,
    judge: Judge | None = None,
    grouping: Grouping = UNGROUPED,
    find: Finder = near_duplicates,
) -> SplitFiles:
    """Leave out what cannot be used, and give every other image its split.

    Images that are to judge a network stay in the splits that they come with, and without one go to `test`.

    Args:
        layout: what the source holds.
        checks: what is known of each image.
        seed: of the splits that are cut.
        shown: what the image of a path is called in messages.
        judge: the network that the images are to judge.
        grouping: what images have in common that stay in one split.
        find: finds the images that are nearly the same.

    Raises:
        DataError: a class has too few usable images, or the groups cannot be kept.
    """
    layout, remarks = group_files(layout, grouping, shown, cut=not judge and bool(_cuts(layout)))
    broken = [
        RejectedFile(file.path, checks[file.path].reason, file.split, file.class_name)
        for file in layout.files
        if checks[file.path].reason
    ]
    whole = [file for file in layout.files if not checks[file.path].reason]
    if not judge:
        _check_groups(layout, whole)
    usable, leaked = (sorted(whole), []) if judge else _without_leaks(whole, checks, shown)
    refused = sorted([*layout.refused, *broken, *leaked])
    if judge:
        _check_any(layout, usable, refused)
        assigned = {name: [file for file in usable if (file.split or "test") == name] for name in SPLITS}
    else:
        _check_usable(layout, usable, refused)
        assigned, told = _assign_apart(layout, usable, checks, seed, shown, grouping, find)
        remarks += told
    levels = levels_of(checks[file.path] for file in assigned["train"])
    return SplitFiles(
        assigned,
        tuple(Rejected(shown(file.path), file.reason) for file in refused),
        levels,
        (*remarks_of(assigned, checks, levels, shown), *remarks),
    )


def _assign_apart(
    layout: Layout,
    usable: list[ImageRecord],
    checks: Mapping[str, Check],
    seed: int,
    shown: Callable[[str], str],
    grouping: Grouping,
    find: Finder,
) -> tuple[dict[str, list[ImageRecord]], list[str]]:
    """The images of each split, and what a person should know of groups and near-duplicates."""
    pairs, remarks = pairs_of(usable, checks, find), []
    if grouping.near_duplicates:
        usable, told = tie(usable, pairs)
        remarks.append(told)
    assigned = _assign(layout, usable, checks, seed)
    if any(file.group for file in usable):
        remarks += _lacking(layout, assigned)
    return assigned, [*remarks, *about_leaks(usable, pairs, assigned, shown)]


def _lacking(layout: Layout, assigned: Mapping[str, Sequence[ImageRecord]]) -> tuple[str, ...]:
    """Which classes have no image in a split that was cut, because their images come from too few groups."""
    remarks = []
    for name in _cuts(layout):
        there = {label for file in assigned[name] for label in layout.labels_of(file.class_name)}
        lacking = [class_name for class_name in layout.classes if class_name not in there]
        if lacking:
            shown = ", ".join(lacking[:_SHOWN_REASONS]) + (
                " and others" if len(lacking) > _SHOWN_REASONS else ""
            )
            remarks.append(f"{name} has no image of {shown}: too few groups have any")
    return tuple(remarks)


def _without_leaks(
    files: Sequence[ImageRecord], checks: Mapping[str, Check], shown: Callable[[str], str]
) -> tuple[list[ImageRecord], list[RejectedFile]]:
    """Leave out of train (and val) what is also in test (or val), where the source comes with splits."""
    first_of: dict[str, ImageRecord] = {}
    kept, leaked = [], []
    for file in sorted(files, key=lambda listed: SPLITS[::-1].index(listed.split) if listed.split else 0):
        first = first_of.setdefault(checks[file.path].digest, file)
        if first.split == file.split:
            kept.append(file)
        else:
            reason = f"the same image as {shown(first.path)}, which must stay unseen"
            if first.class_name != file.class_name:
                reason += f", and there is of another class ({first.class_name.replace(SEPARATOR, ', ')})"
            leaked.append(RejectedFile(file.path, reason, file.split, file.class_name))
    return sorted(kept), leaked


def _check_groups(layout: Layout, files: Sequence[ImageRecord]) -> None:
    """Groups must lie in one split each, where the source comes with splits."""
    splits: dict[str, str] = {}
    for file in files:
        if file.group and splits.setdefault(file.group, file.split) != file.split:
            raise DataError(
                f"Group {file.group!r} of {layout.place} has images in {splits[file.group]} and in {file.split}, and "
                "what is alike must not judge itself. Give each group one split, or no splits to have them cut."
            )


def units_of(files: Sequence[ImageRecord], checks: Mapping[str, Check]) -> dict[str, str]:
    """What goes to one split together, for each image by its path: all of a group, and all that are equal.

    A unit is called after its first group, or by the digest of its images where they are in none.
    """
    root: dict[str, str] = {}

    def find(key: str) -> str:
        while root.setdefault(key, key) != key:
            key = root[key]
        return key

    for file in files:
        digest, group = checks[file.path].digest, f"{SEPARATOR}{file.group}"
        if file.group:  # the separator sorts before every digest
            first, other = sorted((find(group), find(digest)))
            root[other] = first
    return {file.path: find(checks[file.path].digest) for file in files}


def _check_any(layout: Layout, usable: Sequence[ImageRecord], refused: Sequence[RejectedFile]) -> None:
    if not usable:
        reasons = ", ".join(f"{file.path} ({file.reason})" for file in refused[:_SHOWN_REASONS])
        raise DataError(f"{layout.place} has no usable image{f': {reasons}' if reasons else ''}.")


def _check_usable(layout: Layout, usable: Sequence[ImageRecord], refused: Sequence[RejectedFile]) -> None:
    """Every class needs an image in each given split, and enough where splits are cut; a label only to learn from."""
    counts = Counter((file.split, label) for file in usable for label in layout.labels_of(file.class_name))
    cuts = _cuts(layout)
    splits = layout.splits or ("",)
    for split in ("train",) if layout.multi_label and layout.splits else splits:
        needed = 1 + len(cuts) if split in ("", "train") else 1
        where = f" in {split}" if split else ""
        for class_name in layout.classes:
            count = counts[split, class_name]
            if count == 0:
                shown = _first_reasons(layout, split, class_name, refused)
                raise DataError(
                    f"Class {class_name!r} of {layout.place} has no usable image{where}{shown}. "
                    "Add images to it or leave the class out."
                )
            if count < needed:
                raise DataError(
                    f"Class {class_name!r} of {layout.place} has only {count} usable image{'s' * (count > 1)}"
                    f"{where}, and at least {needed} are needed to cut {' and '.join(cuts)} images "
                    "from them. Add images to it or leave the class out."
                )


def _first_reasons(layout: Layout, split: str, class_name: str, refused: Sequence[RejectedFile]) -> str:
    reasons = [
        f"{file.path} ({file.reason})"
        for file in refused
        if file.split == split and class_name in layout.labels_of(file.class_name)
    ]
    more = " and more" if len(reasons) > _SHOWN_REASONS else ""
    return f": {', '.join(reasons[:_SHOWN_REASONS])}{more}" if reasons else ""


def _cuts(layout: Layout) -> list[str]:
    return [name for name in SPLITS if name != "train" and name not in layout.splits]


def _assign(
    layout: Layout, usable: Sequence[ImageRecord], checks: Mapping[str, Check], seed: int
) -> dict[str, list[ImageRecord]]:
    contents: dict[str, list[str]] = {name: [] for name in layout.classes}
    unlabeled: list[str] = []
    units = units_of([file for file in usable if file.split in ("", "train")], checks)
    for file in usable:
        if file.path in units:
            for label in layout.labels_of(file.class_name):
                contents[label].append(units[file.path])
            unlabeled += [] if layout.labels_of(file.class_name) else [units[file.path]]
    cuts = _cuts(layout)
    split_of = assign_splits(contents, cuts, seed=seed)
    rest = [digest for digest in unlabeled if digest not in split_of]
    enough = len(set(rest)) > len(cuts)
    split_of |= assign_splits({"": rest}, cuts, seed=seed) if enough else dict.fromkeys(rest, "train")
    splits: dict[str, list[ImageRecord]] = {name: [] for name in SPLITS}
    for file in usable:
        splits[split_of[units[file.path]] if file.path in units else file.split].append(file)
    if empty := [cut for cut in cuts if not splits[cut]]:  # of groups only
        number = len({file.group for file in usable if file.path in units})
        raise DataError(
            f"The images of {layout.place} come from too few groups, {number}, to cut {' and '.join(empty)} from them. "
            "Add images of other groups, or leave the groups out where images of one are not alike."
        )
    return splits
