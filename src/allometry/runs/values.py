"""Between values and JSON: what is written into a run folder, and how it is read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, cast, get_type_hints

from allometry.arch import Network, from_json
from allometry.arch import to_json as network_to_json
from allometry.base import RunFolderError
from allometry.cost import Cost

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, TypeAdapter
    from pydantic_core import CoreSchema

_EXACT = 2**53  # larger integers lose digits in other readers of JSON, so they are written as text


@dataclass(frozen=True, slots=True)
class Record:
    """A value that has a JSON form. A subclass declares its fields; both directions follow from them.

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
        from pydantic import ValidationError

        try:
            read = _reader(cls).validate_python(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise RunFolderError(f"This is no {cls.__name__}: {place}: {first['msg']}.") from error
        return cast("Self", read)

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
        for flat, names in _flat_fields(cls).items():
            own = {name: values[name] for name in names if name in values}
            if own:
                whole[flat] = own
        return whole


class _AsNetwork:
    """Tells Pydantic how a network is read, which has a JSON form of its own."""

    @staticmethod
    def __get_pydantic_core_schema__(_source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(_network)


def _network(value: object) -> Network:
    return value if isinstance(value, Network) else from_json(json.dumps(value))


NetworkField = Annotated[Network, _AsNetwork]
"""The type of a record's field that holds a network."""


FLAT = "flat"
"""Marks a field of a record, as `Annotated[Kind, FLAT]`: its own fields stand beside it in JSON."""

CostField = Annotated[Cost, FLAT]
"""The type of a record's field that holds a cost, whose measures stand beside the other fields in JSON."""


_FLAT_FIELDS: dict[type[Any], Mapping[str, tuple[str, ...]]] = {}
_READERS: dict[type[Any], TypeAdapter[Any]] = {}


def _flat_fields(kind: type[Any]) -> Mapping[str, tuple[str, ...]]:
    """The fields of a record that are flat in JSON, and the names of what they hold."""
    if kind not in _FLAT_FIELDS:
        hints = get_type_hints(kind, include_extras=True)
        marked = {
            name: hint.__origin__ for name, hint in hints.items() if FLAT in getattr(hint, "__metadata__", ())
        }
        _FLAT_FIELDS[kind] = {
            name: getattr(own, "_fields", None) or tuple(each.name for each in fields(own))
            for name, own in marked.items()
        }
    return _FLAT_FIELDS[kind]


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
        return {str(name): to_json(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form.")


def _fields_to_json(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    plain: dict[str, Any] = {}
    flat = _flat_fields(type(value))
    for each in fields(value):
        own = to_json(getattr(value, each.name))
        if each.name in flat:
            plain |= own
        else:
            plain[each.name] = own
    return plain


def _reader(kind: type[Any]) -> TypeAdapter[Any]:
    # Pydantic takes a tenth of a second to load, which `allometry --help` need not pay.
    from pydantic import TypeAdapter

    if kind not in _READERS:
        _READERS[kind] = TypeAdapter(kind)
    return _READERS[kind]
