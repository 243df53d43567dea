"""The different pieces that the networks of a space are made of, for tables of their latency."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Literal, NamedTuple

from allometry.arch.blocks import MBConv
from allometry.arch.cells import Cell, passes_skip
from allometry.arch.knobs import Decisions, Knob, Option, write
from allometry.arch.network import Network
from allometry.arch.parts import Block, Head, Stage, Stem
from allometry.arch.shapes import Padding, Shape
from allometry.arch.space import Space
from allometry.base import NetworkError

Kind = Literal["stem", "block", "head"]


class Piece(NamedTuple):
    """A stem, a block or a head, and what it reads.

    Attributes:
        part: the layers.
        source: shape of its input.
        skip: shape of the input of the block before; None but for cells that read it.
    """

    part: Stem | Block | Head
    source: Shape
    skip: Shape | None = None

    @property
    def kind(self) -> Kind:
        """What the part is."""
        if isinstance(self.part, Stem):
            return "stem"
        return "head" if isinstance(self.part, Head) else "block"


def pieces(network: Network) -> Iterator[Piece]:
    """Stem, blocks and head of a network, each with what it reads.

    Example:
        >>> from allometry.zoo import get
        >>> found = list(pieces(get("efficientnet-b0")))
        >>> len(found), found[-1].source
        (18, Shape(channels=320, size=7))
    """
    yield Piece(network.stem, Shape(network.in_channels, network.resolution))
    last = network.shapes()[0]
    for placed in network.blocks():
        reads = isinstance(placed.block, Cell) and placed.block.reads_skip
        yield Piece(placed.block, placed.source, placed.skip if reads else None)
        last = placed.out
    yield Piece(network.head, last)


def around(piece: Piece) -> Network:
    """A small network in which a piece stands: as its stem, as its only block, or as its head.

    Raises:
        NetworkError: it is a cell that reads the input of the block before, too, and cannot stand alone.

    Example:
        >>> from allometry.zoo import get
        >>> *_, head = pieces(get("efficientnet-b0"))
        >>> list(pieces(around(head)))[-1] == head
        True
    """
    source = piece.source
    if piece.skip is not None:
        raise NetworkError(
            f"{piece.part!r} reads the input of the block before it, too: it has no cost of its own to measure."
        )
    if isinstance(piece.part, Stem):
        block = MBConv(channels=piece.part.channels, expand_ratio=1, se_ratio=0)
        return Network(
            stem=piece.part,
            stages=(Stage(block=block),),
            head=Head(channels=None, classes=2),
            in_channels=source.channels,
            resolution=source.size,
        )
    stem = Stem(channels=source.channels, kernel=1, stride=1, activation=None)
    if isinstance(piece.part, Head):
        block = MBConv(channels=source.channels, expand_ratio=1, se_ratio=0)
        return Network(
            stem=stem, stages=(Stage(block=block),), head=piece.part, in_channels=1, resolution=source.size
        )
    return Network(
        stem=stem,
        stages=(Stage(block=piece.part),),
        head=Head(channels=None, classes=2),
        in_channels=1,
        resolution=source.size,
    )


class _State(NamedTuple):
    """What a part of a network leaves behind: the shapes, and decisions that later parts depend on too."""

    source: Shape
    skip: Shape
    padding: Padding
    carried: tuple[tuple[str, Option], ...]


def distinct_blocks(space: Space) -> tuple[Piece, ...]:
    """Every stem, block and head that a member has, with what it reads, each once: the lines of a latency table.

    They are found without going through the members: from one layer to the next, with the shapes that can
    arrive there.

    Source: Once-for-All (Cai et al. 2020), section 3.4, and released ProxylessNAS code: the latency of a network is
    the sum over a table's lines.

    Example:
        >>> from allometry.zoo import find_space
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> found = distinct_blocks(space)
        >>> found[0]
        Piece(part=Stem(16, k3, s2, hard_swish), source=Shape(channels=3, size=128), skip=None)
        >>> {piece.source.size for piece in found if isinstance(piece.part, Head)}
        {4, 5, 6, 7}
    """
    found: dict[Piece, None] = {}
    last = _last_sites(space)
    states = dict.fromkeys(_entered(space, last, found))
    for stage in range(len(space.template.stages)):
        states = dict.fromkeys(_through(space, stage, states, last, found))
    for state in states:
        knobs = [knob for knob, target in space.layout.of_network if target.fields[0] == "head"]
        for chosen in _choices(knobs, dict(state.carried)):
            head = _placed(space, chosen, ("head",)).head
            found[Piece(head, state.source)] = None
    return tuple(found)


def _last_sites(space: Space) -> dict[str, int]:
    """Where each knob is needed for the last time: -1 for the stem, then the number of the stage, then the head."""
    stages = range(len(space.template.stages))
    last: dict[str, int] = {}
    for knob in space.knobs:
        for target in knob.targets:
            if target.what == "depth":
                site = max(stage for stage in stages if space.layout.places[stage].group == target.number)
            elif target.what == "block":
                site = target.number
            else:
                site = len(stages) if target.fields[0] == "head" else -1
            last[knob.name] = max(site, last.get(knob.name, -1))
    return last


def _choices(knobs: Iterable[Knob], carried: Decisions) -> Iterator[dict[str, Option]]:
    """All decisions of the knobs, with those that are made already."""
    knobs = list(dict.fromkeys(knob for knob in knobs if knob.name not in carried))
    for options in product(*(knob.options for knob in knobs)):
        yield {**carried, **dict(zip((knob.name for knob in knobs), options, strict=True))}


def _kept(chosen: Decisions, last: dict[str, int], site: int) -> tuple[tuple[str, Option], ...]:
    return tuple(sorted(((name, each) for name, each in chosen.items() if last[name] > site), key=_name))


def _name(pair: tuple[str, Option]) -> str:
    return pair[0]


def _placed(space: Space, chosen: Decisions, parts: tuple[str, ...]) -> Network:
    """The template with these of its parts as decided."""
    network = space.template
    for knob, target in space.layout.of_network:
        if target.fields[0] in parts:
            network = write(network, target.fields, chosen[knob.name])
    return network


def _entered(space: Space, last: dict[str, int], found: dict[Piece, None]) -> Iterator[_State]:
    parts = ("resolution", "in_channels", "padding", "stem")
    knobs = [knob for knob, target in space.layout.of_network if target.fields[0] in parts]
    for chosen in _choices(knobs, {}):
        network = _placed(space, chosen, parts)
        found[Piece(network.stem, Shape(network.in_channels, network.resolution))] = None
        size = network.stem.out_size(network.resolution, network.padding)
        shape = Shape(network.stem.channels, size)
        yield _State(shape, shape, network.padding, _kept(chosen, last, -1))


def _through(
    space: Space, stage: int, states: Iterable[_State], last: dict[str, int], found: dict[Piece, None]
) -> Iterator[_State]:
    layout = space.layout
    depth = layout.of_group[layout.places[stage].group]
    for state in states:
        for depths in _choices([depth] if depth else [], dict(state.carried)):
            layers = layout.layers(stage, layout.depths(depths))
            knobs = [knob for knob, _ in layout.of_stage[stage]] if layers else []
            for chosen in _choices(knobs, depths):
                source, skip = state.source, state.skip
                block = layout.block(stage, chosen) if layers else space.template.stages[stage].block
                for _ in range(layers):
                    reads = isinstance(block, Cell) and block.reads_skip
                    found[Piece(block, source, skip if reads else None)] = None
                    out = block.after(source, skip, state.padding)
                    source, skip = out, skip if passes_skip(block) else source
                    block = block.following()
                yield _State(source, skip, state.padding, _kept(chosen, last, stage))
