"""How many channels each group of a module gets at another width."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import nn

from allometry.arch.rounding import CHANNEL_MULTIPLE, widen
from allometry.nn.tracing.graph import ChannelGraph, ChannelGroup

_LEAST = 2
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def scaled_sizes(
    module: nn.Module, graph: ChannelGraph, width: float, *, channel_multiple: int = CHANNEL_MULTIPLE
) -> dict[int, int]:
    """The sizes of a module's groups at another width, by their numbers; those that stay are not named.

    Channels that go from block to block are rounded to `channel_multiple`, as the papers' code does. Those inside a
    block keep their ratio to what the block is given or gives, where that is a whole number.

    Args:
        module: whose channels they are.
        graph: of its channels.
        width: multiplier.
        channel_multiple: what channels are rounded to.

    Example:
        >>> from allometry.nn.tracing import trace_channels
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 1), nn.Conv2d(16, 8, 1), nn.Flatten(), nn.Linear(8, 2))
        >>> graph = trace_channels(net, torch.zeros(1, 3, 1, 1))
        >>> [(graph.groups[number].name, size) for number, size in scaled_sizes(net, graph, 1.5).items()]
        [('0.weight', 24), ('1.weight', 16)]
    """
    growing = {number: group for number, group in enumerate(graph.groups) if group.frozen is None}
    inside = {number for number, group in growing.items() if is_inside(module, group)}
    sizes = {
        number: rounded_size(group, width, channel_multiple)
        for number, group in growing.items()
        if number not in inside
    }
    waiting = sorted(inside)
    while waiting:
        left = [number for number in waiting if not _follow(number, graph, sizes, set(waiting))]
        if len(left) == len(waiting):
            number = left.pop(0)
            sizes[number] = rounded_size(growing[number], width, channel_multiple)
        waiting = left
    for together in graph.coupled:
        if together <= growing.keys():
            sizes |= sizes_in_proportion(together, graph, sizes)
    return {number: size for number, size in sizes.items() if size != graph.groups[number].size}


def changed_sizes(module: nn.Module, graph: ChannelGraph, width: float) -> dict[int, int]:
    """The sizes at another width in steps of 8, and in half of that as often as else nothing at all would change.

    Example:
        >>> from allometry.nn.tracing import trace_channels
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 1), nn.Flatten(), nn.Linear(16, 2))
        >>> changed_sizes(net, trace_channels(net, torch.zeros(1, 3, 1, 1)), 0.75)
        {0: 12}
    """
    multiple = CHANNEL_MULTIPLE
    while not (sizes := scaled_sizes(module, graph, width, channel_multiple=multiple)) and multiple > 1:
        multiple //= 2
    return sizes


def rounded_size(group: ChannelGroup, width: float, multiple: int) -> int:
    """How many channels a group has at a width, when the weights that give them have a multiple of so many."""
    channels = widen(group.size * group.times, width, multiple)
    # A single channel is not told from what has no channels.
    size = max(_LEAST if group.times == 1 else 1, round(channels / group.times))
    # Groups of channels that stand several times cannot be rounded as finely: they grow at all, or not.
    return max(size, group.size) if width > 1 else min(size, group.size)


def sizes_in_proportion(
    together: frozenset[int], graph: ChannelGraph, sizes: Mapping[int, int]
) -> dict[int, int]:
    """Sizes of groups that stay in proportion, by what the largest of them gets."""
    before = {number: graph.groups[number].size for number in together}
    part = math.gcd(*before.values())
    largest = max(sorted(together), key=lambda number: before[number])
    parts = max(1, round(part * sizes[largest] / before[largest]))
    return {number: size // part * parts for number, size in before.items()}


def is_inside(module: nn.Module, group: ChannelGroup) -> bool:
    """Whether all places of a group are in one block."""
    paths = [slot.spot.tensor.split(".")[:-1] for slot in group.slots]
    common: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    if common in paths:
        common = common[:-1]
    return any(
        not isinstance(module.get_submodule(".".join(common[: depth + 1])), _CONTAINERS)
        for depth in range(len(common))
    )


def _follow(number: int, graph: ChannelGraph, sizes: dict[int, int], waiting: set[int]) -> bool:
    """Give a group inside a block its ratio to another one, if that one's size is known."""
    size = graph.groups[number].size
    above = [other for cost in graph.costs if number in cost.outputs for other in cost.inputs]
    below = [other for cost in graph.costs if number in cost.inputs for other in cost.outputs]
    others = [
        (other, graph.groups[other].size)
        for other in dict.fromkeys((*above, *below))
        if other >= 0 and other != number and graph.groups[other].frozen is None and other not in waiting
    ]
    chosen: tuple[int, int, int] | None = None
    for other, known in others:
        if other in below and known % size == 0 and known > size:
            chosen = other, 1, known // size
            break
    for other, known in others if chosen is None else ():
        if size % known == 0:
            chosen = other, size // known, 1
            break
        if known % size == 0:
            chosen = other, 1, known // size
            break
    if chosen is None:
        return False
    other, times, over = chosen
    grown = sizes.get(other, graph.groups[other].size)
    sizes[number] = max(min(_LEAST, size), grown * times // over)
    return True


def params_of(graph: ChannelGraph, sizes: Mapping[int, int], parameters: Mapping[str, float]) -> float:
    """Parameters with other sizes of groups.

    Args:
        graph: of the channels.
        sizes: of groups that differ.
        parameters: for each parameter how many times it counts.
    """
    grown: dict[str, list[float]] = {name: list(graph.shapes[name]) for name in parameters}
    for number, size in sizes.items():
        group = graph.groups[number]
        for slot in group.slots:
            if slot.spot.tensor in grown:
                grown[slot.spot.tensor][slot.spot.dimension] += (size - group.size) * slot.times
    total = 0.0
    for name, shape in grown.items():
        count = 1.0
        for side in shape:
            count *= side
        total += parameters[name] * count
    return total


def macs_of(graph: ChannelGraph, sizes: Mapping[int, int], times: Mapping[int, float]) -> float:
    """Multiply-accumulates with other sizes of groups, for the whole batch.

    Args:
        graph: of the channels.
        sizes: of groups that differ.
        times: for each of the graph's costs how many times it counts; once where it is not named.
    """

    def channels(counts: Mapping[int, int]) -> float:
        return sum(
            count * sizes.get(number, graph.groups[number].size) / graph.groups[number].size
            if number >= 0
            else count
            for number, count in counts.items()
        )

    return sum(
        times.get(place, 1.0) * cost.times * channels(cost.outputs) * channels(cost.inputs)
        for place, cost in enumerate(graph.costs)
    )
