"""Patterns with braces that stand for many names: `train-{000..012}.tar`, `{train,val}.tar`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from allometry.base import DataError

_GROUP = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
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
    for group in _GROUP.finditer(pattern):
        yield pattern[end : group.start()], _choices(pattern, group[1])
        end = group.end()
    yield pattern[end:], [""]


def _choices(pattern: str, text: str) -> list[str]:
    counted = _RANGE.fullmatch(text)
    if counted:
        first, last = counted.groups()
        digits = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
        if abs(int(last) - int(first)) >= _MOST:
            raise DataError(f"{pattern} stands for more than {_MOST:,} names.")
        step = 1 if int(first) <= int(last) else -1
        return [f"{number:0{digits}}" for number in range(int(first), int(last) + step, step)]
    if "," in text:
        return text.split(",")
    raise DataError(
        f"{{{text}}} in {pattern} cannot be understood. Write {{000..012}} to count, or "
        "{train,val} for one or the other."
    )
