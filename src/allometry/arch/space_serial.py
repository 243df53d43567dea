"""Spaces as JSON, as strict as networks are."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allometry.arch.blocks import Block, block_kinds
from allometry.arch.choices import Choice, Option
from allometry.arch.serial import from_json, read_as, to_json
from allometry.arch.space import Space
from allometry.base import NetworkError
from allometry.base.files import write_text
from allometry.base.reading import UnreadableError, parse_json

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = "allometry.space/1"
_FIELDS = {"template", "choices", "name"}
_CHOICE_FIELDS = {"name", "paths", "options"}


def space_to_json(space: Space, *, indent: int | None = None) -> str:
    """The space as JSON text. Without `indent` it is canonical: equal spaces of one name give equal text.

    Example:
        >>> from allometry.catalog import find_space
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> space_from_json(space_to_json(space)) == space
        True
    """
    template = json.loads(to_json(space.template))
    del template["format"]
    choices = [
        {"name": choice.name, "paths": choice.paths, "options": [_plain(option) for option in choice.options]}
        for choice in space.choices
    ]
    whole = {"format": FORMAT, "name": space.name, "template": template, "choices": choices}
    separators = (",", ":") if indent is None else None
    return json.dumps(whole, sort_keys=indent is None, indent=indent, separators=separators, allow_nan=False)


def space_from_json(text: str) -> Space:
    """Read a space from JSON text, refusing unknown fields and wrong types.

    Raises:
        NetworkError: the text is not JSON or does not describe a space; the message names the field.

    Example:
        >>> space_from_json("{}")
        Traceback (most recent call last):
            ...
        allometry.base.errors.NetworkError: Not a space: field 'choices' is missing.
    """
    try:
        fields: Any = parse_json(text)
    except UnreadableError as error:
        raise NetworkError(f"Not a space: {error}.") from error
    written = fields.pop("format", FORMAT) if isinstance(fields, dict) else FORMAT
    if written != FORMAT:
        raise NetworkError(f"Not a space: its format is {written!r}, this version reads {FORMAT!r}.")
    try:
        return _space(fields)
    except NetworkError as error:
        raise NetworkError(f"Not a space: {error}") from error


def save_space(space: Space, path: str | Path) -> None:
    """Write the space as a readable JSON file, in one step.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from allometry.catalog import find_space
        >>> path = Path(tempfile.mkdtemp()) / "space.json"
        >>> save_space(find_space("proxylessnas"), path)
        >>> load_space(path) == find_space("proxylessnas")
        True
    """
    write_text(Path(path), space_to_json(space, indent=2) + "\n")


def load_space(path: str | Path) -> Space:
    """Read a space from a JSON file.

    Raises:
        NetworkError: the file is missing or does not describe a space.

    Example:
        >>> load_space("no-such-file.json")
        Traceback (most recent call last):
            ...
        allometry.base.errors.NetworkError: Cannot read the space's file no-such-file.json: No such file ...
    """
    return read_as(space_from_json, path, what="space's file")


def _space(fields: Any) -> Space:  # noqa: ANN401 - whatever stands in the file
    _check_fields(fields, _FIELDS, {"name"}, "")
    _check_list(fields["choices"], "choices")
    return Space(
        template=from_json(json.dumps(fields["template"])),
        choices=tuple(
            _choice(choice, f"choices.{number}") for number, choice in enumerate(fields["choices"])
        ),
        name=fields.get("name", ""),
    )


def _check_list(value: object, place: str) -> None:
    if not isinstance(value, list):
        raise NetworkError(f"field {place!r} must be a list, not {value!r}.")


def _check_fields(value: object, known: set[str], optional: set[str], place: str) -> None:
    """Refuse what is no JSON object, lacks a field or has an unknown one."""
    where = f"{place}." if place else ""
    if not isinstance(value, dict):
        what = f"field {place!r}" if place else "it"
        raise NetworkError(f"{what} must be a JSON object, not {value!r}.")
    for field in sorted(known - optional - set(value)):
        raise NetworkError(f"field {where + field!r} is missing.")
    for field in value:
        if field not in known:
            possible = ", ".join(sorted(known))
            raise NetworkError(f"field {where + field!r} is not known. Possible: {possible}.")
    if not isinstance(value.get("name", ""), str):
        raise NetworkError(f"field {where + 'name'!r} must be a text, not {value['name']!r}.")


def _choice(fields: Any, place: str) -> Choice:  # noqa: ANN401 - whatever stands in the file
    _check_fields(fields, _CHOICE_FIELDS, set(), place)
    for field in ("paths", "options"):
        _check_list(fields[field], f"{place}.{field}")
    for path in fields["paths"]:
        if not isinstance(path, str):
            raise NetworkError(f"field {f'{place}.paths'!r} must be texts, not {path!r}.")
    options = [
        _option(option, f"{place}.options.{number}") for number, option in enumerate(fields["options"])
    ]
    return Choice(name=fields["name"], paths=tuple(fields["paths"]), options=tuple(options))


def _plain(option: Option) -> object:
    kind: Any = type(option)
    return _adapter(kind).dump_python(option, mode="json") if isinstance(option, Block) else option


def _option(written: Any, place: str) -> Option:  # noqa: ANN401 - whatever stands in the file
    """A plain value, or the block that a JSON object describes."""
    from pydantic import ValidationError

    if not isinstance(written, dict):
        return written  # type: ignore[no-any-return]  # the Choice refuses lists
    kinds: dict[str, Any] = dict(block_kinds())
    kind = written.get("kind")
    if kind not in kinds:
        possible = ", ".join(f"{name!r}" for name in kinds)
        raise NetworkError(f"field {f'{place}.kind'!r} must be one of {possible}, not {kind!r}.")
    try:
        return _adapter(kinds[kind]).validate_json(json.dumps(written))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join([place, *(str(part) for part in first["loc"])])
        cause = first.get("ctx", {}).get("error")
        raise NetworkError(f"field {where!r}: {cause or first['msg']}") from error


@cache
def _adapter(part: Any) -> TypeAdapter[Block]:  # noqa: ANN401 - a class of blocks
    # Pydantic takes a tenth of a second to load, which `allometry --help` need not pay.
    from pydantic import TypeAdapter

    return TypeAdapter(part)
