"""From shards, tar files full of samples as WebDataset writes them, to a data set."""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from allometry.base import DataError, Progress
from allometry.data.dataset import SPLITS
from allometry.data.images.limits import MAX_FILE
from allometry.data.sources.assembling import Found, assemble
from allometry.data.sources.check import CHECK_KINDS, Check, check_bytes, digest_of
from allometry.data.sources.checking import (
    CHANGED_UNSEEN,
    checked,
    index_file,
    load_index,
    sampled,
    save_index,
    settled,
    to_columns,
)
from allometry.data.sources.classes import sorted_classes
from allometry.data.sources.grouping import USUAL_COLUMN
from allometry.data.sources.records import (
    ImageRecord,
    Layout,
    OpenOptions,
    RejectedFile,
    split_of,
    stamp_of,
)
from allometry.data.sources.stores import ShardStore, read_part
from allometry.data.sources.tar import Member, field_of, read_members

_NOWHERE = -1
_MEMBER_KINDS = {
    "name": str,
    "label": str,
    "offset": int,
    "length": int,
    "about": int,
    "size": int,
    "group": str,
}


class Shard(NamedTuple):
    """A tar file of samples.

    Attributes:
        name: in the data set: the part of its path or address in which the shards differ.
        path: of the file.
    """

    name: str
    path: Path


class Contents(NamedTuple):
    """What a shard holds.

    Attributes:
        members: the labeled images.
        checks: what is known of each.
        refused: what cannot be used, and why.
    """

    members: Sequence[Member]
    checks: Sequence[Check]
    refused: Sequence[RejectedFile]


def find_in_shards(
    shards: Sequence[Shard],
    *,
    name: str,
    place: str,
    options: OpenOptions,
) -> Found:
    """Look at the images of local shards; see `open_data`."""
    split_of = shard_splits(place, [shard.name for shard in shards], partial=options.partial)
    contents = read_shards([shard.path for shard in shards], options=options)
    where: dict[str, tuple[int, int, int]] = {}
    checks: dict[str, Check] = {}
    files, refused = [], []
    for number, (shard, split, content) in enumerate(zip(shards, split_of, contents, strict=True)):
        groups = _groups_in(shard.path, content.members, options.grouping.column)
        for member, check, group in zip(content.members, content.checks, groups, strict=True):
            path = f"{shard.name}/{member.name}"
            where[path], checks[path] = (number, member.offset, member.length), check
            files.append(ImageRecord(path, split, member.label, group=group))
        refused += [file._replace(path=f"{shard.name}/{file.path}".rstrip("/")) for file in content.refused]
    classes = sorted_classes({file.class_name for file in files})
    if len(classes) < (1 if options.partial else 2):
        raise DataError(_too_few(place, classes, refused))
    if not any(file.group for file in files):
        options.grouping.refuse_column(place, "no sample has a .json with such a field")
    own_splits = tuple(split for split in SPLITS if split in split_of)
    base = shards[0].name.count("/") + 1
    layout = Layout(place, classes, own_splits, tuple(sorted(files)), tuple(sorted(refused)), base=base)
    paths = tuple(shard.path for shard in shards)
    return lambda judge: assemble(
        layout,
        checks,
        name=name,
        options=options,
        store=lambda chosen: _store(paths, [file.path for file in chosen], where),
        judge=judge,
    )


def _groups_in(shard: Path, members: Sequence[Member], column: str | None) -> list[str]:
    """The group of each image of a shard, by a field of its JSON; empty text for one without."""
    if column in (None, USUAL_COLUMN):
        return [member.group for member in members]
    try:
        return [field_of(shard, member, column) or "" for member in members]
    except OSError as error:
        raise DataError(f"Cannot read {shard}: {error.strerror or error}.") from error


def shard_splits(place: str, names: Sequence[str], *, partial: bool = False) -> tuple[str, ...]:
    """The split of each shard, by a word in its name or else in its folders'; empty where splits are to be cut.

    Args:
        place: of the shards, for messages.
        names: of the shards.
        partial: none of them need be for training.

    Raises:
        DataError: some shards tell their split and others do not, or none is for training.

    Example:
        >>> shard_splits("D", ["pets-train-000.tar", "pets-validation-000.tar"])
        ('train', 'val')
    """
    splits = tuple(_split_in(name) for name in names)
    if set(splits) == {""}:
        return splits
    if "" in splits:
        without, other = names[splits.index("")], next(name for name in names if _split_in(name))
        raise DataError(
            f"The name of {other} in {place} tells its split, but that of {without} does not. "
            "Call every shard by train, val or test, or none."
        )
    if "train" not in splits and not partial:
        raise DataError(
            f"{place} has shards for {' and '.join(sorted(set(splits)))} but none for train. "
            "Give the shards for training, too, or call none by a split to have the splits cut."
        )
    return splits


