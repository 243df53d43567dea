"""Whatever a parser of others raises becomes a sentence that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from allometry.base import AllometryError, DataError
from allometry.base.text import printable

_LONGEST_REASON = 200  # characters


@contextmanager
def parsing(path: Path, kind: str) -> Iterator[None]:
    """Turn what a parser raises for a file that is damaged, or was made to harm, into a sentence.

    Too little memory stays what it is: it says nothing of the file.

    Args:
        path: of the file.
        kind: what it should be, `Parquet`, say.

    Raises:
        DataError: the file cannot be read, or is no such file.

    Example:
        >>> with parsing(Path("data.npz"), "NumPy arrays"):
        ...     raise KeyError("descr")
        Traceback (most recent call last):
            ...
        allometry.base.errors.DataError: Cannot read data.npz as NumPy arrays: 'descr'.
    """
    try:
        yield
    except (AllometryError, MemoryError):
        raise
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or first_line(error)}.") from error
    except Exception as error:  # parsers raise many kinds for a damaged file
        raise DataError(f"Cannot read {path} as {kind}: {first_line(error)}.") from error


def first_line(error: Exception) -> str:
    """What an error says, in one line of bounded length.

    Example:
        >>> first_line(ValueError("no header." + chr(10) + "and more")), first_line(EOFError())
        ('no header', 'EOFError')
    """
    line = printable(str(error).strip().partition("\n")[0])[:_LONGEST_REASON].rstrip(" .")
    return line or type(error).__name__
