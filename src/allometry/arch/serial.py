"""Networks as JSON: one canonical text for each network, and strict reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from allometry.arch.blocks import Block, block_kinds
from allometry.arch.network import Network
from allometry.base import NetworkError
from allometry.base.decoding import decode
from allometry.base.files import write_text
from allometry.base.reading import UnreadableError, parse_json, read_text

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
        allometry.base.errors.NetworkError: Not a network: field 'stages' is missing.
    """
    try:
        return network_from(parse_json(text))
    except UnreadableError as error:
        raise NetworkError(f"Not a network: {error}.") from error


def network_from(plain: object, *, place: str = "") -> Network:
    """A network of what JSON says of it.

    Args:
        plain: as `parse_json` gives it.
        place: where in a file it stands, for messages.

    Raises:
        UnreadableError: that is no network; the message names the field.
    """
    if not isinstance(plain, dict):
        raise UnreadableError(f"expected a JSON object, found {type(plain).__name__}")
    fields = {name: value for name, value in plain.items() if name != "format"}
    written = plain.get("format", FORMAT)
    if written != FORMAT:
        raise UnreadableError(f"its format is {written!r}, this version reads {FORMAT!r}")
    depth = _depth(fields)
    if depth > _DEEPEST:
        raise UnreadableError(f"it has {depth:,} blocks, more than {_DEEPEST:,}")
    # Kinds of blocks may be registered at any time; those that there are now are part of the type.
    kind: Any = Annotated[Network, *block_kinds().values()]
    return cast("Network", decode(kind, fields, place=place))


def _depth(fields: dict[str, Any]) -> int:
    """How many blocks a file wants, before any is made."""
    stages = fields.get("stages")
    rows = [stage for stage in stages if isinstance(stage, dict)] if isinstance(stages, list) else []
    repeats = [stage.get("repeats", 1) for stage in rows]
    return sum(number for number in repeats if isinstance(number, int))


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
