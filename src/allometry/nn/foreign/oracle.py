"""The judge of what was found: growth must not change what a module computes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from allometry.base import InputError
from allometry.nn.foreign.fill import fill
from allometry.nn.foreign.identity import difference
from allometry.nn.foreign.resize import copied
from allometry.nn.foreign.runs import run_once
from allometry.nn.foreign.widen import Resized, with_sizes
from allometry.nn.growing.filling import GrowthMethod
from allometry.nn.tracing.channels import trace_channels
from allometry.nn.tracing.tracer import tensors_in

CLOSE = 1e-4  # relative difference of outputs that rounding explains


class ChangedError(InputError):
    """What is larger or smaller would compute something else.

    Example:
        >>> issubclass(ChangedError, InputError)
        True
    """


def width_gap(
    module: nn.Module, resized: Resized, inputs: tuple[Any, ...], *, wider: bool, seed: int
) -> float:
    """How far outputs lie apart that must be the same.

    What is wider must compute what the module does, and what is narrower the same when it is as wide again.

    Args:
        module: before its channels changed.
        resized: with other numbers of channels and its weights.
        inputs: that both take.
        wider: whether there are more channels.
        seed: of the weights of what is grown again.
    """
    if wider:
        return outputs_gap(run_once(module, inputs), run_once(resized.module, inputs))
    by_key = {group.key: group.size for group in trace_channels(module, *inputs).groups}
    sizes = {
        number: by_key[group.key]
        for number, group in enumerate(resized.graph.groups)
        if group.key in by_key and by_key[group.key] != group.size
    }
    again = with_sizes(resized.module, resized.graph, sizes, inputs)
    fill(resized.module, again, method="new", seed=seed)
    return outputs_gap(run_once(resized.module, inputs), run_once(again.module, inputs))


def refuse_other(
    module: nn.Module,
    resized: Resized,
    inputs: tuple[Any, ...],
    *,
    wider: bool,
    seed: int,
    method: GrowthMethod = "new",
) -> None:
    """Refuse what computes something else. What differs by rounding differs less in double precision.

    Args:
        module: before its channels changed.
        resized: with other numbers of channels and its weights.
        inputs: that both take.
        wider: whether there are more channels.
        seed: of the weights of what is grown again.
        method: with which it grew.

    Raises:
        ChangedError: the outputs differ by more than rounding explains.
    """
    gap = width_gap(module, resized, inputs, wider=wider, seed=seed)
    if gap <= CLOSE:
        return
    one, two = (copied(part).double() for part in (module, resized.module))
    doubled = tuple(
        value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
        for value in inputs
    )
    try:
        exact = width_gap(one, replace(resized, module=two), doubled, wider=wider, seed=seed)
    except InputError:  # its code makes tensors of single precision
        exact = math.inf
    if exact > CLOSE:
        why = (
            "What its code does with channels was not understood."
            if method == "new"
            else f"It does more with weights than the method {method!r} bears, such as norms of them; take 'new'."
        )
        raise ChangedError(
            f"{type(module).__name__} would compute something else: its outputs differ by {gap:.1e} of their largest. "
            f"{why}"
        )


def varied_inputs(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs, with random values in place of images that are one constant, on which nothing would show.

    Example:
        >>> import torch
        >>> varied_inputs((torch.zeros(1, 3, 2, 2), 5))[0].unique().numel()
        12
    """
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(value.shape, generator=generator).to(value)
        if isinstance(value, Tensor) and value.is_floating_point() and _is_constant(value)
        else value
        for value in inputs
    )


def shaken(module: nn.Module) -> nn.Module:
    """A copy with small random numbers added to tensors that are one constant, as norms and last scales begin.

    Example:
        >>> shaken(nn.BatchNorm1d(4)).weight.unique().numel()
        4
    """
    result = copied(module)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*result.parameters(), *result.buffers()):
            if tensor.is_floating_point() and _is_constant(tensor):
                # Upwards only: variances must not fall below zero.
                tensor.add_(0.2 * torch.rand(tensor.shape, generator=generator).to(tensor))
    return result


def _is_constant(tensor: Tensor) -> bool:
    return tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all())


def outputs_gap(one: Any, two: Any) -> float:  # noqa: ANN401 - whatever a module gives
    """The largest relative difference of what two modules give; infinite where that has other shapes."""
    before, after = tensors_in(one), tensors_in(two)
    if len(before) != len(after):
        return math.inf
    gaps = []
    for first, second in zip(before, after, strict=True):
        # Feature maps may have more channels; the first are those that were there.
        maps = first.ndim == second.ndim and first.ndim > 2
        part = second[tuple(slice(0, size) for size in first.shape)] if maps else second
        if first.shape != part.shape:
            return math.inf
        if first.is_floating_point():
            gaps.append(difference(first, part))
    return max(gaps, default=math.inf)
