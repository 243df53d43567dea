"""`allometry scale` of a torch module, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from allometry.base import InputError
from allometry.base.text import shown
from allometry.cost import Budget
from allometry.nn.foreign import ScaledModule, scale_module, solve_module
from allometry.nn.foreign.runs import run_once
from allometry.nn.growing import GrowthMethod
from allometry.nn.tracing.tracer import tensors_in
from allometry.scaling import ScalingLaw, as_law

if TYPE_CHECKING:
    from allometry.training.batch_norm import Inputs


def scale_module_in_full(
    module: nn.Module,
    phi: float | None = None,
    *,
    example_input: Any,  # noqa: ANN401 - whatever the module takes
    budget: Budget | str | None = None,
    depth: float | None = None,
    width: float | None = None,
    kernel_size: int | None = None,
    law: ScalingLaw | str | Path | None = None,
    channel_multiple: int | None = None,
    method: GrowthMethod = "new",
    batches: Iterable[Inputs] | None = None,
    seed: int = 0,
) -> ScaledModule:
    """Make a torch module larger or smaller, with the weights that it has; also how that was done.

    Args:
        module: any; stays as it is.
        phi: steps of the law; of its three dimensions the input's size stays.
        example_input: that the module takes, or a tuple of all that it takes.
        budget: of `macs` and `params`, such as `macs<=300M` or `2x`.
        depth: multiplier of the blocks of each stage that repeats.
        width: multiplier of the channels.
        kernel_size: side of the kernels of all convolutions that look at fewer neighbors.
        law: in what proportion `phi` and `budget` grow; by default `compound`.
        channel_multiple: what channels are rounded to; by default 8, and less where that is too coarse.
        method: what new channels are: `new`, `copies` or `pairs`.
        batches: inputs that give new channels their batch-norm statistics, and all channels where they are of another
            size than the example, or the module shrinks.
        seed: of new weights.

    Raises:
        InputError: not exactly one of phi, budget and multipliers is given, or nothing of the module can be scaled, or
            not without changing what it computes.
        BudgetError: nothing of the module is within the budget.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(16, 2))
        >>> scaled = scale_module_in_full(net, example_input=torch.randn(1, 3, 5, 5), width=1.5)
        >>> [(change.name, change.before, change.after) for change in scaled.plan.groups]
        [('0.weight', 16, 24), ('2.weight', 16, 24)]
    """
    if not isinstance(module, nn.Module):
        raise InputError(
            f"A network is a Network, a name, a JSON file or a torch module, not {shown(type(module).__name__)}."
        )
    if example_input is None:
        raise InputError(
            "A torch module is scaled by watching it run: give an example_input, such as torch.randn(1, 3, 224, 224)."
        )
    by_hand = depth is not None or width is not None
    given = sum((phi is not None, budget is not None, by_hand))
    if given > 1 or (given == 0 and kernel_size is None):
        raise InputError("Give one of phi, budget, or multipliers (depth, width), or a kernel_size alone.")
    inputs = example_input if isinstance(example_input, tuple) else (example_input,)
    chosen = as_law(law or "compound")
    if budget is not None:
        scaled = solve_module(
            module,
            *inputs,
            budget=budget,
            law=chosen,
            kernel_size=kernel_size,
            channel_multiple=channel_multiple,
            method=method,
            seed=seed,
        )
    else:
        if phi is not None:
            depth, width, _ = chosen.multipliers(phi)
        scaled = scale_module(
            module,
            *inputs,
            depth=1.0 if depth is None else depth,
            width=1.0 if width is None else width,
            kernel_size=kernel_size,
            channel_multiple=channel_multiple,
            method=method,
            seed=seed,
        )
    if batches is not None:
        _settle(scaled, inputs, batches)
    return scaled


def _settle(scaled: ScaledModule, inputs: tuple[Any, ...], batches: Any) -> None:  # noqa: ANN401 - is checked
    """Give batch norms the statistics of what the module will see."""
    from allometry.training.batch_norm import as_inputs
    from allometry.training.inheritance import settle_new_statistics

    if isinstance(batches, Tensor) or not isinstance(batches, Iterable):
        given = "one tensor" if isinstance(batches, Tensor) else shown(batches)
        raise InputError(f"batches are several, such as a list of tensors or a generator, not {given}.")
    remaining = iter(batches)
    first = next(remaining, None)
    if first is None:
        raise InputError("There are no batches to take statistics of; leave batches out, or give some.")
    if isinstance(first, list):
        raise InputError(
            "A batch is what the module takes, a tensor, or a tuple where it takes several, not a list: of a loader "
            "that gives [images, labels] take the images."
        )
    run_once(scaled.module, as_inputs(first))
    seen, known = (tuple(tensor.shape[1:]) for tensor in (tensors_in(first)[0], tensors_in(inputs)[0]))
    settle_new_statistics(
        scaled.module,
        scaled.weight_map,
        chain([first], remaining),
        everywhere=scaled.difference is None or seen != known,
    )
