"""Of which groups of a module's channels there can be fewer, and which of them are decided together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from allometry.arch.module_parts import ModuleChoice, ModuleDimension, ModuleGroup
from allometry.base import InputError
from allometry.nn.foreign.depth import restructured
from allometry.nn.foreign.elasticity import ModuleElasticity, OpenBlocks, run_name
from allometry.nn.foreign.fill import fill
from allometry.nn.foreign.judge import failing_groups, without_normed
from allometry.nn.foreign.members import insertions_of, kept_entries
from allometry.nn.foreign.oracle import refuse_other
from allometry.nn.foreign.runs import BlockRun, join_names
from allometry.nn.foreign.scale import READS_INPUT
from allometry.nn.foreign.widen import Resized, new_attributes, with_sizes
from allometry.nn.foreign.widths import is_inside, rounded_size, sizes_in_proportion
from allometry.nn.tracing.channels import TraceError, trace_channels
from allometry.nn.tracing.graph import ChannelGraph, ChannelGroup, frozen
from allometry.nn.tracing.labels import Spot

_MOST_TRIES = 24


@dataclass(frozen=True, slots=True)
class OpenChannels:
    """The groups of which channels can be left out, with their choices; and why others stay."""

    groups: tuple[ModuleGroup, ...]
    choices: tuple[ModuleChoice, ...]
    kept: tuple[str, ...]


@dataclass
class _Draft:
    """Groups of channels on their way to choices.

    Attributes:
        module: whose channels they are.
        graph: of its channels.
        elasticity: how narrow they may become.
        owner: for each group the one in whose choice it is.
    """

    module: nn.Module
    graph: ChannelGraph
    elasticity: ModuleElasticity
    owner: dict[int, int] = field(default_factory=dict)

    def sizes(self, width: float) -> dict[int, int]:
        """How many channels each group has at a width."""
        groups = self.graph.groups
        result = {
            number: _size_at(group, width, self.elasticity.channel_multiple)
            for number, group in enumerate(groups)
            if group.frozen is None
        }
        for together in self.graph.coupled:
            if together <= result.keys():
                result |= sizes_in_proportion(together, self.graph, result)
        return result

    def members(self) -> dict[int, list[int]]:
        """The groups of each choice, by the first of them."""
        result: dict[int, list[int]] = {}
        for number, group in enumerate(self.graph.groups):
            if group.frozen is None:
                result.setdefault(self.owner.get(number, number), []).append(number)
        return result

    def join(self, numbers: set[int]) -> bool:
        """Let these groups be decided together; whether that is new."""
        owners = {
            self.owner.get(number, number) for number in numbers if self.graph.groups[number].frozen is None
        }
        if len(owners) < 2:
            return False
        first = min(owners)
        for number in range(len(self.graph.groups)):
            if self.owner.get(number, number) in owners:
                self.owner[number] = first
        return True

    def freeze(self, numbers: set[int], why: str) -> None:
        """Let these groups stay as they are."""
        named = {number: f"{self.graph.groups[number].name}: {why}" for number in numbers}
        self.graph = frozen(self.graph, named)


def _size_at(group: ChannelGroup, width: float, multiple: int) -> int:
    size = rounded_size(group, width, multiple)
    return size if size < group.size or width == 1 else rounded_size(group, width, 1)


def open_channels(
    module: nn.Module,
    graph: ChannelGraph,
    inputs: tuple[Any, ...],
    elasticity: ModuleElasticity,
    *,
    runs: Sequence[BlockRun],
    blocks: OpenBlocks,
) -> OpenChannels:
    """The groups of channels that can be narrower, as far as the module still computes with them what it should.

    Channels inside the blocks of a stage are decided together, those between blocks each by themselves, unless the
    module computes one's number from the other's.

    Args:
        module: whose channels they are; its weights show what is wrong.
        graph: of its channels.
        inputs: that it takes.
        elasticity: how narrow they may become.
        runs: its stages.
        blocks: that can be left out.

    Raises:
        InputError: with narrower channels it would compute something else.
    """
    draft = _Draft(module, without_normed(graph), elasticity)
    stages: dict[str, set[int]] = {}
    for number, group in enumerate(draft.graph.groups):
        if group.frozen is None and is_inside(module, group):
            stages.setdefault(_stage_of(module, group, runs), set()).add(number)
    for numbers in (*stages.values(), *map(set, draft.graph.coupled)):
        draft.join(numbers)
    _join_over_gaps(draft, blocks, inputs)
    if any(group.frozen is None for group in draft.graph.groups):
        _narrowed_until_it_runs(draft, inputs)
    names = {number: stage for stage, numbers in stages.items() for number in numbers}
    choices, groups = _as_choices(draft, names)
    reasons = dict.fromkeys(
        group.frozen
        for group in draft.graph.groups
        if group.frozen is not None and ":" in group.frozen and READS_INPUT not in group.frozen
    )
    return OpenChannels(tuple(groups), tuple(choices), tuple(reasons))


def _join_over_gaps(draft: _Draft, blocks: OpenBlocks, inputs: tuple[Any, ...]) -> None:
    """Let channels be decided together that meet where the blocks between them are left out."""
    number_of = {slot.spot: number for number, group in enumerate(draft.graph.groups) for slot in group.slots}
    for place in range(max((len(choice.options) for choice in blocks.choices), default=1) - 1):
        taken = {
            choice.name: choice.options[min(place, len(choice.options) - 1)] for choice in blocks.choices
        }
        shorter, called = restructured(draft.module, insertions_of(blocks.runs, taken))
        for group in trace_channels(shorter, *inputs).groups:
            names = [slot.spot.tensor.rpartition(".") for slot in group.slots]
            before = [
                Spot(".".join(filter(None, (called[part], leaf))), slot.spot.dimension)
                for (part, _, leaf), slot in zip(names, group.slots, strict=True)
            ]
            meeting = {number_of[spot] for spot in before if spot in number_of}
            held = next((n for n in sorted(meeting) if draft.graph.groups[n].frozen is not None), None)
            if held is None:
                draft.join(meeting)
            elif any(draft.graph.groups[number].frozen is None for number in meeting):
                draft.freeze(meeting, f"they meet {draft.graph.groups[held].name} where blocks are left out")


def _narrowed_until_it_runs(draft: _Draft, inputs: tuple[Any, ...]) -> None:
    """Leave as they are, one after another, the channels with fewer of which the module does not run."""
    width = draft.elasticity.widths[0]
    for _ in range(_MOST_TRIES):
        sizes = {n: s for n, s in draft.sizes(width).items() if s != draft.graph.groups[n].size}
        try:
            _check_each(draft)
            resized = with_sizes(draft.module, draft.graph, sizes, inputs)
        except TraceError as error:
            if not draft.join(set(error.numbers)):
                wrong = failing_groups(draft.graph, sizes, error)
                draft.graph = frozen(draft.graph, dict.fromkeys(wrong, str(error)))
            continue
        moved = _moved(draft.graph, sizes, resized)
        if not moved:
            fill(draft.module, resized, method="new", seed=0)
            refuse_other(draft.module, resized, inputs, wider=False, seed=0)
            return
        draft.freeze(moved, "with fewer of them others change their places")
    raise InputError(f"No width of {type(draft.module).__name__} was found with which it runs.")


def _check_each(draft: _Draft) -> None:
    """Try the attributes that count channels with each option of each choice.

    Raises:
        TraceError: one would have to be a fraction, or two numbers at once.
    """
    for width in draft.elasticity.widths[:-1]:
        sizes = draft.sizes(width)
        for numbers in draft.members().values():
            new_attributes(draft.module, draft.graph, {number: sizes[number] for number in numbers})


def _moved(graph: ChannelGraph, sizes: Mapping[int, int], resized: Resized) -> set[int]:
    """The groups of which not just the first channels are left, in their old order."""
    kept = kept_entries(graph, sizes)
    wrong = set()
    for number in sizes:
        for slot in graph.groups[number].slots:
            name, dimension = slot.spot
            told = resized.weight_map[name].indices[dimension]
            own = next((indices.tolist() for side, indices in kept[name] if side == dimension), None)
            if told is None or own is None or list(told) != own:
                wrong.add(number)
    return wrong


def _as_choices(draft: _Draft, names: Mapping[int, str]) -> tuple[list[ModuleChoice], list[ModuleGroup]]:
    """The choices, each with a name of its own, and the groups that they decide."""
    choices: list[ModuleChoice] = []
    groups: list[ModuleGroup] = []
    at = {width: draft.sizes(width) for width in draft.elasticity.widths}
    taken: dict[str, int] = {}
    for first, numbers in draft.members().items():
        options = _different(at, numbers)
        if len(options) < 2:
            continue
        inside = first in names
        label = names[first] if inside else draft.graph.groups[first].name.removesuffix(".weight")
        name = f"{label} {'width' if inside else 'channels'}"
        taken[name] = taken.get(name, 0) + 1
        name = name if taken[name] == 1 else f"{name} {taken[name]}"
        dimension: ModuleDimension = "width" if inside else "channels"
        choices.append(ModuleChoice(name=name, dimension=dimension, options=options))
        groups += [
            ModuleGroup(
                number=number,
                name=draft.graph.groups[number].name,
                choice=name,
                options=options,
                sizes=tuple(at[width][number] for width in options),
            )
            for number in numbers
        ]
    return choices, groups


def _different(sizes: Mapping[float, Mapping[int, int]], numbers: Sequence[int]) -> tuple[float, ...]:
    """The widths with which some of these groups have other sizes than with the next larger one."""
    options: list[float] = []
    for width in sorted(sizes, reverse=True):
        known = [sizes[options[-1]][number] for number in numbers] if options else None
        if [sizes[width][number] for number in numbers] != known:
            options.append(width)
    return tuple(reversed(options))


def _stage_of(module: nn.Module, group: ChannelGroup, runs: Sequence[BlockRun]) -> str:
    """The stage in whose blocks a group is, or else its own block."""
    names = [slot.spot.tensor for slot in group.slots]
    for run in runs:
        children = [key for key, _ in module.get_submodule(run.container).named_children()]
        last = children.index(run.names[-1]) + 1
        for key in children[max(0, last - run.blocks) : last]:
            if all(name.startswith(f"{join_names(run.container, key)}.") for name in names):
                return run_name(run)
    common: list[str] = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return ".".join(common) or group.name
