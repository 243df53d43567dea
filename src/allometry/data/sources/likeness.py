"""Which images belong together: by their paths, and by what they look like, in one split or across splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from allometry.base import DataError
from allometry.base.text import shown as quoted
from allometry.base.units import plural
from allometry.data.sources.check import Check, digest_of
from allometry.data.sources.checking import index_file, load_index, save_index
from allometry.data.sources.grouping import NEAR_DUPLICATES, Grouping
from allometry.data.sources.near_duplicates import Pairs, clusters, near_duplicates
from allometry.data.sources.records import ImageRecord, Layout, OpenOptions

Finder = Callable[[Sequence[str]], Pairs]
"""Finds pairs of images that are nearly the same, by their thumbnails."""
_JUDGES = ("test", "val")
_WORTH_KEEPING = 2_000  # images
_SHOWN = 3
_SHOWN_NAME = 80  # characters


def group_files(
    layout: Layout, grouping: Grouping, shown: Callable[[str], str], *, cut: bool
) -> tuple[Layout, list[str]]:
    """Give each image its group by its path, where that is what tells it; a column has told it already.

    Args:
        layout: what the source holds.
        grouping: what the images of a group have in common.
        shown: what the image of a path is called.
        cut: whether splits are to be cut from the images.

    Returns:
        The layout, and what a person should know of the groups.

    Raises:
        DataError: no image has a group, or the groups are the classes.
    """
    if grouping.column is not None and not any(file.group for file in layout.files):
        grouping.refuse_column(layout.place, "it tells a group of no image")
    if not grouping.by_path:
        return layout, []
    files = tuple(
        file._replace(group=grouping.of_path(shown(file.path), base=layout.base)) for file in layout.files
    )
    lacking = [shown(file.path) for file in files if not file.group]
    way, number = quoted(grouping.way), len({file.group for file in files if file.group})
    if number == 0:
        first = f"; the first is called {quoted(lacking[0])}" if lacking else ""
        raise DataError(
            f"No image of {layout.place} has a group by {way}{first}. Give a group that the names tell."
        )
    if cut and not layout.multi_label:
        _refuse_classes(layout, files, way)
    remarks = []
    if lacking:
        remarks.append(
            f"{len(lacking):,} of {plural(len(files), 'image')} have no group by {way}, and each is on its own: "
            f"{_some(lacking)}"
        )
    elif number == len(files):
        remarks.append(f"by {way} each image is a group of its own, so that nothing is kept together")
    return layout._replace(files=files), remarks


def _refuse_classes(layout: Layout, files: Sequence[ImageRecord], way: str) -> None:
    """Groups that are the classes would put every class into one split."""
    pairs = {(file.class_name, file.group) for file in files}
    names, groups = {name for name, _ in pairs}, {group for _, group in pairs}
    if "" not in groups and len(pairs) == len(names) == len(groups) > 1:
        raise DataError(
            f"By {way} the groups of {layout.place} are its classes, and each class needs images in every split. Give "
            "a group that tells images of one class apart."
        )


def pairs_of(files: Sequence[ImageRecord], checks: Mapping[str, Check], find: Finder) -> list[list[int]]:
    """Pairs of images, by their places, that are nearly the same."""
    pairs: list[list[int]] = find([checks[file.path].thumbnail for file in files]).tolist()
    return pairs


def known_pairs(thumbnails: Sequence[str], *, source: str, options: OpenOptions) -> Pairs:
    """What `near_duplicates` finds, from the index where these thumbnails were compared before.

    Args:
        thumbnails: of the images.
        source: what they are from.
        options: how it is opened.
    """
    if len(thumbnails) < _WORTH_KEEPING:
        return near_duplicates(thumbnails)
    about = {
        "source": f"{NEAR_DUPLICATES} of {source}",
        "thumbnails": digest_of(" ".join(thumbnails).encode()),
    }
    index = index_file(options.cache_folder, about["source"])
    known = load_index(index, about=about, kinds={"one": int, "other": int})
    if known:
        return np.array([known["one"], known["other"]], np.int64).T
    pairs = near_duplicates(thumbnails)
    columns = {"one": pairs[:, 0].tolist(), "other": pairs[:, 1].tolist()}
    save_index(index, about=about, columns=columns, progress=options.progress)
    return pairs


def tie(files: Sequence[ImageRecord], pairs: Sequence[Sequence[int]]) -> tuple[list[ImageRecord], str]:
    """Give images that are nearly the same one group, also where that joins groups.

    Images that come in different splits are not tied.

    Returns:
        The images, and what a person should know.
    """
    alike = [pair for pair in pairs if files[pair[0]].split == files[pair[1]].split]
    known: dict[tuple[str, str], int] = {}
    grouped = [
        (known.setdefault((file.split, file.group), place), place)
        for place, file in enumerate(files)
        if file.group
    ]
    several = [size for size in Counter(clusters(len(files), alike)).values() if size > 1]
    remark = f"near-duplicates are kept together: {plural(len(several), 'cluster')}"
    if several:
        remark += f", the largest of {max(several):,} images"
    first = clusters(len(files), [*alike, *grouped])
    sizes = Counter(first)
    tied = [
        file if sizes[place] == 1 else file._replace(group=_group_after(files[place]))
        for file, place in zip(files, first, strict=True)
    ]
    return tied, remark


def _group_after(file: ImageRecord) -> str:
    return file.group or f"{NEAR_DUPLICATES} of {file.path}"


def about_leaks(
    files: Sequence[ImageRecord],
    pairs: Sequence[Sequence[int]],
    assigned: Mapping[str, Sequence[ImageRecord]],
    shown: Callable[[str], str],
) -> list[str]:
    """What a person should know of images to judge by that are nearly the same as images to train.

    Args:
        files: the images.
        pairs: of their places.
        assigned: the images of each split.
        shown: what the image of a path is called.
    """
    split_of = {file.path: name for name, chosen in assigned.items() for file in chosen}
    splits = [split_of.get(file.path, "") for file in files]
    cluster = clusters(len(files), pairs)
    trained = {place for place, split in zip(cluster, splits, strict=True) if split == "train"}
    leaked = Counter(
        split for place, split in zip(cluster, splits, strict=True) if split in _JUDGES and place in trained
    )
    if not leaked:
        return []
    counted = " and ".join(
        f"{leaked[name]:,} of {plural(splits.count(name), 'image')} of {name}"
        for name in _JUDGES
        if leaked[name]
    )
    partner: dict[int, int] = {}
    for pair in pairs:
        one, other = sorted(pair, key=lambda place: splits[place] != "train")
        if splits[one] == "train" and splits[other] in _JUDGES:
            partner.setdefault(other, one)
    helps = any(files[one].split == files[other].split for other, one in partner.items())
    advice = (
        f"--group {NEAR_DUPLICATES} keeps them together" if helps else "leave them out of one of the splits"
    )
    listed = sorted(partner, key=lambda place: (_JUDGES.index(splits[place]), place))
    names = [
        f"{_short(shown(files[place].path))} ({splits[place]}) is like {_short(shown(files[partner[place]].path))}"
        for place in listed[:_SHOWN]
    ]
    more = f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
    return [
        f"{counted} are near-duplicates of images to train, by which a network seems better than it is: "
        f"{', '.join(names)}{more}; {advice}"
    ]


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN_NAME else f"{name[:_SHOWN_NAME]}..."


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(map(_short, names[:_SHOWN])) + more
