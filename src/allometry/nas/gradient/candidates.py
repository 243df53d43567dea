"""From a space to what a search by gradient decides in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

from allometry.arch import Cell, Choice, Decisions, Network, Option, Padding, Shape, Space
from allometry.base import InputError
from allometry.nas.gradient.choices import Choices, Decision, Group, Layer

_MOST_CANDIDATES = 256
_ADVICE = "Hold it with `narrow`, or take `with_fixed_shapes(space)`."


def choices_of(space: Space) -> Choices:
    """What there is to decide in a space, if a search by gradient can decide it.

    Candidates of one layer are added up, so all must give the same shape: knobs of channels, resolution, stem and head
    are refused unless they have one option. A knob that sets several layers is one decision for all of them, and
    knobs that set the same layers are one decision, over all combinations. A depth is a decision of its own.

    Raises:
        InputError: a knob changes shapes, a layer has very many candidates, or cells read the input of the one before.

    Source: FBNet (Wu et al. 2019), section 3.1; ProxylessNAS (Cai et al. 2019), section 3.1.

    Example:
        >>> from allometry.catalog import find_space
        >>> choices = choices_of(find_space("fbnet"))
        >>> len(choices.decisions), [len(layer.candidates) for layer in choices.groups[1].layers]
        (28, [8, 8, 8, 8])
        >>> choices_of(find_space("mnasnet"))
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: The knob 'stage 1 channels' changes the shape of what later layers read, ...
    """
    for knob, _ in space.layout.of_network:
        if len(knob.options) > 1:
            raise InputError(
                f"The knob {knob.name!r} sets something of the whole network, which a search by gradient does not "
                f"decide. {_ADVICE}"
            )
    decisions = _decisions(space)
    frame = _frame(space)
    return Choices(space, decisions, tuple(_groups(space, decisions, frame)), frame)


def _frame(space: Space) -> Network:
    """The network with the last option of every knob, and every layer."""
    last = {knob.name: knob.options[-1] for knob in space.knobs}
    for knob in space.layout.deepening:
        last[knob.name] = max(option for option in knob.options if isinstance(option, int))
    return space.network(last)


def _decisions(space: Space) -> tuple[Decision, ...]:
    """The knobs, joined where they set the same layers."""
    joined: dict[object, list[int]] = {}
    for place, knob in enumerate(space.knobs):
        blocks = frozenset(target.number for target in knob.targets if target.what == "block")
        # Depths and what the whole network has stand alone.
        joined.setdefault(blocks or knob.name, []).append(place)
    for places in joined.values():
        number = prod(len(space.knobs[place].options) for place in places)
        if number > _MOST_CANDIDATES:
            names = ", ".join(repr(space.knobs[place].name) for place in places)
            raise InputError(
                f"The knobs {names} are decided together and have {number} combinations, more than the "
                f"{_MOST_CANDIDATES} that a search by gradient holds. Narrow them with `narrow`."
            )
    return tuple(
        Decision(tuple(places), tuple(product(*(range(len(space.knobs[place].options)) for place in places))))
        for places in joined.values()
    )


def _groups(space: Space, decisions: tuple[Decision, ...], frame: Network) -> Iterator[Group]:
    layout, source = space.layout, frame.shapes()[0]
    stage = 0
    for number, full in enumerate(layout.full):
        knob = layout.of_group[number]
        depth = None if knob is None else _number_of(space, decisions, knob)
        depths: tuple[int, ...] = (full,)
        if knob is not None:
            depths = tuple(layout.depths({knob.name: option})[number] for option in knob.options)
        layers: list[Layer] = []
        outs = [source]
        while stage < len(layout.places) and layout.places[stage].group == number:
            for layer in _layers(space, decisions, stage, outs[-1], frame.padding):
                layers.append(layer)
                outs.append(layer.out)
            stage += 1
        layers = layers[: max(depths)]
        for each in depths:
            if knob is not None and outs[each] != outs[max(depths)]:
                raise InputError(
                    f"With {each} layers the knob {knob.name!r} changes the shape of what later layers read, "
                    f"{outs[max(depths)]} to {outs[each]}, and a search by gradient adds up what different options "
                    f"give. {_ADVICE}"
                )
        yield Group(tuple(layers), depth, depths)
        source = outs[max(depths)]


def _layers(
    space: Space, decisions: tuple[Decision, ...], stage: int, source: Shape, padding: Padding
) -> Iterator[Layer]:
    """The layers of one stage of the template."""
    knobs = tuple(knob for knob, _ in space.layout.of_stage[stage])
    deciding = tuple(dict.fromkeys(_number_of(space, decisions, knob) for knob in knobs))
    combinations = [
        _chosen(space, [decisions[number] for number in deciding], options)
        for options in product(*(decisions[number].options for number in deciding))
    ]
    if len(combinations) > _MOST_CANDIDATES:
        raise InputError(
            f"A layer has {len(combinations)} candidates by the knobs {', '.join(repr(knob.name) for knob in knobs)}, "
            f"more than the {_MOST_CANDIDATES} that a search by gradient holds. Narrow them with `narrow`."
        )
    blocks = [space.layout.block(stage, chosen) for chosen in combinations]
    for _ in range(space.template.stages[stage].repeats):
        if any(isinstance(block, Cell) and block.reads_skip for block in blocks):
            raise InputError("Cells that read the input of the one before cannot be searched by gradient.")
        outs = [block.after(source, source, padding) for block in blocks]
        if len(set(outs)) > 1:
            raise _changing(knobs, combinations, outs)
        candidates = tuple(dict.fromkeys(blocks))
        chosen = tuple(candidates.index(block) for block in blocks)
        yield Layer(stage, source, outs[0], candidates, deciding, chosen)
        source = outs[0]
        blocks = [block.following() for block in blocks]


def _number_of(space: Space, decisions: tuple[Decision, ...], knob: Choice) -> int:
    place = space.knobs.index(knob)
    return next(number for number, decision in enumerate(decisions) if place in decision.knobs)


def _chosen(
    space: Space, decisions: Sequence[Decision], options: Sequence[tuple[int, ...]]
) -> dict[str, Option]:
    """What these options of these decisions are, by the knobs' names."""
    return {
        space.knobs[place].name: space.knobs[place].options[number]
        for decision, numbers in zip(decisions, options, strict=True)
        for place, number in zip(decision.knobs, numbers, strict=True)
    }


def _changing(
    knobs: Sequence[Choice], combinations: Sequence[Decisions], outs: Sequence[Shape]
) -> InputError:
    """What is wrong with a knob that, the others being as they were first, changes the shape."""
    first = combinations[0]
    for knob in knobs:
        others = [each.name for each in knobs if each is not knob]
        seen = {
            out
            for chosen, out in zip(combinations, outs, strict=True)
            if all(chosen[name] == first[name] for name in others)
        }
        if len(seen) > 1:
            break
    return InputError(
        f"The knob {knob.name!r} changes the shape of what later layers read, and a search by gradient adds up what "
        f"different options give. {_ADVICE}"
    )
