"""From JSON to dataclasses: the one decoder. Types, bounds and names are what the dataclass declares, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar, cast

from allometry.base.errors import nearest_names
from allometry.base.reading import UnreadableError, parse_integer
from allometry.base.text import printable, shown

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, ValidationError
    from pydantic_core import CoreSchema, ErrorDetails, SchemaValidator

Value = TypeVar("Value")

_EXACT = 2**53  # larger integers are written as text, since other readers of JSON lose their digits
_EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "an object",
    "mapping_type": "an object",
    "dataclass_type": "an object",
    "dataclass_exact_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be, as `Annotated[float, Bounds(least=0)]` declares it; whatever is not finite never is.

    Attributes:
        least: the smallest value; None for none.
        most: the largest value; None for none.
        above: what it must exceed; None for nothing.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A number's own schema with these bounds."""
        bounds = {"ge": self.least, "le": self.most, "gt": self.above}
        given = {name: value for name, value in bounds.items() if value is not None}
        return cast("CoreSchema", {**handler(source), **given})


Count = Annotated[int, Bounds(least=0)]
"""How many there are of something."""

Amount = Annotated[float, Bounds(least=0)]
"""So much of something, or nothing: seconds, say."""

Positive = Annotated[float, Bounds(above=0)]
"""So much of something that there must be."""


def decode(kind: type[Value], plain: object, *, closed: bool = True, place: str = "") -> Value:
    """A value of a dataclass from what JSON says of it.

    Numbers are numbers: no text, no true or false stands for one, and none is infinite; integers beyond 2^53 may be
    text, as they are written. Tuples are lists. What a dataclass refuses itself keeps its words.

    Args:
        kind: a dataclass, or a type made of some.
        plain: as `parse_json` gives it.
        closed: fields that are not declared are refused; else they are ignored.
        place: where in a file the value stands, for the message.

    Raises:
        UnreadableError: a field is missing, not known, or cannot have its value; the message names it.

    Example:
        >>> @dataclass(frozen=True)
        ... class Piece:
        ...     images: Count
        ...     seconds: Amount = 0.0
        >>> decode(Piece, {"images": 3})
        Piece(images=3, seconds=0.0)
        >>> decode(Piece, {"images": "3"})
        Traceback (most recent call last):
            ...
        allometry.base.reading.UnreadableError: field 'images' must be an integer, not '3'
        >>> decode(Piece, {"images": 3, "second": 2})
        Traceback (most recent call last):
            ...
        allometry.base.reading.UnreadableError: field 'second' is not known (did you mean 'seconds'?)
    """
    from pydantic import ValidationError

    try:
        read = _reader(cast("Hashable", kind), closed).validate_python(plain)
    except ValidationError as error:
        raise UnreadableError(_reason(error, plain, place)) from error
    return cast("Value", read)


@cache
def _reader(kind: Any, closed: bool) -> SchemaValidator:  # noqa: ANN401 - any type; by its place for the cache
    # Pydantic takes a tenth of a second to load, which `allometry --help` need not pay.
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

    return SchemaValidator(_exact(TypeAdapter(kind).core_schema, closed=closed))


def _exact(schema: Any, *, closed: bool) -> Any:  # noqa: ANN401 - Pydantic's description of a type
    """Pydantic's description of a type, made strict in everything but lists, which stand for tuples."""
    if isinstance(schema, list):
        return [_exact(part, closed=closed) for part in schema]
    if not isinstance(schema, dict):
        return schema
    exact = {
        name: part if name in ("metadata", "function", "default") else _exact(part, closed=closed)
        for name, part in schema.items()
    }
    kind = exact.get("type")
    if kind in ("str", "bool"):
        exact["strict"] = True
    elif kind == "float":
        exact |= {"strict": True, "allow_inf_nan": False}
    elif kind == "int":
        return _before(_whole, {**exact, "strict": True})
    elif kind in ("tuple", "dataclass"):
        exact["strict"] = False
    if kind == "dataclass" and closed:
        return _before(partial(_known, frozenset(exact["fields"])), exact)
    if kind == "tagged-union":
        return _before(partial(_tagged, exact["discriminator"], tuple(exact["choices"])), exact)
    return exact


