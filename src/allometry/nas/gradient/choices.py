"""What a search by gradient decides: independent decisions, and the blocks of each layer that they choose among."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.arch import Block, Choice, Decisions, Network, Option, Padding, Shape, Space
from allometry.base import InputError
from allometry.nas.encodings import ABSENT, Encodings, cleared

Options = npt.NDArray[np.int64]
"""[N, decisions]: for each member and decision, the number of the option."""


class Decision(NamedTuple):
    """Choices that are decided together, since they set the same layers: one softmax, as in both papers.

    Attributes:
        choices: their places among the space's choices.
        options: every combination of their options, each as the numbers of the options.

    Example:
        >>> from allometry.catalog import find_space
        >>> decision = choices_of(find_space("fbnet")).decisions[0]
        >>> decision.choices, len(decision.options)
        ((0,), 2)
    """

    choices: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the greatest network, and what can stand there.

    Attributes:
        stage: of the template.
        source: shape of its input, the same whatever is decided.
        out: shape of its output.
        candidates: the different blocks that can stand there.
        decisions: the numbers of those that choose among them.
        chosen: the number of the candidate for every combination of their options, the last decision's fastest.

    Example:
        >>> from allometry.catalog import find_space
        >>> layer = choices_of(find_space("fbnet")).groups[1].layers[0]
        >>> layer.decisions, len(layer.candidates)
        ((3,), 8)
    """

    stage: int
    source: Shape
    out: Shape
    candidates: tuple[Block, ...]
    decisions: tuple[int, ...]
    chosen: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Layers of which the first few are there.

    Attributes:
        layers: all that a member can have.
        depth: the number of the decision that says how many are there; None where all always are.
        depths: layers for each of its options.

    Example:
        >>> from allometry.catalog import find_space
        >>> group = choices_of(find_space("fbnet")).groups[1]
        >>> group.depths, len(group.layers)
        ((1, 2, 3, 4), 4)
    """

    layers: tuple[Layer, ...]
    depth: int | None
    depths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """What a search by gradient decides, and about which layers; `choices_of` makes it.

    Attributes:
        space: of the networks.
        decisions: independent of each other.
        groups: of layers, in order.
        frame: a member with every layer; its stem, head and resolution are those of all.

    Example:
        >>> from allometry.catalog import find_space
        >>> choices = choices_of(find_space("fbnet"))
        >>> len(choices.decisions), len(choices.groups), choices.frame.resolution
        (28, 7, 224)
    """

    space: Space
    decisions: tuple[Decision, ...]
    groups: tuple[Group, ...]
    frame: Network

    def encodings(self, options: Options) -> Encodings:
        """The members as encodings, from the numbers of the decisions' options, [N, decisions]."""
        encodings = np.zeros((len(options), len(self.space.choices)), np.int8)
        for place, decision in enumerate(self.decisions):
            encodings[:, decision.choices] = np.array(decision.options, np.int8)[options[:, place]]
        return cleared(self.space, encodings)

    def options(self, encoding: npt.NDArray[np.int8]) -> tuple[int, ...]:
        """The numbers of the decisions' options for an encoding; 0 where it decides nothing.

        Example:
            >>> from allometry.nas import sample_encodings
            >>> from allometry.nas.gradient import choices_of
            >>> from allometry.catalog import find_space
            >>> choices = choices_of(find_space("fbnet"))
            >>> encoding = sample_encodings(choices.space, np.random.default_rng(0), 1)[0]
            >>> bool((choices.encodings(np.array([choices.options(encoding)])) == encoding).all())
            True
        """
        chosen = []
        for decision in self.decisions:
            numbers = tuple(int(encoding[choice]) for choice in decision.choices)
            chosen.append(0 if ABSENT in numbers else decision.options.index(numbers))
        return tuple(chosen)

    def candidate(self, layer: Layer, options: Sequence[int]) -> int:
        """The number of the candidate that stands in a layer with these options of all decisions."""
        place = 0
        for number in layer.decisions:
            place = place * len(self.decisions[number].options) + options[number]
        return layer.chosen[place]


_MOST_CANDIDATES = 256
_ADVICE = "Hold it with `narrow`, or take `with_fixed_shapes(space)`."


def choices_of(space: Space) -> Choices:
    """What there is to decide in a space, if a search by gradient can decide it.

    Candidates of one layer are added up, so all must give the same shape: choices of channels, resolution, stem and
    head are refused unless they have one option. A choice that sets several layers is one decision for all of them, and
    choices that set the same layers are one decision, over all combinations. A depth is a decision of its own.

    Raises:
        InputError: a choice changes shapes, a layer has very many candidates, or cells read the input of the one
            before.

    Source: FBNet (Wu et al. 2019), section 3.1; ProxylessNAS (Cai et al. 2019), section 3.1.

    Example:
        >>> from allometry.catalog import find_space
        >>> choices = choices_of(find_space("fbnet"))
        >>> len(choices.decisions), [len(layer.candidates) for layer in choices.groups[1].layers]
        (28, [8, 8, 8, 8])
        >>> choices_of(find_space("mnasnet"))
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: The choice 'stage 1 channels' changes the shape of what later layers read, ...
    """
    for choice, _ in space.layout.of_network:
        if len(choice.options) > 1:
            raise InputError(
                f"The choice {choice.name!r} sets something of the whole network, which a search by gradient does not "
                f"decide. {_ADVICE}"
            )
    decisions = _decisions(space)
    frame = _frame(space)
    return Choices(space, decisions, tuple(_groups(space, decisions, frame)), frame)


