"""The space of a module: looked at once, with what all of its members cost."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from allometry.arch.module_parts import (
    NO_GROUP,
    Channels,
    Factor,
    ModuleChoice,
    ModuleProduct,
    ModuleTensor,
    TensorSide,
)
from allometry.arch.module_space import RESOLUTION, ModuleDecisions, ModuleSpace
from allometry.base import InputError
from allometry.nn.channels import named_tensors
from allometry.nn.foreign.elasticity import ModuleElasticity, open_blocks
from allometry.nn.foreign.members import ModuleMembers, fill_in_place, without_values
from allometry.nn.foreign.open_channels import open_channels
from allometry.nn.foreign.oracle import shaken
from allometry.nn.foreign.runs import find_runs, join_names, run_once
from allometry.nn.tracing.channels import runs_in_training, trace_channels, unchanged
from allometry.nn.tracing.graph import ChannelGraph

_TRIED = 8  # members at random


def module_space(
    module: nn.Module,
    *,
    resolution: int,
    in_channels: int = 3,
    name: str = "",
    elasticity: ModuleElasticity = ModuleElasticity(),
) -> ModuleSpace:
    """What of a module can be left open: widths of its channels, depths of its stages, sizes of its images.

    The module is looked at as `scale_module` does it, and its smallest member is judged the same way: with its channels
    grown back it must compute what it did. Members are counted by a formula, which some of them are held against.

    Args:
        module: a classifier of images; stays as it is.
        resolution: of the largest images, in pixels.
        in_channels: of the images.
        name: `package.module:factory`, or whatever people call it.
        elasticity: how much of it shall be open.

    Raises:
        InputError: nothing of it can be left open, it is no classifier of such images, or narrower it would compute
            something else; the message says what and where.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2))
        >>> space = module_space(net, resolution=16, elasticity=ModuleElasticity(widths=(0.5,)))
        >>> [(choice.name, choice.options) for choice in space.choices]
        [('resolution', (12.0, 14.0, 16.0)), ('0 channels', (0.5, 1.0))]
    """
    called = name or type(module).__name__
    image = _image(resolution, in_channels)
    classes = _classes(module, image, called)
    subject = shaken(module)
    graph, runs = trace_channels(subject, image), find_runs(subject, image)
    blocks = open_blocks(subject, (image,), elasticity)
    channels = open_channels(subject, graph, (image,), elasticity, runs=runs, blocks=blocks)
    sizes, refused = _sizes_of_images(subject, resolution, in_channels, elasticity)
    space = ModuleSpace(
        module=called,
        choices=(sizes, *blocks.choices, *channels.choices),
        groups=channels.groups,
        runs=blocks.runs,
        resolutions=tuple(int(side) for side in sizes.options),
        products=(),
        tensors=(),
        in_channels=in_channels,
        classes=classes,
        kept=(*blocks.kept, *channels.kept, *refused),
    )
    blank = without_values(subject)
    space = _without_failing(ModuleMembers(space, blank, graph), subject)
    if len(space.choices) < 2:
        why = (
            space.kept[0]
            if space.kept
            else "it has neither blocks that repeat nor channels that can be followed"
        )
        raise InputError(f"Nothing of {called} can be left open, so no supernet is made of it: {why}.")
    space = replace(space, tensors=_tensors(subject, graph, space), products=_products(subject, graph, space))
    rest = tuple(_products_without_weights(ModuleMembers(space, blank, graph), subject))
    space = replace(space, products=(*space.products, *rest))
    _check_members(ModuleMembers(space, blank, graph), subject)
    return space


def _image(side: int, channels: int) -> Tensor:
    return torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(side))


def _classes(module: nn.Module, image: Tensor, called: str) -> int:
    """How many classes a module tells apart.

    Raises:
        InputError: it gives something other than one number for each class, or something else in training.
    """
    output = run_once(module, (image,))
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != 1:
        what = f"{tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise InputError(f"{called} gives {what} for an image, not one number for each class.")
    two = torch.cat([image, image])
    if not runs_in_training(module, (two,)):
        raise InputError(f"{called} does not run in training on two images of {image.shape[-1]} px.")
    with unchanged(module), torch.no_grad():
        learning = module.train()(two)
    if not isinstance(learning, Tensor) or learning.shape != (2, output.shape[1]):
        raise InputError(
            f"{called} gives something else in training than one number for each class, such as the answers of a "
            "second classifier, which a supernet does not learn from: let its factory leave that out."
        )
    return int(output.shape[1])


def _sizes_of_images(
    module: nn.Module, resolution: int, channels: int, elasticity: ModuleElasticity
) -> tuple[ModuleChoice, tuple[str, ...]]:
    """The sizes of images that a module takes, and why it does not take others."""
    options, refused = {resolution}, []
    for share in elasticity.resolutions[:-1]:
        side = max(1, round(share * resolution))
        if side % 2 and side > 8:
            side += 1
        try:
            run_once(module, (_image(side, channels),))
            options.add(side)
        except InputError as error:
            refused.append(f"resolution: {error}")
    choice = ModuleChoice(
        name=RESOLUTION, dimension="resolution", options=tuple(float(side) for side in sorted(options))
    )
    return choice, tuple(refused[:1])


def _without_failing(members: ModuleMembers, module: nn.Module) -> ModuleSpace:
    """The space without the choices with whose first option alone the module does not run."""
    space, failed = members.space, {}
    whole = {**space.largest().decisions, RESOLUTION: space.choices[0].options[0]}
    least = {choice.name: choice.options[0] for choice in space.choices}
    with suppress(InputError):
        macs_by_part(members, module, least)
        return space  # most modules: what works together works alone, which is tried with some members later
    for choice in space.choices[1:]:
        try:
            macs_by_part(members, module, {**whole, choice.name: choice.options[0]})
        except InputError as error:
            failed[choice.name] = f"{choice.name}: {error}"
    return replace(
        space,
        choices=tuple(choice for choice in space.choices if choice.name not in failed),
        groups=tuple(group for group in space.groups if group.choice not in failed),
        runs=tuple(run for run in space.runs if run.choice not in failed),
        kept=(*space.kept, *failed.values()),
    )


def _check_members(members: ModuleMembers, module: nn.Module) -> None:
    """Run some members, the smallest among them, and count them.

    Raises:
        InputError: one does not run, or is not counted as it was told.
    """
    space, chance = members.space, random.Random(0)
    some = [{choice.name: chance.choice(choice.options) for choice in space.choices} for _ in range(_TRIED)]
    for decisions in (space.smallest().decisions, *some):
        taken = ", ".join(f"{name} {option:g}" for name, option in decisions.items())
        try:
            seen = sum(macs_by_part(members, module, decisions).values())
        except InputError as error:
            raise InputError(f"{space.module} cannot be made a supernet: with {taken}: {error}") from error
        told = space.network(decisions).macs
        if seen != told:
            raise InputError(
                f"{space.module} cannot be made a supernet: with {taken} it was expected to take {told:,} MACs, and it "
                f"takes {seen:,}."
            )


def _tensors(module: nn.Module, graph: ChannelGraph, space: ModuleSpace) -> tuple[ModuleTensor, ...]:
    """The trainable parameters, with the dimensions that change."""
    sides: dict[str, list[TensorSide]] = defaultdict(list)
    for place, group in enumerate(space.groups):
        for slot in graph.groups[group.number].slots:
            sides[slot.spot.tensor].append(TensorSide(slot.spot.dimension, place, slot.times))
    return tuple(
        ModuleTensor(name=name, shape=tuple(tensor.shape), sides=tuple(sides[name]))
        for name, tensor in module.named_parameters()
        if tensor.requires_grad
    )


class _Row(NamedTuple):
    """A product of weights, whatever the size of the image."""

    module: str
    outputs: tuple[Channels, ...]
    inputs: tuple[Channels, ...]


def _products(module: nn.Module, graph: ChannelGraph, space: ModuleSpace) -> tuple[ModuleProduct, ...]:
    """The products of weights, for each size of the image."""
    places = {group.number: place for place, group in enumerate(space.groups)}
    times: dict[_Row, list[float]] = {}
    for number, side in enumerate(space.resolutions):
        last = side == space.resolutions[-1]
        seen = graph if last else trace_channels(module, _image(side, space.in_channels))
        for cost in seen.costs:
            row = _Row(cost.module, _channels(cost.outputs, places), _channels(cost.inputs, places))
            times.setdefault(row, [0.0] * len(space.resolutions))[number] += cost.times
    return tuple(
        ModuleProduct(module=row.module, times=tuple(known), outputs=row.outputs, inputs=row.inputs)
        for row, known in times.items()
    )


def _channels(counts: Mapping[int, int], places: Mapping[int, int]) -> tuple[Channels, ...]:
    fixed = sum(count for number, count in counts.items() if number not in places)
    own = [Channels(places[number], count) for number, count in sorted(counts.items()) if number in places]
    return (*own, *([Channels(NO_GROUP, fixed)] if fixed else []))


def _products_without_weights(members: ModuleMembers, module: nn.Module) -> Iterator[ModuleProduct]:
    """What runs beside products of weights, such as attention's, by the parts of the module in which it is.

    It is what is counted as it runs less what is known; which choices it follows is seen with each of their options.
    """
    space = members.space
    largest = space.largest().decisions
    rests = [_rest(members, module, {**largest, RESOLUTION: float(side)}) for side in space.resolutions]
    if not any(sum(rest.values()) for rest in rests):
        return  # the counter may say of a product that it is in another part, but there are none besides
    names = sorted(set(chain(*rests)))
    whole = rests[-1]
    factors: dict[str, list[Factor]] = defaultdict(list)
    for choice in space.choices:
        if choice.dimension not in ("width", "channels"):
            continue
        seen = [_rest(members, module, {**largest, choice.name: option}) for option in choice.options]
        for name in names:
            values = [rest.get(name, 0.0) / whole[name] if whole.get(name) else 1.0 for rest in seen]
            if any(value != 1 for value in values):
                factors[name].append(Factor(choice.name, choice.options, tuple(values)))
    for name in names:
        times = tuple(rest.get(name, 0.0) for rest in rests)
        yield ModuleProduct(module=name, times=times, factors=tuple(factors[name]))


def _rest(members: ModuleMembers, module: nn.Module, decisions: ModuleDecisions) -> dict[str, float]:
    """For each part of the module what a member runs there that is no product of weights; nothing where it is 0."""
    seen, known = macs_by_part(members, module, decisions), members.space.macs_by_part(decisions)
    names = seen.keys() | known.keys()
    return {name: rest for name in names if (rest := seen.get(name, 0) - known.get(name, 0.0))}


def macs_by_part(members: ModuleMembers, module: nn.Module, decisions: ModuleDecisions) -> dict[str, int]:
    """The multiply-accumulates of a member as it runs, by the parts of the whole module that run them themselves.

    Raises:
        InputError: it does not run.
    """
    skeleton = members.skeleton(decisions)
    made = skeleton.module
    fill_in_place(made, skeleton.parts, dict(named_tensors(module)).__getitem__)
    with FlopCounterMode(display=False) as counter:
        run_once(made, (_image(int(decisions[RESOLUTION]), members.space.in_channels),))
    counts = {str(name): sum(flops.values()) // 2 for name, flops in counter.get_flop_counts().items()}
    root, own = type(made).__name__, {}
    for name, part in made.named_modules():
        inside = sum(counts.get(f"{root}.{join_names(name, child)}", 0) for child, _ in part.named_children())
        if macs := counts.get(f"{root}.{name}" if name else root, 0) - inside:
            own[skeleton.called[name]] = macs
    return own
