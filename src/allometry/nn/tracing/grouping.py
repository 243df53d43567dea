"""From the labels of a finished trace to the groups of channels that belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from allometry.nn.tracing.graph import (
    ChannelGraph,
    ChannelGroup,
    CountedAttribute,
    GroupedCost,
    NormedChannels,
    Positions,
    ScaledStatistic,
    Slot,
    kept_in_proportion,
)
from allometry.nn.tracing.labels import Leaf, Spot
from allometry.nn.tracing.tracer import Tracer

_OFFSETS = ("bias", "beta", "b", "b_2", "shift", "offset")


def graph_of(tracer: Tracer, module: nn.Module) -> ChannelGraph:
    """What a finished trace says, as data."""
    groups, number_of = _groups(tracer)
    coupled = _coupled(tracer, number_of)
    leaves = [leaf for leaf in tracer.labels.leaves if leaf.spot.tensor]

    def counts(row: Sequence[int]) -> dict[int, int]:
        known = np.asarray(row, np.int64)
        numbers = np.where(known >= 0, number_of[known], -1)
        return {
            int(number): int(count)
            for number, count in zip(*np.unique(numbers, return_counts=True), strict=True)
        }

    return ChannelGraph(
        groups=kept_in_proportion(groups, coupled),
        costs=tuple(
            GroupedCost(cost.module, cost.times, counts(cost.outputs), counts(cost.inputs))
            for cost in tracer.multiplications
        ),
        attributes=tuple(
            CountedAttribute(item.spot, counts(item.labels), item.size) for item in tracer.written
        ),
        coupled=coupled,
        readers=frozenset(leaves[number].spot for number in _among(leaves, tracer.readers)),
        silent=_entries(leaves, tracer.silent),
        norms=tuple(
            NormedChannels(norm.weight, norm.bias, norm.module, counts(norm.labels)) for norm in tracer.norms
        ),
        statistics=tuple(_statistics(tracer, module)),
        standardized={
            leaves[number].spot: correction
            for correction in sorted(set(tracer.standardized.values()))
            for number in _among(leaves, {k for k, own in tracer.standardized.items() if own == correction})
        },
        scales=frozenset(tracer.scales),
        queries=_entries(leaves, tracer.queries),
        keys=_entries(leaves, tracer.keys),
        shapes={name: tuple(t.shape) for name, t in (*module.named_parameters(), *module.named_buffers())},
    )


def _statistics(tracer: Tracer, module: nn.Module) -> Iterator[ScaledStatistic]:
    """The statistics over channels of parts with a number for each channel that is multiplied with or added."""
    for where, taken in tracer.statistics.items():
        rows = {
            f"{where}.{name}" if where else name: name
            for name, tensor in module.get_submodule(where).named_parameters(recurse=False)
            if tensor.numel() == max(tensor.shape, default=0) > 1
        }
        offsets = tuple(name for name, own in rows.items() if own in _OFFSETS)
        scales = tuple(name for name in rows if name not in offsets)
        if scales:
            yield ScaledStatistic(scales, offsets, centers=taken != ["mean"])


def _entries(leaves: Sequence[Leaf], labels: set[int]) -> dict[Spot, frozenset[int]]:
    """Which entries of which dimensions have one of the labels."""
    result: dict[Spot, frozenset[int]] = {}
    for leaf in leaves:
        inside = {label - leaf.start for label in labels if leaf.start <= label < leaf.start + leaf.size}
        if inside:
            result[leaf.spot] = frozenset(inside)
    return result


def _coupled(tracer: Tracer, number_of: npt.NDArray[np.int64]) -> tuple[frozenset[int], ...]:
    """The groups that grow in proportion."""
    sets: list[set[int]] = []
    for row in tracer.coupled:
        labels = np.array([label for label in (*row.labels, *row.others) if label >= 0], np.int64)
        together = set(number_of[labels].tolist()) - {-1}
        if len(together) > 1:
            for known in [known for known in sets if known & together]:
                sets.remove(known)
                together |= known
            sets.append(together)
    return tuple(frozenset(together) for together in sets)


def _groups(tracer: Tracer) -> tuple[list[ChannelGroup], npt.NDArray[np.int64]]:
    """The groups, and the number of each label's; -1 for labels of none."""
    labels = tracer.labels
    roots = labels.roots(np.arange(labels.size))
    leaves = [leaf for leaf in labels.leaves if leaf.spot.tensor]
    standing: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, leaf in enumerate(leaves):
        unique, times = np.unique(roots[leaf.start : leaf.start + leaf.size], return_counts=True)
        for root, count in zip(unique.tolist(), times.tolist(), strict=True):
            standing[root].append((number, count))
    reasons, normed = _reasons(tracer, roots), set(roots[sorted(labels.normed)].tolist())
    alike: dict[Any, list[int]] = defaultdict(list)
    for root, places in standing.items():
        alike[tuple(places), reasons(root), root in normed].append(root)
    giving = _among(leaves, tracer.producers)
    groups: list[ChannelGroup] = []
    number_of_root = np.full(labels.size, -1, np.int64)
    for (places, reason, is_normed), members in alike.items():
        ordered = np.array(sorted(members))
        number_of_root[ordered] = len(groups)
        slots = tuple(Slot(leaves[number].spot, count) for number, count in places)
        positions = tuple(_positions(roots, leaves[number], ordered) for number, _ in places)
        first = next((leaves[number].spot for number, _ in places if number in giving), slots[0].spot)
        groups.append(ChannelGroup(first.tensor, slots, positions, is_normed, reason, reason is None))
    return groups, number_of_root[roots]


def _positions(roots: npt.NDArray[np.int64], leaf: Leaf, ordered: npt.NDArray[np.int64]) -> Positions:
    """Where each channel of a group stands in a dimension."""
    own = roots[leaf.start : leaf.start + leaf.size]
    places = np.flatnonzero(np.isin(own, ordered))
    ranks = np.searchsorted(ordered, own[places])
    result: Positions = places[np.argsort(ranks, kind="stable")].reshape(len(ordered), -1)
    return result


def _among(leaves: Sequence[Leaf], labels: set[int]) -> set[int]:
    """The numbers of the leaves that hold one of the labels."""
    starts = np.array([leaf.start for leaf in leaves])
    ends = starts + np.array([leaf.size for leaf in leaves])
    chosen = np.array(sorted(labels), np.int64)
    places = np.searchsorted(starts, chosen, side="right") - 1
    return (
        set(places[(places >= 0) & (chosen < ends[places])].tolist())
        if len(chosen) and len(leaves)
        else set()
    )


def _reasons(tracer: Tracer, roots: npt.NDArray[np.int64]) -> Callable[[int], str | None]:
    """Why channels must stay as many, by the label that stands for them."""
    frozen: dict[int, str] = {}
    for label, reason in tracer.labels.frozen.items():
        frozen.setdefault(int(roots[label]), reason)
    # Queries and keys read each other: new ones of which one kind is zero are not seen.
    read = tracer.readers | tracer.silent
    producers, readers = (set(roots[sorted(known)].tolist()) for known in (tracer.producers, read))

    def why(root: int) -> str | None:
        if root in frozen:
            return frozen[root]
        if root not in producers:
            return "no weights give them"
        return None if root in readers else "no weights read them"

    return why
