"""Which channels of a module belong together: groups that can grow, and what cannot and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import nn

from allometry.base import InputError
from allometry.nn.tracing.labels import Spot
from allometry.nn.tracing.traced_int import AttributeSpot
from allometry.nn.tracing.tracer import Call, Tracer, tensors_in

_FEW_DIMENSIONS = 2  # of logits


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
        positions: for each slot and each channel where it stands in that dimension, [size][times].
        normed: a statistic is taken over them, as in layer norm, so that more of them change what is computed unless
            there are a whole number of times as many.
        frozen: why they must stay as many; None where they need not.
        traced: whether the trace itself lets them change.

    Example:
        >>> import torch
        >>> group = trace_channels(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), torch.zeros(1, 3)).groups[0]
        >>> group.name, group.size, [slot.spot.tensor for slot in group.slots]
        ('0.weight', 4, ['0.bias', '0.weight', '1.weight'])
    """

    name: str
    slots: tuple[Slot, ...]
    positions: tuple[tuple[tuple[int, ...], ...], ...]
    normed: bool
    frozen: str | None
    traced: bool = True

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


@dataclass(frozen=True, slots=True)
class ChannelGraph:
    """All channels of a module.

    Attributes:
        groups: first those that can grow.
        costs: of each product of weights with the image, for the whole batch of the example.
        attributes: that count channels.
        readers: which entries of which dimensions read channels, so that zeros there hide them.
        silent: which entries must be zero for new channels.
        calls: of the module's parts, in order.
        shapes: of the module's tensors.
    """

    groups: tuple[ChannelGroup, ...]
    costs: tuple[GroupedCost, ...]
    attributes: tuple[CountedAttribute, ...]
    readers: frozenset[Spot]
    silent: Mapping[Spot, frozenset[int]]
    calls: tuple[Call, ...] = field(repr=False)
    shapes: Mapping[str, tuple[int, ...]] = field(repr=False)

    @property
    def growing(self) -> tuple[ChannelGroup, ...]:
        """The groups of which there can be more or fewer channels."""
        return tuple(group for group in self.groups if group.frozen is None)


class TraceError(InputError):
    """A module cannot be followed, or not with so many channels; `tracer` and `group` say which.

    Example:
        >>> issubclass(TraceError, InputError)
        True
    """

    def __init__(self, message: str, tracer: Tracer | None = None, *, group: str | None = None) -> None:
        super().__init__(message)
        self.tracer = tracer
        self.group = group


def trace_channels(module: nn.Module, *inputs: Any) -> ChannelGraph:  # noqa: ANN401 - whatever the module takes
    """Run a module once and find out which channels of which tensors belong together.

    The module's own code runs, in evaluation mode, and every operation of PyTorch in it is watched; nothing is
    compiled, and the module is left as it was.

    Args:
        module: any.
        inputs: that it takes.

    Raises:
        TraceError: it does not run on these inputs.

    Example:
        >>> import torch
        >>> graph = trace_channels(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)), torch.zeros(1, 3, 8, 8))
        >>> [(group.name, group.size) for group in graph.growing]
        [('0.weight', 8)]
    """
    tracer, _ = run_traced(module, *inputs)
    return graph_of(tracer, module)


def run_traced(module: nn.Module, *inputs: Any) -> tuple[Tracer, Any]:  # noqa: ANN401 - whatever the module takes
    """Run a module while its channels are followed; what was found, and what the module gives.

    Raises:
        TraceError: it does not run on these inputs.
    """
    modes = {part: part.training for part in module.modules()}
    tracer = Tracer(module)
    for tensor in tensors_in(inputs):
        tracer.value(tensor).data = True
    try:
        module.eval()
        with tracer.watching():
            output = module(*inputs)
    except Exception as error:  # whatever a user's code raises
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TraceError(f"{tracer.place} does not run: {message}", tracer) from error
    finally:
        for part, training in modes.items():
            part.training = training
    for tensor in tensors_in(output):
        if tensor.ndim <= _FEW_DIMENSIONS:
            for plane in tracer.value(tensor).planes:
                tracer.labels.freeze(plane.numpy(), "the module's output")
    return tracer, output


