"""A module at other widths, as far as it then computes what it did."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from torch import nn

from allometry.base import InputError
from allometry.nn.foreign.fill import fill
from allometry.nn.foreign.normed import may_keep_statistics
from allometry.nn.foreign.oracle import ChangedError, refuse_other
from allometry.nn.foreign.widen import Resized, with_sizes
from allometry.nn.growing.filling import GrowthMethod
from allometry.nn.tracing.channels import ChannelGraph, TraceError, kept_in_proportion

Widths: TypeAlias = Callable[[nn.Module, ChannelGraph], dict[int, int]]
"""How many channels groups of a module shall have, by their numbers; those that stay are not named."""

_MOST_TRIES = 24


@dataclass(frozen=True, slots=True)
class Judge:
    """Widens a module as far as it then computes what it did.

    Attributes:
        modules: the module with weights that hide nothing, and with its own; what is larger has the last one's weights.
        inputs: that it takes.
        widths: how many channels groups shall have; None where none change.
        method: what new channels are.
        seed: of new weights.
    """

    modules: Sequence[nn.Module]
    inputs: tuple[Any, ...]
    widths: Widths | None
    method: GrowthMethod
    seed: int

    def widest(self, graph: ChannelGraph) -> tuple[ChannelGraph, Resized]:
        """The module with as many groups changed as can be, and the graph that says which those are.

        Raises:
            InputError: it would compute something else.
        """
        try:
            return self.at(graph)
        except ChangedError:
            if not any(group.normed and group.frozen is None for group in graph.groups):
                raise
        # Whatever takes a statistic over channels may compute something else with more of them.
        together = self._under_statistics(graph)
        found = self._with_some(graph, together)
        if found is None and len(together) > 1:
            found = self._with_some(graph, [some for some in together if self._with_some(graph, [some])])
        return self.at(without_normed(graph)) if found is None else found

    def at(self, graph: ChannelGraph) -> tuple[ChannelGraph, Resized]:
        """The module at its widths, judged; groups with which it does not run stay.

        Raises:
            ChangedError: it would compute something else.
        """
        copies = self.method == "copies"
        graph, resized = widened(
            self.modules[0], graph, widths=self.widths, inputs=self.inputs, copies=copies
        )
        wider = is_wider(graph, resized)
        for module in self.modules:
            fill(module, resized, method=self.method, seed=self.seed)
            refuse_other(module, resized, self.inputs, wider=wider, seed=self.seed, method=self.method)
        return graph, resized

    def _under_statistics(self, graph: ChannelGraph) -> list[set[int]]:
        """The groups under a statistic that may change, those that stay in proportion together; none of too many."""
        apart = {
            number
            for number, group in enumerate(graph.groups)
            if group.normed and group.frozen is None
            if self.method == "copies" or may_keep_statistics(group, graph)
        }
        together = [set(some) for some in graph.coupled if some & apart]
        together += [{number} for number in sorted(apart.difference(*together))]
        return together if len(together) <= _MOST_TRIES else []

    def _with_some(
        self, graph: ChannelGraph, some: Collection[set[int]]
    ) -> tuple[ChannelGraph, Resized] | None:
        """The module where only some groups under a statistic change; None where it computes something else."""
        if not some:
            return None
        try:
            return self.at(without_normed(graph, but=set().union(*some)))
        except ChangedError:
            return None


def is_wider(graph: ChannelGraph, resized: Resized) -> bool:
    """Whether no group has fewer channels than before."""
    after = {group.key: group.size for group in resized.graph.groups}
    return all(after[group.key] >= group.size for group in graph.groups)


def widened(
    module: nn.Module,
    graph: ChannelGraph,
    *,
    widths: Widths | None,
    inputs: tuple[Any, ...],
    copies: bool,
) -> tuple[ChannelGraph, Resized]:
    """The module at another width. Channels with which it does not run are left as they are, and the rest is tried."""
    for _ in range(_MOST_TRIES):
        sizes = {} if widths is None else widths(module, graph)
        try:
            resized = with_sizes(module, graph, sizes, inputs, copies=copies)
        except TraceError as error:
            graph = frozen_where_it_failed(graph, sizes, error)
            continue
        return graph, resized
    raise InputError(f"No width of {type(module).__name__} was found with which it runs.")


def frozen_where_it_failed(graph: ChannelGraph, sizes: Mapping[int, int], error: TraceError) -> ChannelGraph:
    """The graph without growth of the channels with which the module did not run."""
    involved = involved_spots(error)
    wrong = {
        number
        for number in sizes
        if any(slot.spot in involved for slot in graph.groups[number].slots)
        or number in error.numbers
        or (error.group is not None and graph.groups[number].name == error.group)
    }
    if not wrong:
        raise InputError(f"With other widths {error}") from error
    groups = [
        replace(group, frozen=str(error)) if number in wrong else group
        for number, group in enumerate(graph.groups)
    ]
    return replace(graph, groups=kept_in_proportion(groups, graph.coupled))


def involved_spots(error: TraceError) -> set[Any]:
    """The dimensions of tensors whose channels met where a module failed."""
    tracer = error.tracer
    if tracer is None or tracer.failed is None:
        return set()
    failed = np.unique(tracer.failed)
    return {
        leaf.spot
        for leaf in tracer.labels.leaves
        if bool(((failed >= leaf.start) & (failed < leaf.start + leaf.size)).any())
    }


def without_normed(graph: ChannelGraph, *, but: Collection[int] = ()) -> ChannelGraph:
    """The graph without changes of channels over which a statistic is taken, but for some groups."""
    reason = "a statistic is taken over them, such as layer norm's: with more of them it is another one"
    groups = [
        replace(group, frozen=f"{group.name}: {reason}")
        if group.normed and group.frozen is None and number not in but
        else group
        for number, group in enumerate(graph.groups)
    ]
    return replace(graph, groups=kept_in_proportion(groups, graph.coupled))
