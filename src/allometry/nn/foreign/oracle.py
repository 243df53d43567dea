"""The judge of what was found: growth must not change what a module computes."""

from __future__ import annotations

import math
from collections.abc import Callable
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


def refuse_other(
    module: nn.Module,
    resized: Resized,
    inputs: tuple[Any, ...],
    *,
    wider: bool,
    seed: int,
    method: GrowthMethod = "new",
) -> None:
    """Refuse channels with which a module computes something else.

    What is wider must compute what the module does, and what is narrower the same when it is as wide again.

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

    def gap_of(one: nn.Module, two: nn.Module, given: tuple[Any, ...]) -> float:
        if wider:
            return _gap(one, two, given)
        narrower = replace(resized, module=two)
        return _gap(two, _as_wide_as(one, narrower, given, seed=seed), given)

    why = (
        "What its code does with channels was not understood."
        if method == "new"
        else f"It does more with weights than the method {method!r} bears, such as norms of them; take 'new'."
    )
    _refuse(module, resized.module, inputs, gap_of, why)


def same_outputs(module: nn.Module, larger: nn.Module, inputs: tuple[Any, ...]) -> float:
    """How far the outputs of what is larger lie from the module's, as a part of their largest.

    Args:
        module: before anything changed.
        larger: with more blocks, larger kernels, or more channels.
        inputs: that both take.

    Raises:
        ChangedError: further than rounding explains.

    Example:
        >>> same_outputs(nn.Identity(), nn.Sequential(nn.Identity()), (torch.ones(1, 2),))
        0.0
    """
    return _refuse(module, larger, inputs, _gap, "What its code does with what is new was not understood.")


def _gap(one: nn.Module, two: nn.Module, inputs: tuple[Any, ...]) -> float:
    return outputs_gap(run_once(one, inputs), run_once(two, inputs))


def _as_wide_as(module: nn.Module, resized: Resized, inputs: tuple[Any, ...], *, seed: int) -> nn.Module:
    """What has other numbers of channels, grown to those of the module."""
    by_key = {group.key: group.size for group in trace_channels(module, *inputs).groups}
    sizes = {
        number: by_key[group.key]
        for number, group in enumerate(resized.graph.groups)
        if group.key in by_key and by_key[group.key] != group.size
    }
    again = with_sizes(resized.module, resized.graph, sizes, inputs)
    return fill(resized.module, again, method="new", seed=seed)


def _refuse(
    module: nn.Module,
    other: nn.Module,
    inputs: tuple[Any, ...],
    gap_of: Callable[[nn.Module, nn.Module, tuple[Any, ...]], float],
    why: str,
) -> float:
    """How far two modules lie apart, where that is no further than rounding explains: that is less in double precision.

    Raises:
        ChangedError: it is further.
    """
    gap = gap_of(module, other, inputs)
    if gap <= CLOSE:
        return gap
    # What overflows in single precision is of no use, however right it is.
    if not math.isfinite(gap) or _exact(module, other, inputs, gap_of) > CLOSE:
        raise ChangedError(
            f"{type(module).__name__} would compute something else: its outputs differ by {gap:.1e} of their largest. "
            f"{why}"
        )
    return gap


def _exact(
    module: nn.Module,
    other: nn.Module,
    inputs: tuple[Any, ...],
    gap_of: Callable[[nn.Module, nn.Module, tuple[Any, ...]], float],
) -> float:
    """How far two modules lie apart in double precision; infinitely where they do not run in it."""
    one, two = (copied(part).double() for part in (module, other))
    doubled = tuple(
        value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
        for value in inputs
    )
    try:
        return gap_of(one, two, doubled)
    except InputError:  # its code makes tensors of single precision
        return math.inf


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
        if first.is_floating_point() or first.is_complex():
            gaps.append(difference(first, part))
    return max(gaps, default=math.inf)
