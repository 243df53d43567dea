"""From the files of a run folder to values, with patience: what is missing or torn is absent."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

Part = TypeVar("Part")


def read_part(kind: type[Part], path: Path) -> Part | None:
    """A file's JSON object as `kind`, without the fields that cannot be read; None if one of those is needed."""
    fields = read_object(path)
    return None if fields is None else reader_of(kind)(fields)


def read_parts(kind: type[Part], path: Path) -> Iterator[Part]:
    """The same for each line of a file; lines that are no such thing are left out."""
    read = reader_of(kind)
    for line in _text(path).splitlines():
        fields = _parsed(line)
        part = None if fields is None else read(fields)
        if part is not None:
            yield part


def read_object(path: Path) -> dict[str, Any] | None:
    """A file's JSON object as it is."""
    return _parsed(_text(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        value: Any = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def reader_of(kind: type[Part]) -> Callable[[dict[str, Any]], Part | None]:
    """What reads fields as `kind`, without those that cannot be read; `None` if one of them is needed."""
    # Pydantic takes a tenth of a second to load, which `allometry --help` need not pay.
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(kind)

    def read(fields: dict[str, Any]) -> Part | None:
        known = {name: value for name, value in fields.items() if not _not_a_number(value)}
        try:
            return adapter.validate_python(known)
        except ValidationError as error:
            unreadable = {each["loc"][0] for each in error.errors(include_url=False) if each["loc"]}
        try:
            return adapter.validate_python({name: known[name] for name in known.keys() - unreadable})
        except ValidationError:
            return None

    return read


def _not_a_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
