"""From a folder of class folders to a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from allometry.base import DataError, Progress
from allometry.data.dataset import SPLITS, Dataset, FileSplit, Rejected, read_only
from allometry.data.pictures.cache import PixelCache
from allometry.data.sources.checking import Check, check_files
from allometry.data.sources.dealing import deal
from allometry.data.sources.layout import Found, Layout, scan


def open_folder(
    root: Path, *, index: Path | None, seed: int, progress: Progress, cache_bytes: int
) -> Dataset:
    """Open a folder of class folders; see `open_data`."""
    layout = scan(root)
    checks = check_files(root, layout.files, index=index, progress=progress)
    reasons = [Rejected(file.path, checks[file.path].reason) for file in layout.files]
    broken = [each for each in reasons if each.reason]
    usable, leaked = _without_leaks([file for file in layout.files if not checks[file.path].reason], checks)
    rejected = tuple(sorted([*layout.rejected, *broken, *leaked]))
    _check_usable(root, layout, usable, rejected)
    channels = 1 if all(checks[file.path].grey for file in usable) else 3
    cache = PixelCache(cache_bytes)
    number = {name: number for number, name in enumerate(layout.classes)}
    splits = {
        name: FileSplit(
            root=root,
            names=tuple(file.path for file in files),
            labels=read_only([number[file.class_name] for file in files]),
            digests=tuple(checks[file.path].digest for file in files),
            sizes=tuple((checks[file.path].height, checks[file.path].width) for file in files),
            channels=channels,
            cache=cache,
        )
        for name, files in _assign(layout, usable, checks, seed).items()
    }
    return Dataset(
        name=root.resolve().name,
        classes=layout.classes,
        channels=channels,
        image_size=int(median(min(checks[file.path].height, checks[file.path].width) for file in usable)),
        splits=splits,
        rejected=rejected,
    )


def _without_leaks(files: list[Found], checks: dict[str, Check]) -> tuple[list[Found], list[Rejected]]:
    """Leave out of train (and val) what is also in test (or val), where the folders already are splits."""
    held: dict[str, Found] = {}
    kept, leaked = [], []
    for file in sorted(files, key=lambda each: SPLITS[::-1].index(each.split) if each.split else 0):
        first = held.setdefault(checks[file.path].digest, file)
        if first.split == file.split:
            kept.append(file)
        else:
            leaked.append(Rejected(file.path, f"the same image as {first.path}, which must stay unseen"))
    return sorted(kept), leaked


def _check_usable(root: Path, layout: Layout, usable: Sequence[Found], rejected: Sequence[Rejected]) -> None:
    """Every class needs an image in each given split, and enough where splits are cut."""
    counts = Counter((file.split, file.class_name) for file in usable)
    cuts = _cuts(layout)
    for split in layout.folders or ("",):
        needed = 1 + len(cuts) if split in ("", "train") else 1
        where = f" in {split}" if split else ""
        for class_name in layout.classes:
            count = counts[split, class_name]
            if count == 0:
                shown = _first_reasons(layout, split, class_name, rejected)
                raise DataError(
                    f"Class {class_name!r} of {root} has no usable image{where}{shown}. "
                    "Add images to it or remove the folder."
                )
            if count < needed:
                raise DataError(
                    f"Class {class_name!r} of {root} has only {count} usable image{'s' * (count > 1)}"
                    f"{where}, and at least {needed} are needed to cut {' and '.join(cuts)} images "
                    "from them. "
                    "Add images to it or remove the folder."
                )


def _first_reasons(layout: Layout, split: str, class_name: str, rejected: Sequence[Rejected]) -> str:
    start = f"{layout.folders[split]}/{class_name}/" if split else f"{class_name}/"
    reasons = [f"{each.path} ({each.reason})" for each in rejected if each.path.startswith(start)]
    return f": {', '.join(reasons[:3])}{' and more' if len(reasons) > 3 else ''}" if reasons else ""


def _cuts(layout: Layout) -> list[str]:
    return [name for name in SPLITS if name != "train" and name not in layout.folders]


def _assign(
    layout: Layout, usable: Sequence[Found], checks: dict[str, Check], seed: int
) -> dict[str, list[Found]]:
    contents: dict[str, list[str]] = {name: [] for name in layout.classes}
    for file in usable:
        if file.split in ("", "train"):
            contents[file.class_name].append(checks[file.path].digest)
    dealt = deal(contents, _cuts(layout), seed=seed)
    splits: dict[str, list[Found]] = {name: [] for name in SPLITS}
    for file in usable:
        cut = file.split in ("", "train")
        splits[dealt[checks[file.path].digest] if cut else file.split].append(file)
    return splits
