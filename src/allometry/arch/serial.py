"""Networks as JSON: one canonical text for each network, and strict reading."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allometry.arch.network import Network
from allometry.base import NetworkError
from allometry.base.files import write_text

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = "allometry.network/1"


def to_json(network: Network, *, indent: int | None = None) -> str:
    """The network as JSON text. Without `indent` it is canonical: equal networks of one name give equal text.

    Example:
        >>> from allometry.zoo import get
        >>> from_json(to_json(get("efficientnet-b0"))) == get("efficientnet-b0")
        True
    """
    return _dump({"format": FORMAT, **asdict(network)}, indent)


def digest(network: Network) -> str:
    """A stable name for what the network is: 64 hexadecimal digits, the same on every machine.

    The label (`name`) does not count.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.zoo import get
        >>> network = get("efficientnet-b0")
        >>> digest(network) == digest(replace(network, name="mine")), len(digest(network))
        (True, 64)
    """
    fields = asdict(network)
    del fields["name"]
    return hashlib.sha256(_dump({"format": FORMAT, **fields}, None).encode()).hexdigest()


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
        fields: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise NetworkError(f"Not a network: the text is not JSON ({error}).") from error
    if not isinstance(fields, dict):
        raise NetworkError(f"Not a network: expected a JSON object, found {type(fields).__name__}.")
    written = fields.pop("format", FORMAT)
    if written != FORMAT:
        raise NetworkError(f"Not a network: its format is {written!r}, this version reads {FORMAT!r}.")
    try:
        return _adapter().validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        cause = first.get("ctx", {}).get("error")
        message = str(cause) if cause else f"{first['msg']}."
        more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise NetworkError(f"Not a network: field {place!r}: {message}{more}") from error


def save(network: Network, path: str | Path) -> None:
    """Write the network as a readable JSON file, in one step.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from allometry.zoo import get
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
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise NetworkError(f"Cannot read the network file {path}: {reason}.") from error
    try:
        return from_json(text)
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from error


def _dump(fields: dict[str, Any], indent: int | None) -> str:
    separators = (",", ":") if indent is None else None
    return json.dumps(fields, sort_keys=indent is None, indent=indent, separators=separators, allow_nan=False)


@cache
def _adapter() -> TypeAdapter[Network]:
    # Pydantic takes a tenth of a second to load, which `allometry --help` need not pay.
    from pydantic import TypeAdapter

    return TypeAdapter(Network)
