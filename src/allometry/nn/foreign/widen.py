"""Changing how many channels a module has: which tensors change shape, and what they inherit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from allometry.nn.channels import named_tensors
from allometry.nn.foreign.resize import resize
from allometry.nn.growing.weight_map import NEW, TensorSource, WeightMap
from allometry.nn.tracing.channels import TraceError, run_traced
from allometry.nn.tracing.graph import ChannelGraph, ChannelGroup, Slot
from allometry.nn.tracing.grouping import graph_of
from allometry.nn.tracing.labels import Spot
from allometry.nn.tracing.traced_int import AttributeSpot, read_attribute


@dataclass(frozen=True, slots=True)
class Resized:
    """A module with other numbers of channels, and how its channels stand to those of the module it comes from.

    Attributes:
        module: with zeros in the tensors that changed.
        graph: its channels.
        shapes: of the tensors that changed.
        attributes: that changed.
        weight_map: what its tensors inherit.
    """

    module: nn.Module
    graph: ChannelGraph
    shapes: Mapping[str, tuple[int, ...]]
    attributes: Mapping[AttributeSpot, float]
    weight_map: WeightMap


def with_sizes(
    module: nn.Module,
    graph: ChannelGraph,
    sizes: Mapping[int, int],
    inputs: tuple[Any, ...],
    *,
    copies: bool = False,
) -> Resized:
    """A copy of a module with other numbers of channels in some groups.

    The copy is run and followed as the original was: channels that do not come out as they should are an error.

    Args:
        module: stays as it is.
        graph: its channels.
        sizes: how many there shall be, by the number of the group.
        inputs: that the module takes.
        copies: new channels stand for those that are there, in their order again and again; else for none.

    Raises:
        TraceError: the module does not work with so many channels.
        InputError: it cannot be copied, or an attribute would have to be a fraction.
    """
    shapes = new_shapes(graph, sizes)
    attributes: dict[AttributeSpot, float] = {
        **new_attributes(module, graph, sizes),
        **({} if copies else _new_epsilons(module, graph, sizes)),
    }
    result = resize(module, shapes, attributes)
    if not shapes and not attributes:
        same = matched(graph, graph, sizes)
        return Resized(result, graph, shapes, attributes, weight_map(graph, graph, same, copies=copies))
    tracer, _ = run_traced(result, *inputs)
    new = graph_of(tracer, result)
    pairs = matched(graph, new, sizes)
    return Resized(result, new, shapes, attributes, weight_map(graph, new, pairs, copies=copies))


def new_shapes(graph: ChannelGraph, sizes: Mapping[int, int]) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors that change when groups have other sizes."""
    shapes = {name: list(shape) for name, shape in graph.shapes.items()}
    for number, size in sizes.items():
        group = graph.groups[number]
        for slot in group.slots:
            shapes[slot.spot.tensor][slot.spot.dimension] += (size - group.size) * slot.times
    return {name: tuple(shape) for name, shape in shapes.items() if tuple(shape) != graph.shapes[name]}


def new_attributes(
    module: nn.Module, graph: ChannelGraph, sizes: Mapping[int, int]
) -> dict[AttributeSpot, int]:
    """The attributes that count channels, as they must be when groups have other sizes.

    Raises:
        TraceError: an attribute would have to be a fraction, or two numbers at once.
    """
    result: dict[AttributeSpot, int] = {}
    for item in graph.attributes:
        size = sum(
            times if number not in sizes else times * sizes[number] / graph.groups[number].size
            for number, times in item.counts.items()
        )
        value = read_attribute(module, item.spot) * size / sum(item.counts.values())
        if value != int(value):
            raise TraceError(
                f"{item.spot} would have to be {value:g}: it must be a whole number.", numbers=item.counts
            )
        if result.setdefault(item.spot, int(value)) != value:
            raise TraceError(
                f"{item.spot} would have to be {result[item.spot]} and {value:g} at once.",
                numbers={
                    number for other in graph.attributes if other.spot == item.spot for number in other.counts
                },
            )
    return {spot: value for spot, value in result.items() if value != read_attribute(module, spot)}


def _new_epsilons(
    module: nn.Module, graph: ChannelGraph, sizes: Mapping[int, int]
) -> dict[AttributeSpot, float]:
    """What layer norms add to variances that become smaller, since new channels are zeros at first."""
    result: dict[AttributeSpot, float] = {}
    for norm in graph.norms:
        if norm.module is None:
            continue
        after = sum(
            count * sizes.get(number, graph.groups[number].size) / graph.groups[number].size
            if number >= 0
            else count
            for number, count in norm.counts.items()
        )
        before = sum(norm.counts.values())
        if after > before:
            eps = module.get_submodule(norm.module).__dict__["eps"]
            result[AttributeSpot(norm.module, "eps", None)] = eps * before / after
    return result


def matched(
    old: ChannelGraph, new: ChannelGraph, sizes: Mapping[int, int]
) -> list[tuple[ChannelGroup, ChannelGroup]]:
    """The groups of a module beside those of the module with other sizes.

    Raises:
        TraceError: a group is not there any more, or has another size than it should.
    """
    known = {group.key: group for group in new.groups}
    pairs = []
    for number, group in enumerate(old.groups):
        other = known.get(group.key)
        size = sizes.get(number, group.size)
        if other is None or other.size != size:
            what = "differ from what they were" if other is None else f"are {other.size}, not {size}"
            raise TraceError(f"{group.name}: with other widths its channels {what}.", group=group.name)
        pairs.append((group, other))
    return pairs


def weight_map(
    old: ChannelGraph,
    new: ChannelGraph,
    pairs: list[tuple[ChannelGroup, ChannelGroup]],
    *,
    copies: bool = False,
) -> WeightMap:
    """What the tensors of a module with other sizes inherit: of each group the first channels, and copies of them."""
    sources: dict[Spot, npt.NDArray[np.int64]] = {}
    for one, two in pairs:
        for slot, before, after in zip(one.slots, one.positions, two.positions, strict=True):
            if slot.spot not in sources:
                sources[slot.spot] = np.full(new.shapes[slot.spot.tensor][slot.spot.dimension], NEW)
            kept = min(len(before), len(after))
            sources[slot.spot][after[:kept]] = before[:kept]
            if copies and len(after) > kept:
                sources[slot.spot][after[kept:]] = before[np.arange(kept, len(after)) % kept]
    result = {}
    for name, shape in new.shapes.items():
        indices: list[tuple[int, ...] | None] = []
        for dimension in range(len(shape)):
            known = sources.get(Spot(name, dimension))
            size = old.shapes[name][dimension]
            same = known is None or (len(known) == size and bool((known == np.arange(size)).all()))
            indices.append(None if known is None or same else tuple(known.tolist()))
        result[name] = TensorSource(name, tuple(indices))
    return result


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, by their names.

    Example:
        >>> list(tensors_of(nn.Linear(2, 2)))
        ['weight', 'bias']
    """
    return dict(named_tensors(module))


def is_new(source: TensorSource, shape: tuple[int, ...], dimension: int) -> torch.Tensor:
    """Which entries of a dimension are new."""
    row = source.indices[dimension]
    if row is None:
        return torch.zeros(shape[dimension], dtype=torch.bool)
    return torch.tensor(row) == NEW


__all__ = [
    "Resized",
    "Slot",
    "is_new",
    "matched",
    "new_attributes",
    "new_shapes",
    "tensors_of",
    "weight_map",
    "with_sizes",
]
