"""The one reader of text, JSON and numbers from outside: bounded before memory is taken, and nothing ambiguous."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

MAX_TEXT = 256 * 2**20  # bytes of a text file; the records of a long search have a few million
_MAX_DEPTH = 64
_MAX_DIGITS = 64
_SCANNED = (
    8 * 2**20
)  # characters; what is longer is nobody's network, and only its reader's own depth protects it
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)


class UnreadableError(ValueError):
    """Text is not what it should be; the message is the reason, without the place, for a sentence that has one.

    Example:
        >>> parse_json("[1, 1e400]")
        Traceback (most recent call last):
            ...
        allometry.base.reading.UnreadableError: it cannot be read, since the number 1e400 is beyond all bounds
    """


def is_file(path: str | Path) -> bool:
    """Whether there is a file of that name; not for what can be no name, since it is too long or holds a zero byte.

    Example:
        >>> is_file("x" * 5000)
        False
    """
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: str | Path) -> bool:
    """Whether there is a folder of that name; not for what can be no name.

    Example:
        >>> is_folder("."), is_folder("x" * 5000)
        (True, False)
    """
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def exists(path: str | Path) -> bool:
    """Whether anything has that name; not for what can be no name.

    Example:
        >>> exists("."), exists("x" * 5000)
        (True, False)
    """
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def read_text(path: Path, *, most: int = MAX_TEXT) -> str:
    """The text of a file, in UTF-8 with or without its mark.

    Raises:
        OSError: there is no such file, it may not be read, is no regular file, or is larger than `most` bytes.
        UnreadableError: it is not UTF-8.
    """
    try:
        return read_bytes(path, most=most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError("it is not text in UTF-8") from error


def read_bytes(path: Path, *, most: int = MAX_TEXT) -> bytes:
    """The content of a file.

    Raises:
        OSError: there is no such file, it may not be read, is no regular file, or is larger than `most` bytes.

    Example:
        >>> read_bytes(Path("/dev/zero"))
        Traceback (most recent call last):
            ...
        OSError: [Errno 22] it is no regular file: '/dev/zero'
    """
    # A pipe that nobody writes to would never open, and a device never end.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        raw = file.read(most + 1)
    if len(raw) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return raw


def parse_json(text: str, *, surrogates: bool = False) -> Any:  # noqa: ANN401 - JSON
    """What JSON text says.

    Refused is also what Python's reader takes and nobody can mean: numbers that are not finite or have more than 64
    digits, two fields of one name, half characters, and lists within lists without end.

    Args:
        text: in JSON.
        surrogates: half characters are allowed, as in names of files that are not text.

    Raises:
        UnreadableError: it is not JSON, or one of those.

    Example:
        >>> parse_json('{"alpha": 1.2}')
        {'alpha': 1.2}
        >>> parse_json('{"alpha": 1.2, "alpha": 1.3}')
        Traceback (most recent call last):
            ...
        allometry.base.reading.UnreadableError: the field 'alpha' is there twice
    """
    if len(text) <= _SCANNED and _depth(text) > _MAX_DEPTH:
        raise UnreadableError(f"it is nested more than {_MAX_DEPTH} levels deep")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=partial(_number, parse_integer),
            parse_float=partial(_number, parse_number),
            parse_constant=partial(_number, parse_number),
        )
        _refuse_unreadable("it", value)
    except UnreadableError:
        raise
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UnreadableError(f"it is not JSON: {error.msg.lower()} at {place}") from error
    except (RecursionError, ValueError) as error:
        raise UnreadableError("it is nested too deeply") from error
    if not surrogates and _HALF.search(text):
        _refuse_half_characters(value)
    return value


def parse_integer(text: str) -> int:
    """An integer of at most 64 digits.

    Raises:
        UnreadableError: it has more, or is none.

    Example:
        >>> parse_integer("20")
        20
    """
    if len(text) > _MAX_DIGITS:
        raise UnreadableError(f"an integer of {len(text)} digits is beyond all bounds")
    if not _INTEGER.fullmatch(text.strip()):
        raise UnreadableError(f"{text!r} is no integer")
    return int(text)


def parse_number(text: str) -> float:
    """A finite number.

    Raises:
        UnreadableError: it is not finite, or none.

    Example:
        >>> parse_number("1.5"), parse_number("nan")
        Traceback (most recent call last):
            ...
        allometry.base.reading.UnreadableError: 'nan' is no number
    """
    shown = text if len(text) <= _MAX_DIGITS else f"{text[:_MAX_DIGITS]}..."
    if not _NUMBER.fullmatch(text.strip()):
        raise UnreadableError(f"{shown!r} is no number")
    value = float(text)
    if not math.isfinite(value):
        raise UnreadableError(f"the number {shown} is beyond all bounds")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise UnreadableError(f"the field {twice!r} is there twice")
    for name, value in pairs:
        _refuse_unreadable(f"the field {name!r}", value)
    return fields


def _number(parse: Callable[[str], float], text: str) -> object:
    """A number, or why it is none, for the object that it is in to say where."""
    try:
        return parse(text)
    except UnreadableError as error:
        return error


def _refuse_unreadable(place: str, value: object) -> None:
    for part in value if isinstance(value, list) else (value,):
        if isinstance(part, UnreadableError):
            raise UnreadableError(f"{place} cannot be read, since {part}")
        if isinstance(part, list):
            _refuse_unreadable(place, part)


def _depth(text: str) -> int:
    """How deeply lists and objects are nested."""
    depth = deepest = 0
    for sign in re.findall(r"[\[{\]}]", _STRING.sub("", text)):
        depth += 1 if sign in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse_half_characters(value: object) -> None:
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += [*part, *part.values()]
        elif isinstance(part, list):
            parts += part
        elif isinstance(part, str) and not _is_text(part):
            raise UnreadableError(f"{part!r} holds half a character")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
