"""Spaces and their members of either kind: networks as data, and torch modules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from allometry.arch.module_space import MEMBER_FORMAT, SPACE_FORMAT, ModuleMember, ModuleSpace
from allometry.arch.network import Network
from allometry.arch.serial import digest, load, save
from allometry.arch.space import Space
from allometry.arch.space_serial import load_space, space_to_json
from allometry.base import RunFolderError
from allometry.base.files import read_json, write_json

AnySpace: TypeAlias = Space | ModuleSpace
"""A network with choices, or a torch module with some."""
AnyMember: TypeAlias = Network | ModuleMember
"""A member of either."""


def space_text(space: AnySpace) -> str:
    """Either kind of space as canonical JSON text."""
    if isinstance(space, Space):
        return space_to_json(space)
    return json.dumps(space.to_dict(), sort_keys=True, separators=(",", ":"))


def load_any_space(path: str | Path) -> AnySpace:
    """Read either kind of space from its JSON file.

    Raises:
        InputError: the file is missing or does not describe a space.
    """
    plain = _peek(path)
    return ModuleSpace.from_dict(plain) if plain.get("format") == SPACE_FORMAT else load_space(path)


def save_member(member: AnyMember, path: str | Path) -> None:
    """Write either kind of member as JSON, in one step.

    Raises:
        StorageError: the file cannot be written.
    """
    if isinstance(member, Network):
        save(member, path)
    else:
        write_json(Path(path), member.to_dict())


def load_member(path: str | Path) -> AnyMember:
    """Read either kind of member from its JSON file.

    Raises:
        InputError: the file is missing or describes none.
    """
    plain = _peek(path)
    return ModuleMember.from_dict(plain) if plain.get("format") == MEMBER_FORMAT else load(path)


def member_digest(member: AnyMember) -> str:
    """A digest of either kind of member, whatever it is called."""
    if isinstance(member, Network):
        return digest(member)
    told = json.dumps([member.module, sorted(member.decisions.items())])
    return sha256(told.encode()).hexdigest()


def _peek(path: str | Path) -> Mapping[str, Any]:
    """The JSON object in a file; nothing where there is none, for those who then say what is wrong."""
    try:
        return read_json(Path(path))
    except RunFolderError:
        return {}
