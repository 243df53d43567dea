"""Which member of a space a network is: its layers held against the template's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from allometry.arch.blocks import Block
from allometry.arch.choices import Choice, ChoiceTarget, Option, read, rewritten
from allometry.arch.layout import Layout
from allometry.arch.network import Network
from allometry.arch.stages import Stage
from allometry.base import NetworkError


def aligned(layout: Layout, network: Network) -> list[list[Block]]:
    """The network's layers for every group of the template; none for the group that it lacks.

    Raises:
        NetworkError: there are too many groups, or too few.
    """
    groups = [_layers(group) for group in network.groups]
    lacking = [
        place.number for choice in layout.depth_choices if 0 in choice.options for place in choice.targets
    ]
    if lacking and len(groups) == len(layout.full) - 1:
        groups.insert(lacking[0], [])
    if len(groups) != len(layout.full):
        raise NetworkError(f"It has {len(groups)} groups of layers, not {len(layout.full)}.")
    return groups


def option_in(layout: Layout, choice: Choice, network: Network, groups: list[list[Block]]) -> Option:
    """What the choice is set to in the network, whose layers stand in `groups` as `aligned` gives them.

    Raises:
        NetworkError: it is none of the options, or not the same everywhere.
    """
    values: list[Any] = []
    for place in choice.targets:
        if place.what == "network":
            values.append(read(network, place.fields))
            continue
        if place.what == "depth":
            values.append(len(groups[place.number]))
            continue
        group, offset = layout.places[place.number]
        if offset < len(groups[group]):
            block = groups[group][offset]
            values.append(read(block, place.fields) if place.fields else _whole(layout, choice, place, block))
    return agreed(choice, values)


def _whole(layout: Layout, choice: Choice, place: ChoiceTarget, block: Block) -> Option:
    """The option that the block was made of, of which other choices may have set fields."""
    inner = [other.fields for _, other in layout.of_stage[place.number] if other.fields]
    for option in choice.options:
        alike = isinstance(option, Block) and type(option) is type(block)
        if alike and rewritten(option, tuple((path, read(block, path)) for path in inner)) == block:
            return option
    return block


def agreed(choice: Choice, values: list[Any]) -> Option:
    """The option that all values are.

    Raises:
        NetworkError: there is none.
    """
    for option in choice.options:
        if all(value == option for value in values):
            return option
    given = " and ".join(dict.fromkeys(f"{value!r}" for value in values))
    raise NetworkError(f"The choice {choice.name!r} cannot be {given}. {possible(choice)}")


def possible(choice: Choice) -> str:
    """A sentence about what the choice can be."""
    return f"Possible: {', '.join(f'{option!r}' for option in choice.options)}."


def _layers(group: Iterable[Stage]) -> list[Block]:
    layers = []
    for stage in group:
        block = stage.block
        for _ in range(stage.repeats):
            layers.append(block)
            block = block.following()
    return layers


def folded(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """The stages with equal layers in succession as one: the one way to write them."""
    kept: list[Stage] = []
    for stage in stages:
        last = kept[-1] if kept else None
        goes_on = last is not None and stage.continues and stage.fixed == last.fixed
        if last is not None and goes_on and stage.block == last.block.following():
            kept[-1] = replace(last, repeats=last.repeats + stage.repeats)
        else:
            kept.append(stage)
    return tuple(kept)


def difference(member: Network, network: Network) -> str:
    """The first thing in which a network differs from the member nearest to it."""
    ours, theirs = (
        [block for group in field.groups for block in _layers(group)] for field in (member, network)
    )
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return f"Its layer {number} is {other!r}, not {one!r}."
    for field in fields(Network):
        one, other = getattr(member, field.name), getattr(network, field.name)
        if field.compare and field.name != "stages" and one != other:
            return f"Its {field.name} is {other!r}, not {one!r}."
    return "Its layers are in other stages, or fixed otherwise."
