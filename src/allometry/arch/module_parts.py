"""What a module's space is made of: choices, groups of channels, runs of blocks, and what counts its members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from allometry.base.decoding import Count

NO_GROUP = -1
ModuleDimension = Literal["resolution", "depth", "width", "channels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleChoice:
    """A decision about a module.

    Attributes:
        name: for people, such as `layer1 width`.
        dimension: `width` of channels inside blocks and `channels` between them, as a fraction of those of the module;
            `depth`, blocks of a stage; `resolution`, pixels.
        options: rising; with the last one the module is as it was.

    Example:
        >>> ModuleChoice(name="layer1 depth", dimension="depth", options=(2, 3)).options[-1]
        3
    """

    name: str
    dimension: ModuleDimension
    options: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleGroup:
    """Channels that belong together, of which there can be fewer.

    Attributes:
        number: among all groups of the module, as tracing finds them.
        name: of the weights that give them first.
        choice: that decides how many there are.
        options: of the choice, all of them.
        sizes: how many there are with each.
    """

    number: Count
    name: str
    choice: str
    options: tuple[float, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRun:
    """Blocks that repeat, of which the last ones can be left out.

    Attributes:
        container: its name.
        blocks: names of the run's blocks in it.
        before: blocks of the same stage before them, which stay.
        choice: that decides how many blocks the stage has.
    """

    container: str
    blocks: tuple[str, ...]
    before: int
    choice: str


class Channels(NamedTuple):
    """So many channels of a group; `NO_GROUP` for those that stay as many."""

    group: int
    number: int


class Factor(NamedTuple):
    """By what a product is multiplied with each option of a choice."""

    choice: str
    options: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleProduct:
    """Multiply-accumulates of one image.

    Attributes:
        module: the part of the module in which they are.
        times: for each pair of channels, at each resolution of the space.
        outputs: channels that come out.
        inputs: channels that go in.
        factors: what else they follow.
    """

    module: str
    times: tuple[float, ...]
    outputs: tuple[Channels, ...] = (Channels(NO_GROUP, 1),)
    inputs: tuple[Channels, ...] = (Channels(NO_GROUP, 1),)
    factors: tuple[Factor, ...] = ()


class TensorSide(NamedTuple):
    """A dimension of a tensor that holds each channel of a group so often."""

    dimension: int
    group: int
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleTensor:
    """Trainable parameters.

    Attributes:
        name: of the tensor.
        shape: in the module as it was.
        sides: its dimensions that change.
    """

    name: str
    shape: tuple[int, ...]
    sides: tuple[TensorSide, ...]