def graph_of(tracer: Tracer, module: nn.Module) -> ChannelGraph:
    """What a finished trace says, as data."""
    labels = tracer.labels
    groups, number_of, label_spots = _groups(tracer)

    def counts(row: Sequence[int]) -> dict[int, int]:
        return dict(Counter(number_of.get(labels.root(label), -1) if label >= 0 else -1 for label in row))

    silent: dict[Spot, set[int]] = defaultdict(set)
    for label in tracer.silent & label_spots.keys():
        spot, index = label_spots[label]
        silent[spot].add(index)
    shapes = {name: tuple(t.shape) for name, t in (*module.named_parameters(), *module.named_buffers())}
    return ChannelGraph(
        groups=tuple(groups),
        costs=tuple(
            GroupedCost(cost.module, cost.times, counts(cost.outputs), counts(cost.inputs))
            for cost in tracer.multiplications
        ),
        attributes=tuple(
            CountedAttribute(item.spot, counts(item.labels), item.size) for item in tracer.written
        ),
        readers=frozenset(label_spots[label][0] for label in tracer.readers & label_spots.keys()),
        silent={spot: frozenset(indices) for spot, indices in silent.items()},
        calls=tuple(tracer.calls),
        shapes=shapes,
    )


def _groups(tracer: Tracer) -> tuple[list[ChannelGroup], dict[int, int], dict[int, tuple[Spot, int]]]:
    """The groups, the number of each label's, and where each label stands."""
    labels = tracer.labels
    places: dict[int, list[tuple[Spot, int]]] = defaultdict(list)
    label_spots: dict[int, tuple[Spot, int]] = {}
    for leaf in labels.leaves:
        for index in range(leaf.size):
            label = leaf.start + index
            label_spots[label] = leaf.spot, index
            places[labels.root(label)].append((leaf.spot, index))
    why, normed = _reasons(tracer), {labels.root(label) for label in labels.normed}
    firsts = {label_spots[label][0] for label in tracer.producers if label in label_spots}

    alike: dict[Any, list[int]] = defaultdict(list)
    for root, spots in places.items():
        counted = tuple(sorted(Counter(spot for spot, _ in spots).items()))
        alike[counted, why(root), root in normed].append(root)
    groups: list[ChannelGroup] = []
    number_of: dict[int, int] = {}
    for (counted, reason, is_normed), roots in alike.items():
        slots = tuple(Slot(spot, times) for spot, times in counted)
        if any(not slot.spot.tensor for slot in slots):
            slots = tuple(slot for slot in slots if slot.spot.tensor)
        if not slots:
            continue
        ordered = sorted(roots)
        positions = tuple(_positions(places, ordered, slot.spot) for slot in slots)
        first = min((slot.spot for slot in slots if slot.spot in firsts), default=slots[0].spot)
        for root in ordered:
            number_of[root] = len(groups)
        groups.append(ChannelGroup(first.tensor, slots, positions, is_normed, reason, reason is None))

    return groups, number_of, label_spots


def _reasons(tracer: Tracer) -> Callable[[int], str | None]:
    """Why channels must stay as many, by the label that stands for them."""
    labels = tracer.labels
    frozen: dict[int, str] = {}
    for label, reason in labels.frozen.items():
        frozen.setdefault(labels.root(label), reason)
    producers = {labels.root(label) for label in tracer.producers}
    readers = {labels.root(label) for label in tracer.readers}

    def why(root: int) -> str | None:
        if root in frozen:
            return frozen[root]
        if root not in producers:
            return "no weights give them"
        return None if root in readers else "no weights read them"

    return why


def _positions(
    places: Mapping[int, list[tuple[Spot, int]]], roots: Sequence[int], spot: Spot
) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(index for own, index in places[root] if own == spot) for root in roots)
