"""Channels of a module that belong together, as data: groups that can grow, and what cannot and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from allometry.nn.tracing.labels import Spot
from allometry.nn.tracing.traced_int import AttributeSpot

Positions: TypeAlias = npt.NDArray[np.int64]


class Slot(NamedTuple):
    """A dimension in which a group's channels stand.

    Attributes:
        spot: of which tensor.
        times: how often each of them stands there.
    """

    spot: Spot
    times: int


@dataclass(frozen=True, slots=True)
class ChannelGroup:
    """Channels that come and go in the same places, so that there can be more or fewer of them.

    Attributes:
        name: of the weights that give them first.
        slots: where each of them stands.
        positions: for each slot where each channel stands in that dimension, [size, times].
        normed: a statistic is taken over them, as in layer norm, so that more of them change what is computed unless
            there are a whole number of times as many.
        frozen: why they must stay as many; None where they need not.
        traced: whether the trace itself lets them change.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from allometry.nn.tracing import trace_channels
        >>> group = trace_channels(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), torch.zeros(1, 3)).groups[0]
        >>> group.name, group.size, [slot.spot.tensor for slot in group.slots]
        ('0.weight', 4, ['0.weight', '0.bias', '1.weight'])
    """

    name: str
    slots: tuple[Slot, ...]
    positions: tuple[Positions, ...] = field(compare=False, repr=False)
    normed: bool
    frozen: str | None
    traced: bool

    @property
    def key(self) -> tuple[tuple[Slot, ...], bool, bool]:
        """By which the same group is found again when there are more channels."""
        return self.slots, self.normed, self.traced

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.positions[0])

    @property
    def times(self) -> int:
        """How many output channels of the weights that give them first each of them is."""
        return next(slot.times for slot in self.slots if slot.spot.tensor == self.name)


class GroupedCost(NamedTuple):
    """The multiply-accumulates of one product of weights.

    Attributes:
        module: in which it is.
        times: for each pair of channels.
        outputs: how many of each group, and how many that belong to none that grows.
        inputs: the same.
    """

    module: str
    times: int
    outputs: Mapping[int, int]
    inputs: Mapping[int, int]


class CountedAttribute(NamedTuple):
    """An attribute that counts channels.

    Attributes:
        spot: the attribute.
        counts: how many of each group it counts where it is used.
        size: what it was there.
    """

    spot: AttributeSpot
    counts: Mapping[int, int]
    size: int


class NormedChannels(NamedTuple):
    """A layer norm with a scale for each channel.

    Attributes:
        weight: name of its scale.
        bias: name of its offset; None where it has none.
        module: which holds its `eps`; None where none does.
        counts: how many channels of each group it takes its statistic of.
    """

    weight: str
    bias: str | None
    module: str | None
    counts: Mapping[int, int]


class ScaledStatistic(NamedTuple):
    """A statistic over channels that a part's own code takes, and what that is multiplied with.

    Attributes:
        scales: names of what has a factor for each channel.
        offsets: names of what is added to each.
        centers: whether the mean is taken off, so that what all channels have in common is not seen, and the rest is
            divided by its spread; otherwise channels are divided by a mean.
    """

    scales: tuple[str, ...]
    offsets: tuple[str, ...]
    centers: bool


@dataclass(frozen=True, slots=True)
class ChannelGraph:
    """All channels of a module.

    Attributes:
        groups: first those that can grow.
        costs: of each product of weights with the image, for the whole batch of the example.
        attributes: that count channels.
        coupled: numbers of groups that grow in proportion, since the module computes one's size from the other's.
        readers: which entries of which dimensions read channels, so that zeros there hide them.
        silent: which entries must be zero for new channels.
        norms: layer norms.
        statistics: over channels, that some part's own code takes.
        standardized: the dimensions of weights along which a statistic is taken over them, as where they are
            standardized, with the correction of its variance.
        scales: names of what batch and group norms multiply each channel with.
        queries: which entries give queries whose products with keys are divided by the root of their number.
        keys: the same of keys.
        shapes: of the module's tensors.
    """

    groups: tuple[ChannelGroup, ...]
    costs: tuple[GroupedCost, ...]
    attributes: tuple[CountedAttribute, ...]
    coupled: tuple[frozenset[int], ...]
    readers: frozenset[Spot]
    silent: Mapping[Spot, frozenset[int]]
    norms: tuple[NormedChannels, ...]
    statistics: tuple[ScaledStatistic, ...]
    standardized: Mapping[Spot, float]
    scales: frozenset[str]
    queries: Mapping[Spot, frozenset[int]]
    keys: Mapping[Spot, frozenset[int]]
    shapes: Mapping[str, tuple[int, ...]] = field(repr=False)

    @property
    def growing(self) -> tuple[ChannelGroup, ...]:
        """The groups of which there can be more or fewer channels."""
        return tuple(group for group in self.groups if group.frozen is None)


def kept_in_proportion(
    groups: Sequence[ChannelGroup], coupled: Iterable[frozenset[int]]
) -> tuple[ChannelGroup, ...]:
    """The groups, of which those stay as many that are in proportion to one that does."""
    result = list(groups)
    for together in coupled:
        held = next(
            (groups[number] for number in sorted(together) if groups[number].frozen is not None), None
        )
        for number in together if held is not None else ():
            if result[number].frozen is None:
                reason = f"{groups[number].name}: in proportion to {held.name}, which stays: {held.frozen}"  # type: ignore[union-attr]
                result[number] = replace(groups[number], frozen=reason)
    return tuple(result)


def frozen(graph: ChannelGraph, reasons: Mapping[int, str]) -> ChannelGraph:
    """A graph in which some groups stay as many, and those that are in proportion to them.

    Args:
        graph: of a module's channels.
        reasons: why, by the groups' numbers; those that stay already keep theirs.
    """
    groups = [
        group if group.frozen is not None or number not in reasons else replace(group, frozen=reasons[number])
        for number, group in enumerate(graph.groups)
    ]
    return replace(graph, groups=kept_in_proportion(groups, graph.coupled))