def _frame(space: Space) -> Network:
    """The network with the last option of every choice, and every layer."""
    last = {choice.name: choice.options[-1] for choice in space.choices}
    for choice in space.layout.depth_choices:
        last[choice.name] = max(option for option in choice.options if isinstance(option, int))
    return space.network(last)


def _decisions(space: Space) -> tuple[Decision, ...]:
    """The choices, joined where they set the same layers."""
    joined: dict[object, list[int]] = {}
    for place, choice in enumerate(space.choices):
        blocks = frozenset(target.number for target in choice.targets if target.what == "block")
        # Depths and what the whole network has stand alone.
        joined.setdefault(blocks or choice.name, []).append(place)
    for places in joined.values():
        number = prod(len(space.choices[place].options) for place in places)
        if number > _MOST_CANDIDATES:
            names = ", ".join(repr(space.choices[place].name) for place in places)
            raise InputError(
                f"The choices {names} are decided together and have {number} combinations, more than the "
                f"{_MOST_CANDIDATES} that a search by gradient holds. Narrow them with `narrow`."
            )
    return tuple(
        Decision(
            tuple(places), tuple(product(*(range(len(space.choices[place].options)) for place in places)))
        )
        for places in joined.values()
    )


def _groups(space: Space, decisions: tuple[Decision, ...], frame: Network) -> Iterator[Group]:
    layout, source = space.layout, frame.shapes()[0]
    stage = 0
    for number, full in enumerate(layout.full):
        choice = layout.of_group[number]
        depth = None if choice is None else _number_of(space, decisions, choice)
        depths: tuple[int, ...] = (full,)
        if choice is not None:
            depths = tuple(layout.depths({choice.name: option})[number] for option in choice.options)
        layers: list[Layer] = []
        outs = [source]
        while stage < len(layout.places) and layout.places[stage].group == number:
            for layer in _layers(space, decisions, stage, outs[-1], frame.padding):
                layers.append(layer)
                outs.append(layer.out)
            stage += 1
        layers = layers[: max(depths)]
        for length in depths:
            if choice is not None and outs[length] != outs[max(depths)]:
                raise InputError(
                    f"With {length} layers the choice {choice.name!r} changes the shape of what later layers read, "
                    f"{outs[max(depths)]} to {outs[length]}, and a search by gradient adds up what different options "
                    f"give. {_ADVICE}"
                )
        yield Group(tuple(layers), depth, depths)
        source = outs[max(depths)]


def _layers(
    space: Space, decisions: tuple[Decision, ...], stage: int, source: Shape, padding: Padding
) -> Iterator[Layer]:
    """The layers of one stage of the template."""
    choices = tuple(choice for choice, _ in space.layout.of_stage[stage])
    deciding = tuple(dict.fromkeys(_number_of(space, decisions, choice) for choice in choices))
    combinations = [
        _chosen(space, [decisions[number] for number in deciding], options)
        for options in product(*(decisions[number].options for number in deciding))
    ]
    if len(combinations) > _MOST_CANDIDATES:
        names = ", ".join(repr(choice.name) for choice in choices)
        raise InputError(
            f"A layer has {len(combinations)} candidates by the choices {names}, "
            f"more than the {_MOST_CANDIDATES} that a search by gradient holds. Narrow them with `narrow`."
        )
    blocks = [space.layout.block(stage, chosen) for chosen in combinations]
    for _ in range(space.template.stages[stage].repeats):
        if any(block.reads_skip for block in blocks):
            raise InputError("Cells that read the input of the one before cannot be searched by gradient.")
        outs = [block.after(source, source, padding) for block in blocks]
        if len(set(outs)) > 1:
            raise _changing(choices, combinations, outs)
        candidates = tuple(dict.fromkeys(blocks))
        chosen = tuple(candidates.index(block) for block in blocks)
        yield Layer(stage, source, outs[0], candidates, deciding, chosen)
        source = outs[0]
        blocks = [block.following() for block in blocks]


def _number_of(space: Space, decisions: tuple[Decision, ...], choice: Choice) -> int:
    place = space.choices.index(choice)
    return next(number for number, decision in enumerate(decisions) if place in decision.choices)


def _chosen(
    space: Space, decisions: Sequence[Decision], options: Sequence[tuple[int, ...]]
) -> dict[str, Option]:
    """What these options of these decisions are, by the choices' names."""
    return {
        space.choices[place].name: space.choices[place].options[number]
        for decision, numbers in zip(decisions, options, strict=True)
        for place, number in zip(decision.choices, numbers, strict=True)
    }


def _changing(
    choices: Sequence[Choice], combinations: Sequence[Decisions], outs: Sequence[Shape]
) -> InputError:
    """What is wrong with a choice that, the others being as they were first, changes the shape."""
    first = combinations[0]
    for choice in choices:
        others = [other.name for other in choices if other is not choice]
        seen = {
            out
            for chosen, out in zip(combinations, outs, strict=True)
            if all(chosen[name] == first[name] for name in others)
        }
        if len(seen) > 1:
            break
    return InputError(
        f"The choice {choice.name!r} changes the shape of what later layers read, and a search by gradient adds up "
        f"what different options give. {_ADVICE}"
    )
