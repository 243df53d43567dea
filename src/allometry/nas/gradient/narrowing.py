"""Spaces with fewer options: what is held, and spaces whose members' layers all have the same shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from allometry.arch import Choice, Option, Shape, Space
from allometry.arch.any_space import AnySpace
from allometry.arch.choices import ChoiceTarget, read
from allometry.base import InputError, NetworkError, UnknownNameError

SpaceT = TypeVar("SpaceT", bound=AnySpace)


def narrow(space: SpaceT, kept: Mapping[str, Sequence[Option]]) -> SpaceT:
    """The space with only these options of these choices. Every member is one of the whole space, too.

    Args:
        space: to narrow.
        kept: of each choice that is named, what it can still be set to; one option holds it.

    Raises:
        UnknownNameError: there is no choice of that name.
        InputError: a choice has no such option, or none is left.

    Example:
        >>> from allometry.catalog import find_space
        >>> space = narrow(find_space("mnasnet"), {"stage 1 kernel": (5,)})
        >>> space.largest().stages[1].block.kernel
        5
    """
    by_name: dict[str, Any] = {choice.name: choice for choice in space.choices}
    for name, options in kept.items():
        if name not in by_name:
            raise UnknownNameError("choice", name, by_name)
        if not options or any(option not in by_name[name].options for option in options):
            possible = ", ".join(repr(option) for option in by_name[name].options)
            raise InputError(
                f"The choice {name!r} cannot be narrowed to {tuple(options)!r}: give some of {possible}."
            )
    choices: Any = tuple(
        replace(choice, options=tuple(kept.get(name, choice.options))) for name, choice in by_name.items()
    )
    return replace(space, choices=choices)


def with_fixed_shapes(space: Space) -> Space:
    """The part of a space that a search by gradient can search, without options that change what later layers read.

    What the whole network has, such as its resolution, and channels are held at the template's own value, or at the
    nearest option; a depth without the layer that changes the shape is left out.

    Raises:
        InputError: nothing is left to decide.

    Example:
        >>> from allometry.catalog import find_space
        >>> whole = find_space("mnasnet")
        >>> space = with_fixed_shapes(whole)
        >>> {choice.name: choice.options for choice in space.choices}["stage 1 channels"], space.size < whole.size
        ((24,), True)
    """
    own = {
        choice.name: _own(space, choice)
        for choice in space.choices
        if choice not in space.layout.depth_choices
    }
    kept: dict[str, Sequence[Option]] = {}
    sources = _sources(space, own)
    for choice in space.choices:
        if any(target.what == "network" for target in choice.targets):
            kept[choice.name] = (own[choice.name],)
        else:
            kept[choice.name] = [
                option
                for option in choice.options
                if all(_keeps(space, own, sources, choice, option, target) for target in choice.targets)
            ]
    narrowed = narrow(space, kept)
    if narrowed.size == 1:
        raise InputError(f"Every choice of {space!r} changes shapes: nothing is left to search by gradient.")
    return narrowed


def _own(space: Space, choice: Choice) -> Option:
    """The option that the template has itself, or the nearest one."""
    target = choice.targets[0]
    whole = space.template if target.what == "network" else space.template.stages[target.number].block
    try:
        value = read(whole, target.fields)
    except NetworkError:  # a field of other blocks than the template's
        return choice.options[0]
    if value in choice.options:
        return next(option for option in choice.options if option == value)
    numbers = [option for option in choice.options if isinstance(option, int | float)]
    if isinstance(value, int | float) and numbers:
        return min(numbers, key=lambda option: abs(option - value))
    return choice.options[0]


def _sources(space: Space, own: Mapping[str, Option]) -> list[Shape]:
    """What each stage of the template reads, and the head, where every layer is there and as it is by itself."""
    depths: dict[str, Option] = {
        choice.name: max(option for option in choice.options if isinstance(option, int))
        for choice in space.layout.depth_choices
    }
    network = space.network({**own, **depths})
    sources = [network.shapes()[0]]
    layers = space.layout.depths(depths)
    for stage in range(len(space.template.stages)):
        shape, block = sources[-1], space.layout.block(stage, own)
        for _ in range(space.layout.layers(stage, layers)):
            shape, block = block.after(shape, shape, network.padding), block.following()
        sources.append(shape)
    return sources


def _keeps(
    space: Space,
    own: Mapping[str, Option],
    sources: Sequence[Shape],
    choice: Choice,
    option: Option,
    target: ChoiceTarget,
) -> bool:
    """Whether an option leaves the shape behind its stage, or group, as it is."""
    if target.what == "depth":
        stages = [place for place, stage in enumerate(space.layout.places) if stage.group == target.number]
        return option != 0 or sources[stages[0]] == sources[stages[-1] + 1]
    source, padding = sources[target.number], space.template.padding
    block = space.layout.block(target.number, {**own, choice.name: option})
    reference = space.layout.block(target.number, own)
    return block.after(source, source, padding) == reference.after(source, source, padding)
