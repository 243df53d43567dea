"""Which channels of a module belong together: groups that can grow, and what cannot and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from allometry.base import InputError
from allometry.nn.tracing.labels import Leaf, Spot, Value
from allometry.nn.tracing.traced_int import AttributeSpot
from allometry.nn.tracing.tracer import Tracer, tensors_in

_FEW_DIMENSIONS = 2  # of logits


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
    queries: Mapping[Spot, frozenset[int]]
    keys: Mapping[Spot, frozenset[int]]
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

    def __init__(
        self,
        message: str,
        tracer: Tracer | None = None,
        *,
        group: str | None = None,
        numbers: Iterable[int] = (),
    ) -> None:
        super().__init__(message)
        self.tracer = tracer
        self.group = group
        self.numbers = frozenset(numbers)


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
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise TraceError(
                f"{name or type(module).__name__} is compiled by TorchScript: its sizes are fixed."
            )
    modes = {part: part.training for part in module.modules()}
    tracer = Tracer(module)
    for tensor in tensors_in(inputs):
        tracer.keep(tensor, Value(data=True))
    try:
        module.eval()
        with tracer.watching():
            output = module(*inputs)
        if any(id(parameter) not in tracer.read for parameter in module.parameters()):
            _trace_training(tracer, module, inputs)
    except Exception as error:  # whatever a user's code raises
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TraceError(f"{tracer.place} does not run: {message}", tracer) from error
    finally:
        for part, training in modes.items():
            part.training = training
    _check_all_ran(tracer, module)
    for tensor in tensors_in(output):
        if tensor.ndim <= _FEW_DIMENSIONS:
            for plane in tracer.value(tensor).planes:
                tracer.labels.freeze(plane.numpy(), "the module's output")
    return tracer, output


def _check_all_ran(tracer: Tracer, module: nn.Module) -> None:
    """Refuse a module of which the image decides what runs, if not all of it did.

    Raises:
        TraceError: what becomes of channels in what did not run cannot be seen.
    """
    unread = [name for name, tensor in module.named_parameters() if id(tensor) not in tracer.read]
    if unread and tracer.decided is not None:
        raise TraceError(
            f"{tracer.decided}: what runs depends on values of the image, and nothing read {unread[0]}, so what "
            "becomes of its channels cannot be seen."
        )


def _trace_training(tracer: Tracer, module: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Follow what runs in training alone, such as a second classifier, as well.

    Raises:
        Exception: what the module's own code raises, where it works in training otherwise.
    """
    if not runs_in_training(module, inputs):
        return
    known = len(tracer.multiplications)
    with unchanged(module), tracer.watching():
        module.train()
        module(*inputs)
    # What runs in training alone is no part of what an image costs.
    ran = {cost.module for cost in tracer.multiplications[:known]}
    tracer.multiplications[known:] = [
        cost._replace(times=0) for cost in tracer.multiplications[known:] if cost.module not in ran
    ]


def runs_in_training(module: nn.Module, inputs: tuple[Any, ...]) -> bool:
    """Whether a module works in training mode on such inputs: batch norm of one value, for one, does not."""
    with unchanged(module), torch.no_grad():
        try:
            module.train()
            module(*inputs)
        except Exception:
            return False
    return True


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Leave a module's buffers and modes, and PyTorch's generator, as they were before the block."""
    modes = {part: part.training for part in module.modules()}
    buffers = {name: tensor.clone() for name, tensor in module.named_buffers()}
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield
    finally:
        for part, training in modes.items():
            part.training = training
        with torch.no_grad():
            for name, tensor in module.named_buffers():
                tensor.copy_(buffers[name])


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
        queries=_entries(leaves, tracer.queries),
        keys=_entries(leaves, tracer.keys),
        shapes={name: tuple(t.shape) for name, t in (*module.named_parameters(), *module.named_buffers())},
    )


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
