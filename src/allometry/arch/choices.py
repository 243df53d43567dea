"""A decision that a space of networks leaves open, and where in a network it is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from allometry.arch.blocks import Block
from allometry.base import NetworkError

# What a choice can be set to: the value of a field, or a whole block where the kind of layer is open.
Option = int | float | str | Block | None
# Names of choices, each with the option that is taken.
Decisions = Mapping[str, Option]

_DEPTH = re.compile(r"groups\.(\d+)\.depth")
_BLOCK = re.compile(r"stages\.(\d+)\.block((?:\.\w+)*)")
_PARTS = ("stem", "head", "batch_norm")
_PLAIN = ("resolution", "in_channels", "padding", "stochastic_depth")


class ChoiceTarget(NamedTuple):
    """A path, taken apart.

    Attributes:
        what: the depth of a group, something in the block of a stage, or something of the whole network.
        number: of the group or the stage, from 0.
        fields: the way from the block, or from the network, to the value; none for the block itself.
    """

    what: Literal["depth", "block", "network"]
    number: int
    fields: tuple[str, ...]


@lru_cache(maxsize=1 << 14)
def target(path: str) -> ChoiceTarget:
    """What a path leads to.

    Raises:
        NetworkError: choices set no such thing.

    Example:
        >>> target("stages.3.block.kernel")
        ChoiceTarget(what='block', number=3, fields=('kernel',))
        >>> target("groups.1.depth"), target("head.channels").fields
        (ChoiceTarget(what='depth', number=1, fields=()), ('head', 'channels'))
    """
    if match := _DEPTH.fullmatch(path):
        return ChoiceTarget("depth", int(match[1]), ())
    if match := _BLOCK.fullmatch(path):
        return ChoiceTarget("block", int(match[1]), tuple(match[2].split(".")[1:]))
    first, *rest = path.split(".")
    if (first in _PARTS and rest) or (first in _PLAIN and not rest):
        return ChoiceTarget("network", 0, (first, *rest))
    raise NetworkError(
        f"A choice cannot set {path!r}. Possible: groups.N.depth, stages.N.block, stages.N.block.FIELD, "
        f"{', '.join(f'{part}.FIELD' for part in _PARTS)}, {', '.join(_PLAIN)}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A decision with a name: what it sets, and what it can be set to.

    Attributes:
        name: for people and for `Space.network`, such as `stage 2 layer 1 kernel`.
        paths: the places in the template that it sets, all to the same value. `groups.N.depth` keeps the first
            layers of the group N (a stage and those that continue it); `stages.N.block` is a whole block,
            `stages.N.block.FIELD` a field of it; `resolution`, `stem.channels`, `head.channels` and the like are
            of the whole network. Counted from 0.
        options: what it can be set to, all different. Numbers, words, true and false, None, and blocks.

    Raises:
        NetworkError: a field cannot have that value.

    Source: the elastic dimensions of Once-for-All (Cai et al. 2020), section 3.2.

    Example:
        >>> Choice(name="resolution", paths=("resolution",), options=(128, 160, 192)).options
        (128, 160, 192)
        >>> Choice(name="depth", paths=("groups.0.deepness",), options=(1, 2))
        Traceback (most recent call last):
            ...
        allometry.base.errors.NetworkError: A choice cannot set 'groups.0.deepness'. Possible: groups.N.depth, ...
    """

    name: str
    paths: tuple[str, ...]
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        given: Any = self.name
        if not isinstance(given, str) or not given.strip():
            raise NetworkError(f"Choice.name must be a word or more, not {given!r}.")
        for field in ("paths", "options"):
            values = getattr(self, field)
            if not isinstance(values, tuple | list) or not values:
                raise NetworkError(
                    f"The {field} of the choice {self.name!r} must be a tuple of one or more, not {values!r}."
                )
            twice = [value for place, value in enumerate(values) if value in values[:place]]
            if twice:
                raise NetworkError(
                    f"Among the {field} of the choice {self.name!r}, {twice[0]!r} is there twice."
                )
            object.__setattr__(self, field, tuple(values))
        for option in self.options:
            if not isinstance(option, Option):
                raise NetworkError(
                    f"An option of the choice {self.name!r} must be a number, a word, true, false, None or a block, "
                    f"not {option!r}."
                )
        whats = {target(path).what for path in self.paths}
        if "depth" in whats and len(whats) > 1:
            raise NetworkError(f"The choice {self.name!r} must set either depths or other things, not both.")

    @property
    def targets(self) -> tuple[ChoiceTarget, ...]:
        """The paths, taken apart."""
        return tuple(target(path) for path in self.paths)


def read(value: Any, fields: tuple[str, ...]) -> Any:  # noqa: ANN401 - a network's fields are of many types
    """The value that these fields lead to.

    Raises:
        NetworkError: there is no such field.

    Example:
        >>> from allometry.catalog import get
        >>> read(get("efficientnet-b0"), ("stem", "channels"))
        32
    """
    for field in fields:
        if isinstance(value, tuple) and field.isdigit() and int(field) < len(value):
            value = value[int(field)]
        elif is_dataclass(value) and field in value.__dataclass_fields__:
            value = getattr(value, field)
        else:
            raise NetworkError(f"{type(value).__name__} has no field {field!r}.")
    return value


def write(value: Any, fields: tuple[str, ...], new: object) -> Any:  # noqa: ANN401 - as above
    """The same with another value where these fields lead to.

    Raises:
        NetworkError: there is no such field, or it cannot have that value.

    Example:
        >>> from allometry.arch import MBConv
        >>> write(MBConv(channels=24), ("gate", "multiple"), 8).gate.multiple
        8
    """
    if not fields:
        return new
    first, rest = fields[0], fields[1:]
    inner = write(read(value, (first,)), rest, new)
    if isinstance(value, tuple):
        return (*value[: int(first)], inner, *value[int(first) + 1 :])
    return replace(value, **{first: inner})


@lru_cache(maxsize=1 << 14)
def rewritten(block: Block, changes: tuple[tuple[tuple[str, ...], Option], ...]) -> Block:
    """The block after these changes, in order. One and the same object for the same question, which saves time.

    Raises:
        NetworkError: there is no such field, or it cannot have that value.
    """
    for fields, new in changes:
        block = write(block, fields, new)
    if not isinstance(block, Block):
        raise NetworkError(f"A block is needed, such as MBConv, not {block!r}.")
    return block
