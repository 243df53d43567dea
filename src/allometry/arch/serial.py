"""Networks as JSON: one canonical text for each network, and strict reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from allometry.arch.blocks import Block, block_kinds
from allometry.arch.checks import kind_of
from allometry.arch.layers import Layer
from allometry.arch.network import Network
from allometry.base import NetworkError
from allometry.base.files import write_text
from allometry.base.reading import UnreadableError, parse_json, read_text

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

FORMAT = "allometry.network/1"
_DEEPEST = 10_000  # blocks of a network from a file
T = TypeVar("T")


def to_json(network: Network, *, indent: int | None = None) -> str:
    """The network as JSON text. Without `indent` it is canonical: equal networks of one name give equal text.

    Example:
        >>> from allometry.catalog import get
        >>> from_json(to_json(get("efficientnet-b0"))) == get("efficientnet-b0")
        True
    """
    return _dump({"format": FORMAT, **_plain(network)}, indent)


def digest(network: Network) -> str:
    """A stable name for what the network is: 64 hexadecimal digits, the same on every machine.

    The label (`name`) does not count.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.catalog import get
        >>> network = get("efficientnet-b0")
        >>> digest(network) == digest(replace(network, name="mine")), len(digest(network))
        (True, 64)
    """
    fields = _plain(network)
    del fields["name"]
    return hashlib.sha256(_dump({"format": FORMAT, **fields}, None).encode()).hexdigest()


def weight_signature(network: Network) -> str:
    """A stable name for what the weights of a network mean: its layers, wired, in order.

    What weights do not depend on does not count: resolution, classes, input channels, dropout, padding, constants
    of batch norm, and what only growth looks at. Two networks of equal shapes and other strides or activations
    have other forms.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.catalog import get
        >>> network = get("efficientnet-b0")
        >>> weight_signature(network) == weight_signature(replace(network, resolution=64, padding="same", name="mine"))
        True
        >>> weight_signature(network) == weight_signature(replace(network, stem=replace(network.stem, stride=1)))
        False
    """
    blocks: list[Block] = []
    for stage in network.stages:
        block = stage.block
        for _ in range(stage.repeats):
            blocks.append(block)
            block = block.following()
    head = _plain(network.head)
    layers = {
        "stem": _plain(network.stem),
        "blocks": [_plain(block) for block in blocks],
        "head": {name: value for name, value in head.items() if name not in ("classes", "dropout")},
    }
    return hashlib.sha256(_dump(_without(layers, "fixed", "counts_padding"), None).encode()).hexdigest()


def from_json(text: str) -> Network:
    """Read a network from JSON text, refusing unknown fields and wrong types.

    Raises:
        NetworkError: the text is not JSON or does not describe a network; the message names the field.

    Example:
        >>> from_json("{}")
        Traceback (most recent call last):
            ...
        allometry.base.errors.NetworkError: Not a network: field 'stages': Field required.
    """
    from pydantic import ValidationError

    try:
        fields: Any = parse_json(text)
    except UnreadableError as error:
        raise NetworkError(f"Not a network: {error}.") from error
    if not isinstance(fields, dict):
        raise NetworkError(f"Not a network: expected a JSON object, found {type(fields).__name__}.")
    written = fields.pop("format", FORMAT)
    if written != FORMAT:
        raise NetworkError(f"Not a network: its format is {written!r}, this version reads {FORMAT!r}.")
    depth = _depth(fields)
    if depth > _DEEPEST:
        raise NetworkError(f"Not a network: it has {depth:,} blocks, more than {_DEEPEST:,}.")
    try:
        return _adapter(tuple(block_kinds().values())).validate_json(json.dumps(fields))
    except ValidationError as error:
        raise _not_a_network(error, fields) from error


def _depth(fields: dict[str, Any]) -> int:
    """How many blocks a file wants, before any is made."""
    stages = fields.get("stages")
    rows = [stage for stage in stages if isinstance(stage, dict)] if isinstance(stages, list) else []
    repeats = [stage.get("repeats", 1) for stage in rows]
    return sum(number for number in repeats if isinstance(number, int))


def _not_a_network(error: ValidationError, fields: dict[str, Any]) -> NetworkError:
    """One sentence about the first field that is wrong."""
    problems = error.errors(include_url=False)
    first = problems[0]
    place: list[str] = []
    written: Any = fields
    for part in first["loc"]:
        if not (isinstance(written, dict) and written.get("kind") == part):  # the name of a kind is no field
            place.append(str(part))
            written = written[part] if _has(written, part) else None
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _unknown_kind(place, first.get("ctx", {}), written)
    cause = first.get("ctx", {}).get("error")
    message = str(cause) if cause else f"{first['msg']}."
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    # The whole network is wrong where its layers do not fit together.
    field = f"field {'.'.join(place)!r}: " if place else ""
    return NetworkError(f"Not a network: {field}{message}{more}")


def _unknown_kind(place: list[str], told: Mapping[str, Any], written: Any) -> NetworkError:  # noqa: ANN401 - of a file
    """A sentence about a block or a layer of a kind that nobody knows."""
    kinds = block_kinds() if place[-1] == "block" else map(kind_of, get_args(Layer))
    given = written.get("kind") if isinstance(written, dict) else written
    possible = told.get("expected_tags") or ", ".join(repr(kind) for kind in kinds)
    return NetworkError(
        f"Not a network: field {'.'.join([*place, 'kind'])!r} must be one of {possible}, not {given!r}."
    )


def _has(written: Any, part: str | int) -> bool:  # noqa: ANN401 - whatever stands in the file
    if isinstance(written, dict):
        return part in written
    return isinstance(written, list) and isinstance(part, int) and part < len(written)


def save(network: Network, path: str | Path) -> None:
    """Write the network as a readable JSON file, in one step.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from allometry.catalog import get
        >>> path = Path(tempfile.mkdtemp()) / "network.json"
        >>> save(get("efficientnet-b0"), path)
        >>> load(path) == get("efficientnet-b0")
        True
    """
    write_text(Path(path), to_json(network, indent=2) + "\n")


def load(path: str | Path) -> Network:
    """Read a network from a JSON file.

    Raises:
        NetworkError: the file is missing or does not describe a network.

    Example:
        >>> load("no-such-file.json")
        Traceback (most recent call last):
            ...
        allometry.base.errors.NetworkError: Cannot read the network file no-such-file.json: No such file ...
    """
    return read_as(from_json, path, what="network file")


def read_as(reader: Callable[[str], T], path: str | Path, *, what: str) -> T:
    """What a reader of text makes of a file; its errors name the file.

    Raises:
        NetworkError: the file is missing or no text, or the reader refuses it.
    """
    try:
        text = read_text(Path(path))
    except (OSError, ValueError) as error:  # a path may hold what no path can
        reason = error.strerror if isinstance(error, OSError) else error
        raise NetworkError(f"Cannot read the {what} {path}: {reason}.") from error
    try:
        return reader(text)
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from error


def _plain(value: Any) -> Any:  # noqa: ANN401 - data classes, and what they are made of
    """Data classes as dictionaries, without fields that came later and are not used."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not is_dataclass(value):
        return value
    values = {field: getattr(value, field.name) for field in dataclass_fields(value)}
    return {
        field.name: _plain(held)
        for field, held in values.items()
        if not (field.metadata.get("later") and held == field.default)
    }


def _without(value: Any, *names: str) -> Any:  # noqa: ANN401 - plain JSON
    """Plain JSON without the fields of these names, however deep."""
    if isinstance(value, list):
        return [_without(item, *names) for item in value]
    if isinstance(value, dict):
        return {name: _without(item, *names) for name, item in value.items() if name not in names}
    return value


def _dump(fields: dict[str, Any], indent: int | None) -> str:
    separators = (",", ":") if indent is None else None
    return json.dumps(fields, sort_keys=indent is None, indent=indent, separators=separators, allow_nan=False)


@cache
def _adapter(kinds: tuple[type[Block], ...]) -> TypeAdapter[Network]:
    """What reads networks of blocks of these kinds: all that are registered."""
    del kinds
    # Pydantic takes a tenth of a second to load, which `allometry --help` need not pay.
    from pydantic import TypeAdapter

    return TypeAdapter(Network)
