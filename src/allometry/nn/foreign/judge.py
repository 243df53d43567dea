"""A module at other widths, as far as it then computes what it did."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from torch import nn

from allometry.base import InputError
from allometry.nn.foreign.fill import fill
from allometry.nn.foreign.normed import may_keep_statistics
from allometry.nn.foreign.oracle import ChangedError, refuse_other
from allometry.nn.foreign.widen import Resized, with_sizes
from allometry.nn.growing.filling import GrowthMethod
from allometry.nn.tracing.channels import TraceError
from allometry.nn.tracing.graph import ChannelGraph, ChannelGroup, frozen

Widths: TypeAlias = Callable[[nn.Module, ChannelGraph], dict[int, int]]
"""How many channels groups of a module shall have, by their numbers; those that stay are not named."""

_MOST_TRIES = 24
_FEW = 4  # groups that are tried one by one


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
        likely = [some for some in together if not any(_is_mixed(graph.groups[n], graph) for n in some)]
        found = self._with_some(graph, together)
        if found is None and len(likely) < len(together):
            found = self._with_some(graph, likely)
        if found is None and 1 < len(together) <= _MOST_TRIES:
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
            if resized.shapes or resized.attributes:
                refuse_other(module, resized, self.inputs, wider=wider, seed=self.seed, method=self.method)
        return graph, resized

    def _under_statistics(self, graph: ChannelGraph) -> list[set[int]]:
        """The groups under a statistic that may change, those that stay in proportion together."""
        apart = {
            number
            for number, group in enumerate(graph.groups)
            if group.normed and group.frozen is None
            if self.method == "copies" or may_keep_statistics(group, graph)
        }
        together = [set(some) for some in graph.coupled if some & apart]
        together += [{number} for number in sorted(apart.difference(*together))]
        return together

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


def _is_mixed(group: ChannelGroup, graph: ChannelGraph) -> bool:
    """Whether channels under a layer norm go through a depthwise convolution, so that their mean may be anything."""
    norms = {norm.weight for norm in graph.norms}.union(
        *(one.scales for one in graph.statistics if one.centers)
    )
    depthwise = (
        slot.spot.dimension == 0 and len(shape) > 2 and shape[1] == 1
        for slot in group.slots
        for shape in (graph.shapes[slot.spot.tensor],)
    )
    return any(slot.spot.tensor in norms for slot in group.slots) and any(depthwise)


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

    def at(some: ChannelGraph) -> Resized:
        sizes = {} if widths is None else widths(module, some)
        try:
            return with_sizes(module, some, sizes, inputs, copies=copies)
        except TraceError as error:
            raise _WidthError(error, failing_groups(some, sizes, error)) from error

    for _ in range(_MOST_TRIES):
        try:
            return graph, at(graph)
        except _WidthError as failed:
            reason, wrong = str(failed.error), sorted(failed.groups)
        # Often one of the channels that meet is to blame: others that are read with it can grow.
        for number in wrong if 1 < len(wrong) <= _FEW else ():
            one = frozen(graph, {number: reason})
            with suppress(_WidthError, InputError):
                return one, at(one)
        graph = frozen(graph, dict.fromkeys(wrong, reason))
    raise InputError(f"No width of {type(module).__name__} was found with which it runs.")


class _WidthError(Exception):
    """With some groups at another width a module does not run."""

    def __init__(self, error: TraceError, groups: set[int]) -> None:
        super().__init__(str(error))
        self.error, self.groups = error, groups


def failing_groups(graph: ChannelGraph, sizes: Collection[int], error: TraceError) -> set[int]:
    """The groups of other sizes whose channels met where a module failed.

    Raises:
        InputError: there are none.
    """
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
    return wrong


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
    return frozen(
        graph,
        {
            number: f"{group.name}: {reason}"
            for number, group in enumerate(graph.groups)
            if group.normed and number not in but
        },
    )
