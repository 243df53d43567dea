"""Text from outside as people may see it: names of files and classes, values from files, messages of libraries."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TextIO

# Control characters but for line ends and tabs; marks that turn the direction of text around; halves of characters.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_LONGEST = 60  # characters of a value in a sentence


def printable(text: str) -> str:
    r"""The text with a visible sign for whatever a terminal or a page would not show but obey.

    Bytes of a file's name that are not text show as such.

    Example:
        >>> printable("caf\udce9 \x1b[31mred")
        'caf\\xe9 \\x1b[31mred'
    """
    return _HIDDEN.sub(_visible, text)


def shown(value: object) -> str:
    """A value in a sentence: as Python writes it, and no longer than a line.

    Example:
        >>> shown("flip"), len(shown(list(range(1000))))
        ("'flip'", 63)
    """
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def first_few(names: Sequence[str], number: int = 3) -> str:
    """The first of some names, and how many more there are.

    Example:
        >>> first_few(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
        >>> first_few(["a", "b"])
        'a, b'
    """
    more = len(names) - number
    return ", ".join(names[:number]) + (f" and {more:,} more" if more > 0 else "")


def write_line(text: str, *, stream: TextIO | None = None) -> None:
    """Write a line at once; characters that the stream's encoding does not have show as escapes.

    Args:
        text: as `printable` shows it.
        stream: where to; None for the error stream.

    Example:
        >>> write_line("photo[final].png", stream=sys.stdout)
        photo[final].png
    """
    stream = sys.stderr if stream is None else stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    shown = printable(text).encode(encoding, "backslashreplace").decode(encoding)
    print(shown, file=stream, flush=True)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name, as Python keeps it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
