"""What classes are called: one rule for folders, lists, shards and arrays, so that every file can hold the names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal

from allometry.base import DataError
from allometry.base.text import printable

LONGEST_NAME = 255  # characters, as of a folder
_LINE_ENDS = re.compile(r"[\t\n]")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def class_name(text: str) -> str:
    r"""A class's name as every file and page can hold it and give it back.

    Without spaces around it. Letters with marks are composed, since not all systems write them alike. Control and
    bidirectional characters, line ends, and bytes that are no text become signs that can be seen.

    Example:
        >>> class_name(" cafe\u0301 ") == class_name("caf\u00e9"), class_name("caf\udce9"), class_name("a\nb")
        (True, 'caf\\xe9', 'a\\x0ab')
    """
    composed = unicodedata.normalize("NFC", _as_utf8(text).strip())
    return _LINE_ENDS.sub(lambda match: f"\\x{ord(match[0]):02x}", printable(composed))


def _as_utf8(text: str) -> str:
    """A name of a file as it is in UTF-8, whatever the locale takes names for."""
    try:
        return text.encode(errors="surrogateescape").decode(errors="surrogateescape")
    except UnicodeEncodeError:  # a half character that stands for no byte
        return text


def name_problem(name: str) -> str:
    """Why a class cannot be called so, as the second half of a sentence; empty text where it can.

    Example:
        >>> name_problem("cat"), name_problem(""), name_problem(300 * "x")
        ('', 'is empty', 'has 300 characters, and a name has 255 at most')
    """
    if not name:
        return "is empty"
    if len(name) > LONGEST_NAME:
        return f"has {len(name):,} characters, and a name has {LONGEST_NAME} at most"
    return ""


def class_names(texts: object, place: str) -> tuple[str, ...]:
    """The names of classes that are given in their order.

    Args:
        texts: as they are given.
        place: of the source, for messages.

    Raises:
        DataError: they have no order, a name is empty or too long, or two classes have one name.

    Example:
        >>> class_names(["cat", 7], "arrays")
        ('cat', '7')
    """
    if not isinstance(texts, Iterable) or isinstance(texts, Mapping | Set):
        raise DataError(
            f"{place}: classes must be a list of names in the order of their numbers, not {type(texts).__name__}."
        )
    names = tuple(class_name(str(text)) for text in texts)
    for number, name in enumerate(names):
        if problem := name_problem(name):
            raise DataError(f"{place}: the name of class {number} {problem}.")
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise DataError(f"{place}: two classes have the same name, {twice!r}; give each its own.")
    return names


def sorted_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in the order of their labels: numbers by their value, anything else by the alphabet.

    Example:
        >>> sorted_classes({"10", "9", "0"}), sorted_classes({"10", "9", "cat"})
        (('0', '9', '10'), ('10', '9', 'cat'))
    """
    listed = sorted(names)
    if all(_NUMBER.fullmatch(name) for name in listed):
        return tuple(sorted(listed, key=Decimal))
    return tuple(listed)


def as_numbers(names: Sequence[str]) -> list[int] | None:
    """The names as the whole numbers that they are; None where one is no number.

    Example:
        >>> as_numbers(["0", "07"]), as_numbers(["0", "cat"])
        ([0, 7], None)
    """
    if not all(name.isascii() and name.isdecimal() for name in names):
        return None
    return [int(name) for name in names]
