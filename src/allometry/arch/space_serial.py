"""Spaces as JSON, as strict as networks are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from allometry.arch.blocks import Block, block_kinds
from allometry.arch.choices import Choice, Option
from allometry.arch.serial import network_from, read_as, to_json
from allometry.arch.space import Space
from allometry.base import NetworkError
from allometry.base.decoding import decode
from allometry.base.files import write_text
from allometry.base.reading import UnreadableError, parse_json

FORMAT = "allometry.space/1"


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
        allometry.base.errors.NetworkError: Not a space: field 'template' is missing (1 more).
    """
    try:
        fields: Any = parse_json(text)
    except UnreadableError as error:
        raise NetworkError(f"Not a space: {error}.") from error
    written = fields.pop("format", FORMAT) if isinstance(fields, dict) else FORMAT
    if written != FORMAT:
        raise NetworkError(f"Not a space: its format is {written!r}, this version reads {FORMAT!r}.")
    try:
        return _space(decode(_SpaceFields, fields))
    except UnreadableError as error:
        raise NetworkError(f"Not a space: {error}.") from error
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChoiceFields:
    """A choice as its file has it; what its options are depends on their kind."""

    name: str
    paths: tuple[str, ...]
    options: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SpaceFields:
    """A space as its file has it."""

    template: Any
    choices: tuple[_ChoiceFields, ...]
    name: str = ""


def _space(fields: _SpaceFields) -> Space:
    return Space(
        template=network_from(fields.template, place="template"),
        choices=tuple(
            Choice(
                name=choice.name,
                paths=choice.paths,
                options=tuple(
                    _option(option, f"choices.{number}.options.{place}")
                    for place, option in enumerate(choice.options)
                ),
            )
            for number, choice in enumerate(fields.choices)
        ),
        name=fields.name,
    )


def _plain(option: Option) -> object:
    return asdict(cast("Any", option)) if isinstance(option, Block) else option


def _option(written: Any, place: str) -> Option:  # noqa: ANN401 - whatever stands in the file
    """A plain value, or the block that a JSON object describes."""
    if not isinstance(written, dict):
        return written  # type: ignore[no-any-return]  # the Choice refuses lists
    kind: Any = Annotated[Block, *block_kinds().values()]
    return cast("Block", decode(kind, written, place=place))