def read_shards(
    paths: Sequence[Path],
    *,
    options: OpenOptions,
    clock: Callable[[], int] = time.time_ns,
) -> list[Contents]:
    """Read every shard through once, or trust its index where the file is as it was (see `check_files`).

    Raises:
        DataError: a shard has gone, cannot be read, or is not an uncompressed tar file.
    """
    began, progress = clock(), options.progress
    abouts = [_about(path) for path in paths]
    indexes = [index_file(options.cache_folder, about["source"]) for about in abouts]
    known = [_load(index, about) for index, about in zip(indexes, abouts, strict=True)]
    if not _as_known(paths, known, now=began):
        progress.say(f"{paths[0].parent}: {CHANGED_UNSEEN}")
        known = [None] * len(known)
    listed = [
        (path, read_members(path)) for path, content in zip(paths, known, strict=True) if content is None
    ]
    every = [(path, member) for path, (members, _) in listed for member in members]
    contents: list[Contents] = []
    with closing(checked(every, _check, progress)) as results:
        fresh = iter(listed)
        for index, about, content in zip(indexes, abouts, known, strict=True):
            if content is None:
                _, (members, refused) = next(fresh)
                checks = [next(results)[1] for _ in members]
                content = Contents(members, checks, refused)  # noqa: PLW2901 - it is known from now on
                if settled(about["stamp"], began) and all(check.digest for check in checks):
                    _save(index, about, content, progress)
            contents.append(content)
    return contents


def _as_known(paths: Sequence[Path], known: Sequence[Contents | None], *, now: int) -> bool:
    """Whether some of the images that the indexes know have the contents that are written there."""
    members = [
        (path, member, check.digest)
        for path, content in zip(paths, known, strict=True)
        if content is not None
        for member, check in zip(content.members, content.checks, strict=True)
        if member.length <= MAX_FILE  # larger ones were not read
    ]
    return all(
        digest_of(_bytes(path, member)) == digest
        for path, member, digest in (members[place] for place in sampled(len(members), now=now))
    )


def _split_in(name: str) -> str:
    """The split that a shard's name tells: its own before its folders'."""
    for part in reversed(name.removesuffix(".tar").split("/")):
        for word in re.split(r"[^A-Za-z]+", part):
            if split := split_of(word):
                return split
    return ""


def _check(item: tuple[Path, Member]) -> Check:
    path, member = item
    if member.length > MAX_FILE:
        reason = f"its {member.length:,} bytes are more than an image may have ({MAX_FILE:,})"
        return Check(digest_of(b""), 0, 0, gray=True, reason=reason)
    return check_bytes(_bytes(path, member), name=f"{member.name} in {path}")


def _bytes(path: Path, member: Member) -> bytes:
    try:
        return read_part(path, member.offset, member.length)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error


def _too_few(place: str, classes: Sequence[str], refused: Sequence[RejectedFile]) -> str:
    if classes:
        return f"{place} has only one class, {classes[0]!r}, and there is nothing to tell it from."
    shown = f" ({refused[0].path}: {refused[0].reason})" if refused else ""
    return (
        f"{place} has no sample that could be used{shown}. A sample is an image and a label of one base name: "
        "0001.jpg with 0001.cls, 0001.txt or 0001.json."
    )


def _store(
    shards: tuple[Path, ...], names: Sequence[str], where: Mapping[str, tuple[int, int, int]]
) -> ShardStore:
    places = np.array([where[name] for name in names], np.int64).reshape(-1, 3)
    return ShardStore(
        shards, tuple(names), places[:, 0].astype(np.int32), places[:, 1].copy(), places[:, 2].copy()
    )


def _about(path: Path) -> dict[str, str]:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"There is no shard {path}: {error.strerror or error}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is no regular file, and so no shard.")
    return {"source": str(path.resolve()), "stamp": stamp_of(status)}


def _save(index: Path, about: dict[str, str], content: Contents, progress: Progress) -> None:
    """What is refused stands in the index like the images, without a place in the shard."""
    members = [*content.members, *(Member(file.path, "", _NOWHERE, 0) for file in content.refused)]
    checks = [*content.checks, *(Check("", 0, 0, gray=True, reason=file.reason) for file in content.refused)]
    rows = zip(*members, strict=True) if members else ((),) * len(_MEMBER_KINDS)
    columns = {**dict(zip(_MEMBER_KINDS, rows, strict=True)), **to_columns(checks)}
    save_index(index, about=about, columns=columns, progress=progress)


def _load(index: Path, about: dict[str, str]) -> Contents | None:
    columns = load_index(index, about=about, kinds={**_MEMBER_KINDS, **CHECK_KINDS})
    if not columns:
        return None
    values = list(columns.values())
    members = list(map(Member, *values[: len(_MEMBER_KINDS)]))
    checks = list(map(Check, *values[len(_MEMBER_KINDS) :]))
    number = sum(member.offset != _NOWHERE for member in members)
    refused = [
        RejectedFile(member.name, check.reason)
        for member, check in zip(members[number:], checks[number:], strict=True)
    ]
    return Contents(members[:number], checks[:number], refused)
