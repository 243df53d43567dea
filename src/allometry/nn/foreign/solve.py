"""The module within a budget: how much deeper and wider, or less so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from allometry.arch.rounding import CHANNEL_MULTIPLE
from allometry.base import BudgetError
from allometry.cost import Budget, Cost, as_budget
from allometry.nn.foreign.kernels import with_larger_kernels
from allometry.nn.foreign.runs import BlockRun, run_once
from allometry.nn.foreign.scale import ScaledModule, batch_size, repeats_of, runs_that_change, scaled_or_same
from allometry.nn.foreign.widths import macs_of, params_of, scaled_sizes
from allometry.nn.growing.filling import GrowthMethod
from allometry.nn.tracing.channels import ChannelGraph, trace_channels
from allometry.scaling import COMPOUND, ScalingLaw

_COUNTED = ("macs", "params")
_STEPS = 40  # of bisection: to a billionth of the range
_FAR = 64.0  # steps of the law in either direction
_ENOUGH = 0.97  # of the budget
_MULTIPLES = (CHANNEL_MULTIPLE, 4, 2, 1)
_ROUNDS = 3


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
        InputError: nothing of the module can be scaled, or it would compute something else.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(16, 2))
        >>> images = torch.randn(1, 3, 5, 5)
        >>> twice = solve_module(net, images, budget="2x", channel_multiple=1)
        >>> 0.9 < cost_of_module(twice.module, images).macs / (2 * cost_of_module(net, images).macs) <= 1
        True
    """
    reference = cost_of_module(module, *inputs)
    limits = as_budget(budget, reference)
    other = [measure.name for measure in limits.measures if measure.name not in _COUNTED]
    if other:
        raise BudgetError(f"A module's {other[0]} is not counted: limit its macs or its params.")
    planned = module if kernel_size is None else with_larger_kernels(module, kernel_size, inputs)
    forecast = _Forecast.of(planned, inputs, cost_of_module(planned, *inputs))
    asked = limits
    best: ScaledModule | None = None
    multiples = _MULTIPLES if channel_multiple is None else (channel_multiple,)
    for _ in range(_ROUNDS):
        depth, width, multiple = _multipliers(forecast, asked, law, multiples)
        scaled = scaled_or_same(
            module,
            inputs,
            depth=depth,
            width=width,
            kernel_size=kernel_size,
            channel_multiple=multiple,
            method=method,
            seed=seed,
            may_stay=True,
        )
        use = limits.use(cost_of_module(scaled.module, *inputs))
        if use <= 1 and (best is None or use > limits.use(cost_of_module(best.module, *inputs))):
            best = scaled
        if _ENOUGH <= use <= 1:
            break
        asked = asked.times(min(1.2, max(0.8, 0.995 / use)))
    if best is None:
        raise BudgetError(f"No width and depth of {type(module).__name__} is within {limits}.")
    return best


@dataclass(frozen=True, slots=True)
class _Forecast:
    """What a module will cost at another depth and width, without building it."""

    module: nn.Module
    graph: ChannelGraph
    runs: tuple[BlockRun, ...]
    batch: int
    reference: Cost

    @classmethod
    def of(cls, module: nn.Module, inputs: tuple[Any, ...], reference: Cost) -> _Forecast:
        graph = trace_channels(module, *inputs)
        return cls(module, graph, runs_that_change(module, inputs), batch_size(inputs), reference)

    def cost(self, depth: float, width: float, multiple: int) -> Cost:
        sizes = scaled_sizes(self.module, self.graph, width, channel_multiple=multiple) if width != 1 else {}
        counts = self._counts(depth)
        times = {place: _times(cost.module, counts) for place, cost in enumerate(self.graph.costs)}
        parameters = {
            name: _times(name, counts)
            for name, tensor in self.module.named_parameters()
            if tensor.requires_grad
        }
        # What weights are not part of, such as the products of attention, is taken to grow alike.
        known = macs_of(self.graph, {}, {}) / self.batch
        share = self.reference.macs / known if known else 1.0
        macs = macs_of(self.graph, sizes, times) / self.batch * share
        return Cost(max(1, round(params_of(self.graph, sizes, parameters))), max(1, round(macs)), 0, 0)

    def _counts(self, depth: float) -> dict[str, float]:
        """For each block that repeats how many times it counts."""
        counts: dict[str, float] = {}
        for run in self.runs:
            extra = repeats_of(run, depth) - len(run.names)
            prefix = f"{run.container}." if run.container else ""
            if extra > 0:
                counts[f"{prefix}{run.names[-1]}"] = 1.0 + extra
            for name in run.names[len(run.names) + extra :] if extra < 0 else ():
                counts[f"{prefix}{name}"] = 0.0
        return counts


def _times(name: str, counts: dict[str, float]) -> float:
    for block, times in counts.items():
        if name == block or name.startswith(f"{block}."):
            return times
    return 1.0


def _multipliers(
    forecast: _Forecast, limits: Budget, law: ScalingLaw, multiples: Sequence[int]
) -> tuple[float, float, int]:
    """The depth of the law's last step within the budget, and the greatest width with it."""

    def at(phi: float) -> Cost:
        depth, width, _ = law.multipliers(phi)
        return forecast.cost(depth, width, 1)

    phi = _last(lambda phi: limits.use(at(phi)) <= 1, -_FAR, _FAR)
    depth, width, _ = law.multipliers(phi)
    best = depth, width, multiples[-1]
    for multiple in multiples:
        wide = _last(
            lambda value, multiple=multiple: limits.use(forecast.cost(depth, value, multiple)) <= 1,  # type: ignore[misc]
            width / 4,
            width * 4,
        )
        best = depth, wide, multiple
        # Rounded to 8, the least width may be too large.
        if _ENOUGH <= limits.use(forecast.cost(depth, wide, multiple)) <= 1:
            break
    return best


def _last(fits: Callable[[float], bool], low: float, high: float) -> float:
    """About the greatest value that fits, of those between two."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if fits(middle):
            low = middle
        else:
            high = middle
        if high - low < 1e-3 * max(1.0, abs(low)) * 0.1:
            break
    return low