def _before(check: Callable[[Any], Any], inner: dict[str, Any]) -> CoreSchema:
    """A type whose values a function sees first."""
    from pydantic_core import core_schema

    # Where a type occurs twice, Pydantic goes back to it by this name: it must be that of the whole.
    name = inner.pop("ref", None)
    return core_schema.no_info_before_validator_function(check, cast("CoreSchema", inner), ref=name)


def _whole(value: object) -> object:
    """An integer that was written as text, since it is large."""
    if not isinstance(value, str):
        return value
    try:
        large = parse_integer(value)
    except UnreadableError:
        return value
    return large if abs(large) > _EXACT else value


def _known(names: frozenset[str], value: object) -> object:
    """Refuse fields that are not declared."""
    unknown = [name for name in value if name not in names] if isinstance(value, Mapping) else []
    if unknown:
        near = nearest_names(unknown[0], sorted(names))
        hint = f"did you mean {near}?" if near else f"possible: {', '.join(sorted(names))}"
        _refuse(unknown[0], f"is not known ({hint})")
    return value


def _tagged(tag: str, kinds: tuple[str, ...], value: object) -> object:
    """Refuse an object of none of the possible kinds."""
    if isinstance(value, Mapping) and value.get(tag) not in kinds:
        possible = ", ".join(map(repr, kinds))
        said = f"must be one of {possible}, not {shown(value[tag])}" if tag in value else "is missing"
        _refuse(tag, said)
    return value


def _refuse(field: str, why: str) -> NoReturn:
    """Say what is wrong with a field of the object that is looked at."""
    from pydantic_core import PydanticCustomError

    # Pydantic cannot show what is no text.
    raise PydanticCustomError("field", "{why}", {"field": printable(field), "why": printable(why)})


def _reason(error: ValidationError, plain: object, start: str) -> str:
    """Why it cannot be read, by the first field that is wrong."""
    try:
        problems = error.errors(include_url=False)
    except UnicodeEncodeError:  # Pydantic cannot show what is no text
        return "it holds half characters where no text may have any"
    first = problems[0]
    place = [start] * bool(start) + _place(first, plain)
    what = f"field {'.'.join(place)!r}" if place else "it"
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    told = first.get("ctx", {})
    if first["type"] == "value_error":  # what the dataclass itself says
        return f"{f'{what}: ' if place else ''}{str(told['error']).rstrip('.')}{more}"
    if first["type"] == "missing":
        return f"{what} is missing{more}"
    if first["type"] == "field":
        return f"{what} {first['msg']}"
    return f"{what} must be {_expected(first)}, not {shown(first['input'])}{more}"


def _place(problem: ErrorDetails, plain: object) -> list[str]:
    """Where a wrong field stands, without the names of kinds, which are no fields."""
    place: list[str] = []
    held: Any = plain
    for part in problem["loc"]:
        if isinstance(held, Mapping) and held.get("kind") == part:
            continue
        place.append(str(part))
        within = isinstance(held, Mapping) or (isinstance(held, list) and isinstance(part, int))
        try:
            held = held[part] if within else None
        except (IndexError, KeyError):
            held = None
    if problem["type"] == "field":
        place.append(str(problem["ctx"]["field"]))
    return place


def _expected(problem: ErrorDetails) -> str:
    """What a field must be, in words."""
    told = problem.get("ctx", {})
    words = {
        "greater_than_equal": "at least {ge:,g}",
        "greater_than": "more than {gt:,g}",
        "less_than_equal": "at most {le:,g}",
        "literal_error": "one of {expected}",
        "too_long": "a list of {max_length}",
    }
    if problem["type"] in words:
        return words[problem["type"]].format(**told)
    message = problem["msg"]
    return _EXPECTED.get(problem["type"], message[:1].lower() + message[1:])
