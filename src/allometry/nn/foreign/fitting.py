"""The numbers of channels with which a module uses what a budget leaves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from allometry.cost import Budget, Cost
from allometry.nn.foreign.widths import macs_of, params_of, scaled_sizes
from allometry.nn.tracing.graph import ChannelGraph

ENOUGH = 0.97  # of a budget
_STEPS = 40  # of bisection
_WIDEST = 2.0**20
_MOST_ADDED = 256  # channels one by one


@dataclass(frozen=True, slots=True)
class Fitting:
    """Numbers of channels within a budget: as wide as fits, and then channel by channel where that leaves much of it.

    Attributes:
        limits: the budget.
        multiples: what channels are rounded to: the first with which enough of the budget is used.
        batch: images of the example.
        share: what one multiply-accumulate of the weights costs in all.
    """

    limits: Budget
    multiples: Sequence[int]
    batch: int
    share: float

    def __call__(self, module: nn.Module, graph: ChannelGraph) -> dict[int, int]:
        """The sizes of groups that differ from what they are."""
        trainable = {name: 1.0 for name, tensor in module.named_parameters() if tensor.requires_grad}

        def use(sizes: Mapping[int, int]) -> float:
            macs = macs_of(graph, sizes, {}) / self.batch * self.share
            params = params_of(graph, sizes, trainable)
            return self.limits.use(Cost(max(1, round(params)), max(1, round(macs)), 0, 0))

        best: dict[int, int] | None = None
        for multiple in self.multiples:
            sizes, width = _widest(module, graph, multiple, use)
            if use(sizes) <= 1:
                sizes = _filled(graph, sizes, width, multiple, use)
                if best is None or use(sizes) > use(best):
                    best = sizes
            if best is not None and use(best) >= ENOUGH:
                break
        return sizes if best is None else best


def last_that_fits(fits: Callable[[float], bool], low: float, high: float) -> float:
    """About the greatest value that fits, of those between two.

    Example:
        >>> round(last_that_fits(lambda value: value * value <= 2, 0, 8), 3)
        1.414
    """
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if fits(middle):
            low = middle
        else:
            high = middle
        if high - low < 1e-4 * max(1.0, abs(low)):
            break
    return low


def _widest(
    module: nn.Module, graph: ChannelGraph, multiple: int, use: Callable[[Mapping[int, int]], float]
) -> tuple[dict[int, int], float]:
    """The sizes at the greatest width within the budget, and the width."""

    def at(width: float) -> dict[int, int]:
        return scaled_sizes(module, graph, width, channel_multiple=multiple)

    def fits(width: float) -> bool:
        return use(at(width)) <= 1

    high = 2.0
    while fits(high) and high < _WIDEST:
        high *= 2
    width = last_that_fits(fits, high / 2 if high > 2 else 1 / 64, high)
    return at(width), width


def _filled(
    graph: ChannelGraph,
    sizes: Mapping[int, int],
    width: float,
    multiple: int,
    use: Callable[[Mapping[int, int]], float],
) -> dict[int, int]:
    """Sizes with more channels in single groups, those first that are the furthest behind the width."""
    result = dict(sizes)
    tied = {number for together in graph.coupled for number in together}
    growing = {
        number: group
        for number, group in enumerate(graph.groups)
        if group.frozen is None and number not in tied
    }

    def behind(number: int) -> float:
        return result.get(number, growing[number].size) / growing[number].size

    left = set(growing)
    for _ in range(_MOST_ADDED):
        if not left or use(result) >= ENOUGH:
            break
        number = min(sorted(left), key=behind)
        group = growing[number]
        size = result.get(number, group.size) + max(1, multiple // group.times)
        # What is narrower than it was must not become wider in part.
        if use({**result, number: size}) > 1 or (width < 1 and size > group.size):
            left.remove(number)
        else:
            result[number] = size
    return {number: size for number, size in result.items() if size != graph.groups[number].size}
