"""Checks that the fields of a network share; each raises `NetworkError` with a whole sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_args

from allometry.base import NetworkError

if TYPE_CHECKING:
    from pydantic import ConfigDict, GetCoreSchemaHandler
    from pydantic_core import CoreSchema

# Pydantic reads this name from each data class: a field that does not exist is refused, and no text is a number.
STRICT: ConfigDict = {"extra": "forbid", "strict": True}

# A field that came later is written only where it differs from its default: texts and digests of networks that do
# not use it stay as they were.
LATER = {"later": True}


# No network that anybody can build has more channels or a larger side; counts of what is below stay quick.
LARGEST = 2**31 - 1


class ByKind:
    """Beside a union of data classes: a file names the one by its field `kind`."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read the class that is named."""
        return kind_schema({kind_of(part): part for part in get_args(source)}, handler)


def kind_of(part: type) -> str:
    """What the field `kind` says in every object of a data class."""
    return str(next(field.default for field in fields(part) if field.name == "kind"))


def kind_schema(parts: Mapping[str, type], handler: GetCoreSchemaHandler) -> CoreSchema:
    """How one of several data classes is read, which a file names by its field `kind`."""
    from pydantic_core import core_schema

    choices = {kind: handler.generate_schema(part) for kind, part in parts.items()}
    return core_schema.tagged_union_schema(choices, discriminator="kind")


def check_integer(owner: object, field: str, *, minimum: int = 1, maximum: int = LARGEST) -> None:
    """Refuse anything but an integer in [minimum, maximum]."""
    value: Any = getattr(owner, field)
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise NetworkError(f"{_name(owner, field)} must be an integer of at least {minimum}, not {value!r}.")
    if value > maximum:
        raise NetworkError(f"{_name(owner, field)} must be at most {maximum:,}, not {value!r}.")


def check_number(owner: object, field: str, *, minimum: float, below: float | None = None) -> None:
    """Refuse anything but a number in [least, below), and store it as a float, so that 6 equals 6.0."""
    value: Any = getattr(owner, field)
    number = isinstance(value, int | float) and not isinstance(value, bool) and value <= LARGEST
    if not number or not minimum <= value < (below if below is not None else float("inf")):
        upper = f" and below {below:g}" if below is not None else ""
        if below is None and isinstance(value, int | float) and value > LARGEST:
            upper = f" and at most {LARGEST:,}"
        raise NetworkError(
            f"{_name(owner, field)} must be a number of at least {minimum:g}{upper}, not {value!r}."
        )
    object.__setattr__(owner, field, float(value))


def check_one_of(owner: object, field: str, possible: Iterable[object]) -> None:
    """Refuse anything that is not among `possible`."""
    value, possible = getattr(owner, field), tuple(possible)
    if value not in possible:
        listed = ", ".join(repr(option) for option in possible)
        raise NetworkError(f"{_name(owner, field)} must be one of {listed}, not {value!r}.")


def check_flag(owner: object, field: str) -> None:
    """Refuse anything but true or false."""
    if not isinstance(getattr(owner, field), bool):
        raise NetworkError(f"{_name(owner, field)} must be true or false, not {getattr(owner, field)!r}.")


def check_odd(owner: object, field: str) -> None:
    """Refuse anything but an odd positive integer: only then is symmetric padding exact."""
    check_integer(owner, field)
    if getattr(owner, field) % 2 == 0:
        raise NetworkError(f"{_name(owner, field)} must be odd, not {getattr(owner, field)}.")


def _name(owner: object, field: str) -> str:
    return f"{type(owner).__name__}.{field}"
