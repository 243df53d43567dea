"""The members of a module's space: which blocks and channels of the module each has, without its weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allometry.arch.module_parts import ModuleRun
from allometry.arch.module_space import ModuleDecisions, ModuleSpace
from allometry.base import InputError
from allometry.nn.channels import named_tensors
from allometry.nn.foreign.depth import Insertion, restructured
from allometry.nn.foreign.forms import AttributeChange
from allometry.nn.foreign.plan import GroupChange, ModulePlan
from allometry.nn.foreign.resize import copied, resize_in_place
from allometry.nn.foreign.widen import new_attributes, new_shapes
from allometry.nn.tracing.channels import trace_channels
from allometry.nn.tracing.graph import ChannelGraph
from allometry.nn.tracing.traced_int import AttributeSpot


class TensorPart(NamedTuple):
    """The part of a tensor that a member uses.

    Attributes:
        name: of the tensor in the whole module.
        kept: for each dimension of which not all is used, which entries are, in order.
    """

    name: str
    kept: tuple[tuple[int, Tensor], ...]

    def of(self, tensor: Tensor) -> Tensor:
        """That part; gradients flow back through it.

        Example:
            >>> TensorPart("weight", ((0, torch.tensor([0, 2])),)).of(torch.tensor([5.0, 6.0, 7.0]))
            tensor([5., 7.])
        """
        for dimension, indices in self.kept:
            if int(indices[-1]) == len(indices) - 1:  # the first ones, for which nothing need be copied
                tensor = tensor.narrow(dimension, 0, len(indices))
            else:
                tensor = tensor.index_select(dimension, indices.to(tensor.device))
        return tensor


class Skeleton(NamedTuple):
    """A member without values.

    Attributes:
        module: of the classes of the whole one, on the meta device.
        parts: of the whole module's tensors, by the member's own names.
        called: what its parts are called in the whole module.
    """

    module: nn.Module
    parts: Mapping[str, TensorPart]
    called: Mapping[str, str]


class _Planned(NamedTuple):
    """A member before its channels change: its plan, its blocks, and what its parts and tensors were called."""

    plan: ModulePlan
    module: nn.Module
    called: Mapping[str, str]
    sources: Mapping[str, str]


@dataclass(frozen=True)
class ModuleMembers:
    """What members of a space are made from.

    Attributes:
        space: with the module's groups and runs.
        blank: the whole module, on the meta device.
        graph: of its channels.
    """

    space: ModuleSpace
    blank: nn.Module
    graph: ChannelGraph

    def __deepcopy__(self, _memo: object) -> ModuleMembers:
        """Itself: a supernet and its average share it."""
        return self

    @classmethod
    def of(cls, space: ModuleSpace, module: nn.Module) -> ModuleMembers:
        """Look at the module of a space again.

        Raises:
            InputError: it is another module than that of the space.
        """
        side = space.resolutions[-1]
        graph = trace_channels(module, torch.zeros(1, space.in_channels, side, side))
        for group in space.groups:
            same = group.number < len(graph.groups) and graph.groups[group.number].name == group.name
            if not same or graph.groups[group.number].size != group.sizes[-1]:
                raise InputError(
                    f"{space.module} gives another {type(module).__name__} than it did: its channels of {group.name} "
                    "differ. Bring the old code back, or begin anew in another folder."
                )
        return cls(space, without_values(module), graph)

    def skeleton(self, decisions: ModuleDecisions) -> Skeleton:
        """A member without values.

        Raises:
            InputError: an attribute of the module cannot be what it would have to be.
        """
        made = self._planned(decisions)
        spots = {
            AttributeSpot(item.module, item.attribute, item.index): item.value
            for item in made.plan.attributes
        }
        resize_in_place(made.module, made.plan.shapes, spots)
        kept = kept_entries(self.graph, self._sizes(decisions))
        parts = {name: TensorPart(source, kept.get(source, ())) for name, source in made.sources.items()}
        return Skeleton(made.module, parts, made.called)

    def plan(self, decisions: ModuleDecisions) -> ModulePlan:
        """The plan by which `apply_plan` makes a member of the whole module, as its factory gives it."""
        return self._planned(decisions).plan

    def _planned(self, decisions: ModuleDecisions) -> _Planned:
        insertions = insertions_of(self.space.runs, decisions)
        deep, called = restructured(self.blank, insertions)
        sources = {
            name: ".".join(filter(None, (called[part], leaf)))
            for name, _ in (*deep.named_parameters(), *deep.named_buffers())
            for part, _, leaf in [name.rpartition(".")]
        }
        sizes = self._sizes(decisions)
        shapes, attributes = new_shapes(self.graph, sizes), new_attributes(self.blank, self.graph, sizes)
        now = {old: name for name, old in called.items()}
        groups = [self.graph.groups[number] for number in sizes]
        plan = ModulePlan(
            insertions=insertions,
            shapes={name: shapes[old] for name, old in sources.items() if old in shapes},
            attributes=tuple(
                AttributeChange(now[spot.module], spot.attribute, spot.index, value)
                for spot, value in attributes.items()
                if spot.module in now
            ),
            groups=tuple(
                GroupChange(group.name, group.size, size, len(group.slots))
                for group, size in zip(groups, sizes.values(), strict=True)
            ),
        )
        return _Planned(plan, deep, called, sources)

    def _sizes(self, decisions: ModuleDecisions) -> dict[int, int]:
        """The sizes of the groups that are not as large as they were, by the graph's numbers."""
        sizes = zip(self.space.groups, self.space.sizes(decisions), strict=True)
        return {group.number: size for group, size in sizes if size != group.sizes[-1]}


