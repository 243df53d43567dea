"""What the images of a group have in common, as a user says it: a folder, a part of the name, a column or looks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from allometry.base import DataError, InputError
from allometry.base.text import shown

Group = str | Sequence[str]
"""What the images of a group have in common; `Grouping` tells what it may be."""

NEAR_DUPLICATES = "near-duplicates"
USUAL_COLUMN = "group"
_FOLDER = "folder"
_LEVEL = re.compile(r"level:(-?[0-9]{1,3})")
_PLACE = "{group}"
_SIGNS = re.compile(r"\*\*|[*?]|\{group\}|[^*?{]+|\{")
_MEANINGS = {"**": ".*", "*": "[^/]*", "?": "[^/]", _PLACE: "([^/]+?)"}
_COLUMN = re.compile(r"\w[\w .-]*")
POSSIBLE = (
    "folder, level:N (the N-th folder of the path, from the end if negative), a pattern of the name such as "
    "'{group}_*.jpg', a regular expression with one bracket, the name of a column, or near-duplicates"
)


@dataclass(frozen=True, slots=True)
class Grouping:
    """What the images of a group have in common.

    Attributes:
        texts: as the user gives them: at most one of these, and near-duplicates.

            - `folder`: the folders that the image lies in, below that of its class.
            - `level:N`: the N-th folder of the image's path in the data set, from 1, or from the end, from -1.
            - a pattern with `{group}`, such as `{group}_*.jpg`: of the end of the path; `*` and `?` stand for signs but
              a slash, `**` for any, and the group is as short as it can be.
            - a regular expression with one bracket, or one called `group`: found anywhere in the path.
            - any other word: the column, array or field of that name.
            - `near-duplicates`: images that are nearly the same.

    Raises:
        InputError: it is none of these, or two ways are given at once.

    Example:
        >>> Grouping(("{group}_*.jpg", "near-duplicates")).of_path("cat/ann_01.jpg")
        'ann'
        >>> Grouping(("level:-1",)).of_path("train/cat/ann/01.jpg"), Grouping(("patient",)).column
        ('ann', 'patient')
    """

    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ways = [text for text in self.texts if text != NEAR_DUPLICATES]
        if len(ways) > 1 or len(set(self.texts)) < len(self.texts):
            raise InputError(
                f"group may be given once, and {NEAR_DUPLICATES} beside it, not {' and '.join(map(shown, self.texts))}."
            )
        for way in ways:
            _check(way)

    @property
    def near_duplicates(self) -> bool:
        """Whether images that are nearly the same stay together."""
        return NEAR_DUPLICATES in self.texts

    @property
    def way(self) -> str:
        """What else the images of a group have in common; empty text for nothing."""
        return next((text for text in self.texts if text != NEAR_DUPLICATES), "")

    @property
    def column(self) -> str | None:
        """The name of the column that tells the group; None where something else does."""
        return self.way if self.way and not self.by_path else None

    @property
    def by_path(self) -> bool:
        """Whether the path tells the group."""
        way = self.way
        return way == _FOLDER or bool(_LEVEL.fullmatch(way)) or _is_expression(way)

    def of_path(self, path: str, *, base: int = 0) -> str:
        """The group of an image by its path; empty text where the path tells none.

        Args:
            path: of the image, with slashes.
            base: how many of its parts, from the first, are no folder of a group.
        """
        *folders, _ = path.split("/")
        if self.way == _FOLDER:
            return "/".join(folders[base:])
        if counted := _LEVEL.fullmatch(self.way):
            level = int(counted[1])
            place = level - 1 if level > 0 else level + len(folders)
            return folders[place] if 0 <= place < len(folders) else ""
        found = _expression(self.way).search(path)
        return (found["group"] if "group" in found.re.groupindex else found[1]) or "" if found else ""

    def refuse_column(self, place: str, reason: str) -> None:
        """Refuse a column where the source has none.

        Args:
            place: of the source, for messages.
            reason: what it has instead.

        Raises:
            DataError: a column is to tell the group.
        """
        if self.column is not None:
            raise DataError(f"{place} has no group {shown(self.column)}: {reason}. Possible: {POSSIBLE}.")


UNGROUPED = Grouping()
"""Nothing but what the source itself tells."""


def as_grouping(group: Group | None) -> Grouping:
    """What the images of a group have in common, from a text or several.

    Raises:
        InputError: it cannot be understood.

    Example:
        >>> as_grouping("folder").texts, as_grouping(None).texts
        (('folder',), ())
        >>> as_grouping("a*b")
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: group 'a*b' cannot be understood. Possible: folder, level:N ...
    """
    texts = () if group is None else (group,) if isinstance(group, str) else group
    known: object = texts  # of a caller without types it may be anything
    if not isinstance(known, list | tuple) or not all(isinstance(text, str) for text in known):
        raise InputError(f"group must be text or several texts, not {shown(group)}. Possible: {POSSIBLE}.")
    return Grouping(tuple(texts))


def _is_expression(way: str) -> bool:
    return _PLACE in way or "(" in way


def _check(way: str) -> None:
    """Refuse what cannot be understood."""
    problem = ""
    if _is_expression(way):
        problem = _problem(way)
    elif counted := _LEVEL.fullmatch(way):
        problem = ": levels are counted from 1, or from -1 at the end" if int(counted[1]) == 0 else ""
    elif way != _FOLDER and not _COLUMN.fullmatch(way):
        problem = "."
    if problem:
        raise InputError(
            f"group {shown(way)} cannot be understood{problem.rstrip('.')}. Possible: {POSSIBLE}."
        )


def _problem(way: str) -> str:
    """What is wrong with a pattern or regular expression; empty text for nothing."""
    if way.count(_PLACE) > 1:
        return f": {_PLACE} may stand in it once"
    try:
        known = _expression(way)
    except re.error as error:
        return f" as a regular expression: {error}"
    if known.groups != 1 and "group" not in known.groupindex:
        return f": it has {known.groups} brackets; call the one that counts (?P<group>...)"
    return ""


@lru_cache(maxsize=16)
def _expression(way: str) -> re.Pattern[str]:
    """The regular expression that a pattern stands for, or that the text is."""
    if _PLACE not in way:
        return re.compile(way)
    parts = (_MEANINGS.get(sign) or re.escape(sign) for sign in _SIGNS.findall(way))
    return re.compile(f"(?:^|/){''.join(parts)}$", re.DOTALL)
