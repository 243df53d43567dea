"""The module within a budget: how much deeper and wider, or less so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from allometry.arch.rounding import CHANNEL_MULTIPLE
from allometry.base import BudgetError, InputError
from allometry.base.units import format_quantity
from allometry.cost import Budget, Cost, as_budget
from allometry.nn.foreign.depth import deepened, inserted
from allometry.nn.foreign.fitting import ENOUGH, Fitting, last_that_fits
from allometry.nn.foreign.kernels import with_larger_kernels
from allometry.nn.foreign.oracle import shaken, varied_inputs
from allometry.nn.foreign.plan import Kept
from allometry.nn.foreign.runs import BlockRun, run_once
from allometry.nn.foreign.scale import (
    READS_INPUT,
    ScaledModule,
    batch_size,
    check_options,
    check_output,
    scaled_or_same,
)
from allometry.nn.foreign.stages import growing_runs, repeats_of, shrinking_runs
from allometry.nn.foreign.widths import macs_of, params_of, scaled_sizes
from allometry.nn.growing.filling import GrowthMethod
from allometry.nn.tracing.channels import trace_channels
from allometry.nn.tracing.graph import ChannelGraph, frozen
from allometry.scaling import COMPOUND, ScalingLaw

_COUNTED = ("macs", "params")
_FAR = 64.0  # steps of the law in either direction
_MULTIPLES = (CHANNEL_MULTIPLE, 4, 2, 1)
_ROUNDS = 4


def cost_of_module(module: nn.Module, *inputs: Any) -> Cost:  # noqa: ANN401 - whatever the module takes
    """What a module costs for one image: trainable parameters, and multiply-accumulates as it runs.

    Example:
        >>> import torch
        >>> cost = cost_of_module(nn.Conv2d(3, 8, 1), torch.zeros(2, 3, 4, 4))
        >>> cost.params, cost.macs
        (32, 384)
    """
    with FlopCounterMode(display=False) as counter:
        run_once(module, inputs)
    params = sum(tensor.numel() for tensor in module.parameters() if tensor.requires_grad)
    return Cost(params, counter.get_total_flops() // 2 // batch_size(inputs), 0, 0)


def solve_module(
    module: nn.Module,
    *inputs: Any,  # noqa: ANN401 - whatever the module takes
    budget: Budget | str,
    law: ScalingLaw = COMPOUND,
    kernel_size: int | None = None,
    channel_multiple: int | None = None,
    method: GrowthMethod = "new",
    seed: int = 0,
) -> ScaledModule:
    """Make any module as large as a budget allows, or as small as it asks for, with the weights that it has.

    Depth and width grow in the law's proportion; the input stays as large as it is. How many blocks there are is a
    whole number, so the width then takes what is left.

    Args:
        module: stays as it is.
        inputs: that it takes, such as a batch of one image.
        budget: of `macs` and `params`, such as `macs<=300M`, `params<=5M` or `2x`.
        law: of which alpha and beta are used.
        kernel_size: side of the kernels of all convolutions that look at fewer neighbors; None leaves them as they are.
        channel_multiple: what channels are rounded to; by default 8, and less where 8 is too coarse for the budget.
        method: what new channels are, as `scale_module` says it.
        seed: of new weights.

    Raises:
        BudgetError: it limits something else, or nothing of the module fits it.
        InputError: nothing of the module can be scaled, or it would compute something else; or the law grows neither
            depth nor width.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(16, 2))
        >>> images = torch.randn(1, 3, 5, 5)
        >>> twice = solve_module(net, images, budget="2x", channel_multiple=1)
        >>> 0.9 < cost_of_module(twice.module, images).macs / (2 * cost_of_module(net, images).macs) <= 1
        True
    """
    check_options(seed, channel_multiple)
    if law.alpha == law.beta == 1:
        raise InputError(
            "This law grows the input alone, and that of a module stays: take one of depth or width, such as compound."
        )
    reference = cost_of_module(module, *inputs)
    if not reference.macs:
        check_output(module, inputs)
    limits = as_budget(budget, reference)
    other = [measure.name for measure in limits.measures if measure.name not in _COUNTED]
    if other:
        raise BudgetError(f"A module's {other[0]} is not counted: limit its macs or its params.")
    subject, varied = shaken(module), varied_inputs(inputs)
    growing = known = growing_runs(subject, varied)
    if limits.use(reference) > 1:
        known = shrinking_runs(subject, varied, growing)
    forecast = _Forecast.of(module, inputs, known[0], kernel_size, grows=len(growing[0]))
    tried = list[tuple[float, Cost, ScaledModule]]()
    multiples = _MULTIPLES if channel_multiple is None else (channel_multiple,)
    for _ in range(_ROUNDS):
        depth = _depth(forecast, limits, law)
        scaled = scaled_or_same(
            module,
            inputs,
            depth=depth,
            widths=Fitting(limits, multiples, forecast.batch, forecast.share),
            kernel_size=kernel_size,
            method=method,
            seed=seed,
            may_stay=True,
            runs=known if depth < 1 else growing,
        )
        cost = cost_of_module(scaled.module, *inputs)
        tried.append((limits.use(cost), cost, scaled))
        if ENOUGH <= tried[-1][0] <= 1:
            break
        corrected = forecast.corrected(scaled, cost)
        if corrected.says_the_same_as(forecast):
            break
        forecast = corrected
    within = [item for item in tried if item[0] <= 1]
    if not within:
        _, least, scaled = min(tried, key=lambda item: item[0])
        raise BudgetError(_over(module, limits, least, scaled.plan.kept))
    return max(within, key=lambda item: item[0])[2]


def _over(module: nn.Module, limits: Budget, least: Cost, kept: Sequence[Kept]) -> str:
    """That nothing of a module is within a budget, and what is in the way."""
    why = [
        f"; {item.name} stays: {item.reason}"
        for item in kept
        if ":" in item.reason and READS_INPUT not in item.reason
    ]
    return (
        f"No width and depth of {type(module).__name__} is within {limits}: the least that was found has "
        f"{format_quantity(least.macs)} MACs and {format_quantity(least.params)} parameters"
        f"{''.join(why[:1]).rstrip('.')}."
    )


@dataclass(frozen=True, slots=True)
class _Forecast:
    """What a module will cost at another depth and width, without building it.

    Attributes:
        module: with one block more in each run that can grow.
        graph: its channels.
        runs: that can grow, and those that can only become shorter.
        added: for each run the name of the new block there; None where there can be none.
        blocks: for each run the names of the others.
        batch: images of the example.
        share: multiply-accumulates of the module over those of its weights: what weights are not part of, such as the
            products of attention, is taken to grow alike.
    """

    module: nn.Module
    graph: ChannelGraph
    runs: tuple[BlockRun, ...]
    added: tuple[str | None, ...]
    blocks: tuple[tuple[str, ...], ...]
    batch: int
    share: float

    @classmethod
    def of(
        cls,
        module: nn.Module,
        inputs: tuple[Any, ...],
        runs: tuple[BlockRun, ...],
        kernel_size: int | None,
        *,
        grows: int,
    ) -> _Forecast:
        more = [inserted(run, len(run.names) + (number < grows)) for number, run in enumerate(runs)]
        deeper = deepened(module, more, inputs)
        names = {part: name for name, part in deeper.module.named_modules()}
        planned, whole = module, deeper.module
        if kernel_size is not None:
            planned, whole = (with_larger_kernels(part, kernel_size, inputs) for part in (planned, whole))
        graph = trace_channels(whole, *inputs)
        blocks = [[names[part] for part in parts] for parts in deeper.blocks]
        result = cls(
            module=whole,
            graph=graph,
            runs=runs,
            added=tuple(parts[-1] if number < grows else None for number, parts in enumerate(blocks)),
            blocks=tuple(tuple(parts[: len(run.names)]) for run, parts in zip(runs, blocks, strict=True)),
            batch=batch_size(inputs),
            share=1.0,
        )
        share = cost_of_module(planned, *inputs).macs / max(1, result.cost(1, 1, 1).macs)
        return replace(result, share=share)

    def corrected(self, scaled: ScaledModule, cost: Cost) -> _Forecast:
        """The forecast by what a module of it turned out to be: which channels stay, and what is no product of weights.

        Args:
            scaled: the module.
            cost: of it, as it runs.
        """
        stay = {item.name: item.reason for item in scaled.plan.kept}
        reasons = {n: stay[group.name] for n, group in enumerate(self.graph.groups) if group.name in stay}
        return replace(self, graph=frozen(self.graph, reasons), share=cost.macs / max(1, scaled.macs))

    def says_the_same_as(self, other: _Forecast) -> bool:
        """Whether a module that follows from either would be the same, about."""
        alike = math.isclose(self.share, other.share, rel_tol=1e-3)
        return alike and len(self.graph.growing) == len(other.graph.growing)

    def cost(self, depth: float, width: float, multiple: int) -> Cost:
        sizes = scaled_sizes(self.module, self.graph, width, channel_multiple=multiple) if width != 1 else {}
        counts = self._counts(depth)
        times = {place: _times(cost.module, counts) for place, cost in enumerate(self.graph.costs)}
        parameters = {
            name: _times(name, counts)
            for name, tensor in self.module.named_parameters()
            if tensor.requires_grad
        }
        macs = macs_of(self.graph, sizes, times) / self.batch * self.share
        return Cost(max(1, round(params_of(self.graph, sizes, parameters))), max(1, round(macs)), 0, 0)

    def _counts(self, depth: float) -> dict[str, float]:
        """For each block that comes or goes how many times it counts."""
        counts: dict[str, float] = {}
        for run, added, blocks in zip(self.runs, self.added, self.blocks, strict=True):
            extra = repeats_of(run, depth) - len(run.names)
            if added is not None:
                counts[added] = max(0.0, extra)
            counts |= dict.fromkeys(blocks[len(blocks) + extra :] if extra < 0 else (), 0.0)
        return counts


def _times(name: str, counts: dict[str, float]) -> float:
    for block, times in counts.items():
        if name == block or name.startswith(f"{block}."):
            return times
    return 1.0


def _depth(forecast: _Forecast, limits: Budget, law: ScalingLaw) -> float:
    """The depth of the law's last step within the budget."""

    def fits(phi: float) -> bool:
        depth, width, _ = law.multipliers(phi)
        return limits.use(forecast.cost(depth, width, 1)) <= 1

    return law.multipliers(last_that_fits(fits, -_FAR, _FAR))[0]