def without_values(module: nn.Module) -> nn.Module:
    """A copy of a module on the meta device; what it shares it still shares."""
    result = copied(module)
    _replace_tensors(
        result,
        {
            id(tensor): nn.Parameter(tensor.detach().to("meta"), requires_grad=tensor.requires_grad)
            if isinstance(tensor, nn.Parameter)
            else tensor.to("meta")
            for _, tensor in named_tensors(result)
        },
    )
    return result


def _replace_tensors(module: nn.Module, made: Mapping[int, Tensor]) -> None:
    """Put others in the place of a module's tensors, by the ids of those."""
    for part in module.modules():
        kinds: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)
        for held in kinds:
            held.update({key: made[id(tensor)] for key, tensor in held.items() if tensor is not None})


def insertions_of(runs: Sequence[ModuleRun], decisions: ModuleDecisions) -> tuple[Insertion, ...]:
    """The runs that are shorter than they were."""
    left = [(run, int(decisions[run.choice]) - run.before) for run in runs]
    return tuple(
        Insertion(run.container, run.blocks, repeats) for run, repeats in left if repeats < len(run.blocks)
    )


def kept_entries(graph: ChannelGraph, sizes: Mapping[int, int]) -> dict[str, tuple[tuple[int, Tensor], ...]]:
    """Which entries of the dimensions that change are left when groups have other sizes, by tensors."""
    masks: dict[tuple[str, int], Any] = {}
    for number, size in sizes.items():
        group = graph.groups[number]
        for slot, positions in zip(group.slots, group.positions, strict=True):
            place = (slot.spot.tensor, slot.spot.dimension)
            mask = masks.setdefault(place, np.ones(graph.shapes[place[0]][place[1]], bool))
            mask[positions[size:].ravel()] = False
    kept: dict[str, list[tuple[int, Tensor]]] = {}
    for (name, dimension), mask in masks.items():
        kept.setdefault(name, []).append((dimension, torch.from_numpy(np.flatnonzero(mask))))
    return {name: tuple(sides) for name, sides in kept.items()}


def filled(skeleton: Skeleton, value_of: Callable[[str], Tensor]) -> nn.Module:
    """A module by itself: a member with copies of its parts of the values, each tensor that it shares once.

    Args:
        skeleton: of the member; stays as it is.
        value_of: the whole module's tensors, by their names there.
    """
    module = copy.deepcopy(skeleton.module)
    fill_in_place(module, skeleton.parts, value_of)
    return module


def fill_in_place(
    module: nn.Module, parts: Mapping[str, TensorPart], value_of: Callable[[str], Tensor]
) -> None:
    """Give a module without values its parts of some."""
    made: dict[int, Tensor] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        part = parts[name]
        value = part.of(value_of(part.name)).detach().clone(memory_format=torch.contiguous_format)
        made[id(tensor)] = (
            nn.Parameter(value, requires_grad=tensor.requires_grad)
            if isinstance(tensor, nn.Parameter)
            else value
        )
    _replace_tensors(module, made)
