"""Between values and JSON: what is written into a run folder, and how it is read again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, get_type_hints

from allometry.arch import ModuleMember, Network, from_json
from allometry.arch import to_json as network_to_json
from allometry.arch.any_space import AnyMember
from allometry.arch.module_space import MEMBER_FORMAT
from allometry.base import RunFolderError
from allometry.base.decoding import Bounds, decode
from allometry.base.reading import UnreadableError, parse_integer
from allometry.cost import MEASURES, Cost, Limit
from allometry.cost.measures import recorded_measure

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

_ROUNDING = 1e-6

Share = Annotated[float, Bounds(least=-_ROUNDING, most=1 + _ROUNDING)]
"""The type of a record's field that is a fraction from 0 to 1, but for what rounding makes of its ends."""

Rank = Annotated[float, Bounds(least=-1 - _ROUNDING, most=1 + _ROUNDING)]
"""The type of a record's field that is a correlation, from -1 to 1."""

Size = Annotated[int, Bounds(least=1)]
"""The type of a record's field that counts something of which there is at least one."""


@dataclass(frozen=True, slots=True)
class _ReadBy:
    """Tells Pydantic which function reads a field, from JSON or from the value itself, or says what is wrong."""

    function: Callable[[object], object]

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self.function)


def _finite(value: object) -> float:
    number = _worth(value)
    if math.isinf(number):
        raise ValueError("it must be a finite number")
    return number


