"""What a source of images is called: in full, to be found again, and in short; and patterns with braces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from allometry.base import DataError, InputError
from allometry.base.reading import UnreadableError, is_folder, parse_integer
from allometry.base.text import shown
from allometry.data.sources.records import split_of

ICONS = "icons"
SHARD = ".tar"
_GROUP = re.compile(r"\{[^{}]*\}")
_GROUP_MARK, _NEXT_GROUP = "#group=", "&group="
_BETWEEN = re.compile(r"[-_.\s]+")


def is_address(where: str) -> bool:
    """Whether this is an address of the web rather than a path."""
    return "://" in where


def is_pattern(where: str) -> bool:
    """Whether this has braces and so may stand for several names."""
    return _GROUP.search(where) is not None


def with_group(where: str, texts: Sequence[str]) -> str:
    """A source and what its groups have in common as one name, under which it is opened again in the same way.

    Raises:
        InputError: the name tells other groups already.

    Example:
        >>> with_group("/data/pets", ["folder", "near-duplicates"])
        '/data/pets#group=folder&group=near-duplicates'
    """
    place, known = without_group(where)
    if known and texts and tuple(texts) != known:
        raise InputError(
            f"{shown(where)} names its groups already; leave them out of the name or out of group."
        )
    known = tuple(texts) or known
    return f"{place}{_GROUP_MARK}{_NEXT_GROUP.join(known)}" if known else place


def without_group(where: str) -> tuple[str, tuple[str, ...]]:
    """The source in a name, and what its groups have in common.

    Example:
        >>> without_group("/data/pets#group=level:1"), without_group("icons")
        (('/data/pets', ('level:1',)), ('icons', ()))
    """
    place, mark, texts = where.partition(_GROUP_MARK)
    return place, tuple(texts.split(_NEXT_GROUP)) if mark else ()


def full_name(where: str) -> str:
    """A source as it is found again from any folder: paths and patterns from the root, addresses as they are.

    Example:
        >>> full_name("icons"), full_name("/data/a/../pets.csv"), full_name("https://host/{0..9}.tar")
        ('icons', '/data/pets.csv', 'https://host/{0..9}.tar')
        >>> full_name("/data/a/../pets#group=folder")
        '/data/pets#group=folder'
    """
    place, texts = without_group(where)
    return with_group(place if place == ICONS or is_address(place) else str(_resolved(place)), texts)


def short_name(where: str) -> str:
    """A source in a word: a folder's name, a file's without its ending, what shards have in common.

    Example:
        >>> short_name("/data/pets"), short_name("/data/pets.csv"), short_name("/data/pets-train-{000..012}.tar")
        ('pets', 'pets', 'pets')
        >>> short_name("https://host/pets/{train,val}-{000..012}.tar?key=1")
        'pets'
    """
    where, _ = without_group(where)
    if where == ICONS:
        return where
    address = is_address(where)
    path = path_of(where) if address else str(_resolved(where))
    if path.endswith(SHARD) and (address or not is_folder(path)):
        common = (_common(part) for part in reversed(path.removesuffix(SHARD).split("/")))
        return next((name for name in common if name), "shards")
    resolved = Path(path)
    return (resolved.name if is_folder(resolved) or not resolved.suffix else resolved.stem) or "images"


def path_of(address: str) -> str:
    """The path in an address.

    Raises:
        DataError: it is no address.
    """
    try:
        return urlsplit(address).path
    except ValueError as error:
        raise DataError(f"{shown(address)} is no address: {error}.") from error


def _resolved(where: str) -> Path:
    """A path from the root, if there can be such a path at all.

    Raises:
        DataError: it is too long, goes in circles, holds what no path can, or leads where nobody may look.
    """
    try:
        path = Path(where).resolve()
        if not is_pattern(where):
            path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"The path {shown(where)} cannot be followed: {reason}.") from error
    return path


def _common(part: str) -> str:
    """A part of a shards' path without what tells the shards apart: braces, and the words for splits."""
    words = _BETWEEN.split(_GROUP.sub("", part))
    return "-".join(word for word in words if word and not split_of(word))


_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")
_MOST = 1_000_000


def expand(pattern: str) -> tuple[str, ...]:
    """All names that a pattern stands for, in its order.

    `{000..012}` counts, with as many digits as are written; `{train,val}` is one or the other. There may be several
    groups, not one in another.

    Raises:
        DataError: a group is neither, or it is more than a million names.

    Example:
        >>> expand("{a,b}-{08..10}.tar")
        ('a-08.tar', 'a-09.tar', 'a-10.tar', 'b-08.tar', 'b-09.tar', 'b-10.tar')
    """
    names = [""]
    for literal, choices in _parts(pattern):
        if len(names) * len(choices) > _MOST:
            raise DataError(f"{pattern} stands for more than {_MOST:,} names.")
        names = [name + literal + choice for name in names for choice in choices]
    return tuple(names)


def _parts(pattern: str) -> Iterator[tuple[str, list[str]]]:
    """The literal texts, each with the choices that follow it."""
    end = 0
    for group in _BRACES.finditer(pattern):
        yield pattern[end : group.start()], _choices(pattern, group[1])
        end = group.end()
    yield pattern[end:], [""]


def _choices(pattern: str, text: str) -> list[str]:
    counted = _RANGE.fullmatch(text)
    if counted:
        first, last = counted.groups()
        digits = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
        try:
            start, end = parse_integer(first), parse_integer(last)
        except UnreadableError as error:
            raise DataError(f"{shown(pattern)} cannot be understood: {error}.") from error
        if abs(end - start) >= _MOST:
            raise DataError(f"{pattern} stands for more than {_MOST:,} names.")
        step = 1 if start <= end else -1
        return [f"{number:0{digits}}" for number in range(start, end + step, step)]
    if "," in text:
        return text.split(",")
    raise DataError(
        f"{{{text}}} in {pattern} cannot be understood. Write {{000..012}} to count, or "
        "{train,val} for one or the other."
    )
