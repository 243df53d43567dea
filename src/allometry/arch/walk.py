"""Through a space from layer to layer, without going through its members: which shapes arrive where, and by what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from allometry.arch.choices import Choice, Decisions, Option, write
from allometry.arch.network import Network
from allometry.arch.pieces import Piece
from allometry.arch.shapes import Padding, Shape
from allometry.arch.space import Space


class WalkState(NamedTuple):
    """What a part of a network leaves behind: the shapes, and decisions that later parts depend on too.

    Example:
        >>> from allometry.catalog import find_space
        >>> stem = next(walk(find_space("ofa-mobilenetv3-1.0")))
        >>> stem.steps[0].after.source
        Shape(channels=16, size=64)
    """

    source: Shape
    skip: Shape
    padding: Padding
    carried: tuple[tuple[str, Option], ...]


class WalkStep(NamedTuple):
    """One way through a site.

    Attributes:
        before: what the parts before left behind; None before the stem.
        chosen: decisions by which this way is taken, those among them that were made before.
        pieces: what stands there then, in order; none where the depths leave it out.
        after: what is left behind.

    Example:
        >>> from allometry.catalog import find_space
        >>> step = next(walk(find_space("ofa-mobilenetv3-1.0"))).steps[0]
        >>> step.chosen, step.before is None, step.pieces[0].kind
        ({'resolution': 128}, True, 'stem')
    """

    before: WalkState | None
    chosen: dict[str, Option]
    pieces: tuple[Piece, ...]
    after: WalkState


class StageOptions(NamedTuple):
    """The stem, a stage of the template, or the head.

    Attributes:
        choices: those that are decided there.
        steps: every way through it.

    Example:
        >>> from allometry.catalog import find_space
        >>> stem = next(walk(find_space("ofa-mobilenetv3-1.0")))
        >>> [choice.name for choice in stem.choices]
        ['resolution']
    """

    choices: tuple[Choice, ...]
    steps: tuple[WalkStep, ...]


def walk(space: Space) -> Iterator[StageOptions]:
    """The sites of a space in order: the stem, the stages of the template, the head.

    Example:
        >>> from allometry.catalog import find_space
        >>> stages = list(walk(find_space("ofa-mobilenetv3-1.0")))
        >>> len(stages), [choice.name for choice in stages[2].choices], len(stages[2].steps)
        (23, ['stage 1 depth', 'stage 1 layer 0 kernel', 'stage 1 layer 0 expand ratio'], 675)
    """
    last = _last_sites(space)
    steps = tuple(_entered(space, last))
    yield StageOptions(_choices_of(space, ("resolution", "in_channels", "padding", "stem")), steps)
    for stage in range(len(space.template.stages)):
        steps = tuple(_through(space, stage, _ends(steps), last))
        depth = space.layout.of_group[space.layout.places[stage].group]
        yield StageOptions(
            (*([depth] if depth else []), *(choice for choice, _ in space.layout.of_stage[stage])), steps
        )
    yield StageOptions(_choices_of(space, ("head",)), tuple(_left(space, _ends(steps))))


def distinct_blocks(space: Space) -> tuple[Piece, ...]:
    """Every stem, block and head that a member has, with what it reads, each once: the lines of a latency table.

    They are found without going through the members: from one layer to the next, with the shapes that can
    arrive there.

    Source: Once-for-All (Cai et al. 2020), section 3.4, and released ProxylessNAS code: the latency of a network is
    the sum over a table's lines.

    Example:
        >>> from allometry.catalog import find_space
        >>> space = find_space("ofa-mobilenetv3-1.0")
        >>> blocks = distinct_blocks(space)
        >>> blocks[0]
        Piece(part=Stem(16, k3, s2, hard_swish), source=Shape(channels=3, size=128), skip=None)
        >>> {piece.source.size for piece in blocks if piece.kind == "head"}
        {4, 5, 6, 7}
    """
    blocks = {piece: None for stage in walk(space) for step in stage.steps for piece in step.pieces}
    return tuple(blocks)


def _ends(steps: Iterable[WalkStep]) -> dict[WalkState, None]:
    return dict.fromkeys(step.after for step in steps)


def _choices_of(space: Space, parts: tuple[str, ...]) -> tuple[Choice, ...]:
    choices = (choice for choice, target in space.layout.of_network if target.fields[0] in parts)
    return tuple(dict.fromkeys(choices))


def _last_sites(space: Space) -> dict[str, int]:
    """Where each choice is needed for the last time: -1 for the stem, then the number of the stage, then the head."""
    stages = range(len(space.template.stages))
    last: dict[str, int] = {}
    for choice in space.choices:
        for target in choice.targets:
            if target.what == "depth":
                site = max(stage for stage in stages if space.layout.places[stage].group == target.number)
            elif target.what == "block":
                site = target.number
            else:
                site = len(stages) if target.fields[0] == "head" else -1
            last[choice.name] = max(site, last.get(choice.name, -1))
    return last


def _choices(choices: Iterable[Choice], carried: Decisions) -> Iterator[dict[str, Option]]:
    """All decisions of the choices, with those that are made already."""
    choices = list(dict.fromkeys(choice for choice in choices if choice.name not in carried))
    for options in product(*(choice.options for choice in choices)):
        yield {**carried, **dict(zip((choice.name for choice in choices), options, strict=True))}


def _kept(chosen: Decisions, last: dict[str, int], site: int) -> tuple[tuple[str, Option], ...]:
    return tuple(sorted(((name, option) for name, option in chosen.items() if last[name] > site), key=_name))


def _name(pair: tuple[str, Option]) -> str:
    return pair[0]


def _placed(space: Space, chosen: Decisions, parts: tuple[str, ...]) -> Network:
    """The template with these of its parts as decided."""
    network = space.template
    for choice, target in space.layout.of_network:
        if target.fields[0] in parts:
            network = write(network, target.fields, chosen[choice.name])
    return network


def _entered(space: Space, last: dict[str, int]) -> Iterator[WalkStep]:
    parts = ("resolution", "in_channels", "padding", "stem")
    for chosen in _choices(_choices_of(space, parts), {}):
        network = _placed(space, chosen, parts)
        piece = Piece(network.stem, Shape(network.in_channels, network.resolution))
        size = network.stem.out_size(network.resolution, network.padding)
        shape = Shape(network.stem.channels, size)
        after = WalkState(shape, shape, network.padding, _kept(chosen, last, -1))
        yield WalkStep(None, chosen, (piece,), after)


def _through(
    space: Space, stage: int, states: Iterable[WalkState], last: dict[str, int]
) -> Iterator[WalkStep]:
    layout = space.layout
    depth = layout.of_group[layout.places[stage].group]
    for state in states:
        for depths in _choices([depth] if depth else [], dict(state.carried)):
            layers = layout.layers(stage, layout.depths(depths))
            choices = [choice for choice, _ in layout.of_stage[stage]] if layers else []
            for chosen in _choices(choices, depths):
                yield _step(space, stage, layers, state, chosen, last)


def _step(
    space: Space, stage: int, layers: int, state: WalkState, chosen: dict[str, Option], last: dict[str, int]
) -> WalkStep:
    source, skip, pieces = state.source, state.skip, list[Piece]()
    block = space.layout.block(stage, chosen) if layers else space.template.stages[stage].block
    for _ in range(layers):
        pieces.append(Piece(block, source, skip if block.reads_skip else None))
        out = block.after(source, skip, state.padding)
        source, skip = out, skip if block.passes_skip else source
        block = block.following()
    after = WalkState(source, skip, state.padding, _kept(chosen, last, stage))
    return WalkStep(state, chosen, tuple(pieces), after)


def _left(space: Space, states: Iterable[WalkState]) -> Iterator[WalkStep]:
    for state in states:
        for chosen in _choices(_choices_of(space, ("head",)), dict(state.carried)):
            head = _placed(space, chosen, ("head",)).head
            yield WalkStep(state, chosen, (Piece(head, state.source),), state)
