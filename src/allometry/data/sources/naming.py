"""What a source of images is called: in full, to be found again, and in short, for run folders and reports."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from allometry.data.sources.found import SPLIT_OF_NAME

ICONS = "icons"
SHARD = ".tar"
_GROUP = re.compile(r"\{[^{}]*\}")
_BETWEEN = re.compile(r"[-_.\s]+")


def is_address(where: str) -> bool:
    """Whether this is an address of the web rather than a path."""
    return "://" in where


def is_pattern(where: str) -> bool:
    """Whether this has braces and so may stand for several names."""
    return _GROUP.search(where) is not None


def full_name(where: str) -> str:
    """A source as it is found again from any folder: paths and patterns from the root, addresses as they are.

    Example:
        >>> full_name("icons"), full_name("/data/a/../pets.csv"), full_name("https://host/{0..9}.tar")
        ('icons', '/data/pets.csv', 'https://host/{0..9}.tar')
    """
    return where if where == ICONS or is_address(where) else str(Path(where).resolve())


def short_name(where: str) -> str:
    """A source in a word: a folder's name, a file's without its ending, what shards have in common.

    Example:
        >>> short_name("/data/pets"), short_name("/data/pets.csv"), short_name("/data/pets-train-{000..012}.tar")
        ('pets', 'pets', 'pets')
        >>> short_name("https://host/pets/{train,val}-{000..012}.tar?key=1")
        'pets'
    """
    if where == ICONS:
        return where
    address = is_address(where)
    path = urlsplit(where).path if address else str(Path(where).resolve())
    if path.endswith(SHARD) and (address or not Path(path).is_dir()):
        common = (_common(part) for part in reversed(path.removesuffix(SHARD).split("/")))
        return next((name for name in common if name), "shards")
    resolved = Path(path)
    return (resolved.name if resolved.is_dir() or not resolved.suffix else resolved.stem) or "images"


def _common(part: str) -> str:
    """A part of a shards' path without what tells the shards apart: braces, and the words for splits."""
    words = _BETWEEN.split(_GROUP.sub("", part))
    return "-".join(word for word in words if word and word.lower() not in SPLIT_OF_NAME)