def _worth(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ValueError("it must be a number")
    return value


Number = Annotated[float, _ReadBy(_finite)]
"""The type of a record's field that holds a figure as it was made: an integer stays one."""

Worth = Annotated[float, _ReadBy(_worth)]
"""The type of a record's field that is what something is worth: minus infinity where it came to nothing."""

_EXACT = 2**53  # larger integers lose digits in other readers of JSON, so they are written as text


@dataclass(frozen=True, slots=True)
class Record:
    """A value that has a JSON form. A subclass declares its fields and their bounds; both directions follow from them.

    Example:
        >>> from allometry.runs import Mistake
        >>> mistake = Mistake(image="3.png", truth="cat", predicted="dog", confidence=0.75, thumbnail="")
        >>> mistake.to_dict()["predicted"]
        'dog'
        >>> Mistake.from_dict(mistake.to_dict()) == mistake
        True
    """

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values. The measures of a `Cost` stand beside the other fields."""
        return _fields_to_json(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave; what is not declared is ignored.

        Raises:
            RunFolderError: a field is missing or is of another kind; the message names it.
        """
        try:
            return decode(cls, values, closed=False)
        except UnreadableError as error:
            raise RunFolderError(f"This is no {cls.__name__}: {error}.") from error

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        """For Pydantic, which reads records: put together first what is spread out in JSON."""
        from pydantic_core import core_schema

        inner = {**handler.resolve_ref_schema(handler(source))}
        # Where a record occurs twice in another one, Pydantic goes back to this name: it must be that of the whole.
        name = inner.pop("ref")
        return core_schema.no_info_before_validator_function(cls._gathered, inner, ref=name)

    @classmethod
    def _gathered(cls, values: Any) -> Any:  # noqa: ANN401 - JSON, or the value itself
        if not isinstance(values, Mapping):
            return values
        whole = dict(values)
        declared = {field.name for field in fields(cls)}
        for flat, kind in _flat_fields(cls).items():
            own = {name: values[name] for name in _names_in(kind) if name in values and name not in declared}
            if own:
                whole[flat] = own
        return whole


def _network(value: object) -> Network:
    return value if isinstance(value, Network) else from_json(json.dumps(value))


NetworkField = Annotated[Network, _ReadBy(_network)]
"""The type of a record's field that holds a network."""


def _member(value: object) -> AnyMember:
    if isinstance(value, ModuleMember):
        return value
    if isinstance(value, Mapping) and value.get("format") == MEMBER_FORMAT:
        return ModuleMember.from_dict(value)
    return _network(value)


MemberField = Annotated[AnyMember, _ReadBy(_member)]
"""The type of a record's field that holds a network, or a member of a module's space."""


FLAT = "flat"
"""Marks a field of a record, as `Annotated[Kind, FLAT]`: its fields, or a cost's measures, stand beside it in JSON."""


def _cost(value: object) -> Cost:
    if isinstance(value, Cost):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("a cost is an object, a number for each measure")  # noqa: TRY004 - what Pydantic expects
    numbers = {name: _number(own) for name, own in value.items()}
    try:
        return Cost.from_dict({name: number for name, number in numbers.items() if number is not None})
    except KeyError as error:
        raise ValueError(f"the cost has no number {error.args[0]}") from error


def _number(value: object) -> float | None:
    """A number as JSON has it: large integers as text; None for whatever is none."""
    if isinstance(value, str):
        try:
            return parse_integer(value)
        except UnreadableError:
            return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


class _AsLimit:
    """Tells Pydantic how a limit is read, whose measure stands in JSON by its name."""

    @staticmethod
    def __get_pydantic_core_schema__(_source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        fields_ = {
            "measure": core_schema.typed_dict_field(core_schema.str_schema()),
            "most": core_schema.typed_dict_field(core_schema.float_schema()),
        }
        read = core_schema.no_info_after_validator_function(_limit, core_schema.typed_dict_schema(fields_))
        return core_schema.union_schema([core_schema.is_instance_schema(Limit), read])


def _limit(values: Mapping[str, Any]) -> Limit:
    return Limit(recorded_measure(values["measure"]), values["most"])


CostValue = Annotated[Cost, _ReadBy(_cost)]
"""The type of a record's field that holds a cost, as an object of its own in JSON."""

CostField = Annotated[Cost, FLAT, _ReadBy(_cost)]
"""The type of a record's field that holds a cost, whose measures stand beside the other fields in JSON."""

LimitField = Annotated[Limit, _AsLimit]
"""The type of a record's field that holds a limit of a budget."""


_FLAT_FIELDS: dict[type[Any], Mapping[str, type[Any]]] = {}


def _flat_fields(kind: type[Any]) -> Mapping[str, type[Any]]:
    """The fields of a record that are flat in JSON, and what they hold."""
    if kind not in _FLAT_FIELDS:
        hints = get_type_hints(kind, include_extras=True)
        _FLAT_FIELDS[kind] = {
            name: hint.__origin__ for name, hint in hints.items() if FLAT in getattr(hint, "__metadata__", ())
        }
    return _FLAT_FIELDS[kind]


def _names_in(kind: type[Any]) -> tuple[str, ...]:
    """The names that a flat field has in JSON; those of a cost are the measures that are registered."""
    return MEASURES.names() if kind is Cost else tuple(field.name for field in fields(kind))


def to_json(value: object) -> Any:  # noqa: ANN401 - JSON
    """A value as JSON has it: dataclasses as objects, tuples as lists, integers beyond 2^53 as text.

    Example:
        >>> to_json({"sizes": (1, 2**60), "folder": Path("runs")})
        {'sizes': [1, '1152921504606846976'], 'folder': 'runs'}
    """
    if value is None or isinstance(value, str | float | bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else str(value)
    if isinstance(value, Network):
        return json.loads(network_to_json(value))
    own = getattr(value, "to_dict", None) or getattr(value, "_asdict", None)
    if own is not None:
        return to_json(own())
    if is_dataclass(value) and not isinstance(value, type):
        return _fields_to_json(value)
    if isinstance(value, Mapping):
        return {str(name): to_json(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form.")


def _fields_to_json(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    plain: dict[str, Any] = {}
    flat = _flat_fields(type(value))
    names = {field.name for field in fields(value)}
    for field in fields(value):
        own = to_json(getattr(value, field.name))
        if field.name in flat:  # a measure that is called like a field has no place of its own
            plain |= {name: number for name, number in own.items() if name not in names}
        else:
            plain[field.name] = own
    return plain
