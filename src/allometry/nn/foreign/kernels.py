"""Larger kernels: the old one in the middle of zeros, and a padding that keeps maps as large as they were."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from allometry.base import InputError
from allometry.base.text import shown
from allometry.nn.foreign.oracle import CLOSE, outputs_gap
from allometry.nn.foreign.resize import bytes_of, check_memory, copied, replace_tensors
from allometry.nn.foreign.runs import run_once
from allometry.nn.growing.weight_map import NEW


@dataclass(frozen=True, slots=True)
class KernelChange:
    """A convolution that gets a larger kernel.

    Attributes:
        module: its name.
        before: the sides of its kernel.
        after: the sides that it will have.
        padding: that it will have; None where its code pads by the kernel itself.
    """

    module: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    padding: tuple[int, ...] | None


def check_kernel_size(size: int) -> None:
    """Refuse what is no side of a larger kernel.

    Raises:
        InputError: it is not an odd number from 3 on.
    """
    if type(size) is not int or size < 3 or size % 2 == 0:
        raise InputError(
            f"A kernel that has a middle has an odd side from 3 on, such as 5, not {shown(size)}."
        )


def larger_kernels(
    module: nn.Module, size: int, inputs: tuple[Any, ...]
) -> tuple[tuple[KernelChange, ...], Mapping[str, str]]:
    """The convolutions whose kernels can be as large without a change of what a module computes, and why others cannot.

    Those that look at their neighbors and at fewer than that change; a kernel of 1 stays.

    Args:
        module: stays as it is.
        size: side of the kernels.
        inputs: that the module takes.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 2))
        >>> changes, reasons = larger_kernels(net, 5, (torch.randn(1, 3, 8, 8),))
        >>> [(change.module, change.after, change.padding) for change in changes], reasons
        ([('0', (5, 5), (2, 2))], {'2': 'a kernel of 2 x 2 has no middle'})
    """
    changes: dict[str, list[KernelChange]] = {}
    reasons: dict[str, str] = {}
    for name, part in module.named_modules():
        if not isinstance(part, _ConvNd) or part.transposed:
            continue
        after = tuple(max(side, size) if side > 1 else side for side in part.kernel_size)
        if after == tuple(part.kernel_size):
            continue
        sides = " x ".join(map(str, part.kernel_size))
        if any(side % 2 == 0 for side in part.kernel_size):
            reasons[name] = f"a kernel of {sides} has no middle"
        elif not isinstance(part._parameters.get("weight"), Tensor):
            reasons[name] = "its kernel is computed from other tensors"
        else:
            changes[name] = _ways(name, part, after)
    output = run_once(module, inputs)
    first = [ways[0] for ways in changes.values()]
    if first and not _computes(module, first, inputs, output):
        for name, ways in list(changes.items()):
            changes[name] = [way for way in ways if _computes(module, [way], inputs, output)][:1]
            if not changes[name]:
                del changes[name]
                reasons[name] = f"with a kernel of {size} it computes something else"
        first = [ways[0] for ways in changes.values()]
        if first and not _computes(module, first, inputs, output):
            reasons |= {change.module: "larger kernels together compute something else" for change in first}
            first = []
    return tuple(first), reasons


def _ways(name: str, part: _ConvNd, after: tuple[int, ...]) -> list[KernelChange]:
    """What may be changed of a convolution: its padding, too, or its kernel alone, where its code pads by that."""
    before = tuple(part.kernel_size)
    alone = KernelChange(name, before, after, None)
    if part.padding == "same":
        return [alone]
    given = (0,) * len(before) if isinstance(part.padding, str) else part.padding
    padding = tuple(
        have + (new - old) // 2 * step
        for have, new, old, step in zip(given, after, before, part.dilation, strict=True)
    )
    return [KernelChange(name, before, after, padding), alone]


def _computes(
    module: nn.Module,
    changes: Sequence[KernelChange],
    inputs: tuple[Any, ...],
    output: Any,  # noqa: ANN401 - whatever a module gives
) -> bool:
    """Whether a module computes the same with larger kernels."""
    try:
        return outputs_gap(output, run_once(enlarged(module, changes), inputs)) <= CLOSE
    except InputError:
        return False


def enlarged(module: nn.Module, changes: Sequence[KernelChange]) -> nn.Module:
    """A copy of a module with larger kernels, in whose middle the old ones are.

    Args:
        module: stays as it is.
        changes: what becomes larger.

    Raises:
        InputError: the tensors are more than this machine has memory for.

    Example:
        >>> net = nn.Sequential(nn.Conv1d(1, 1, 3, padding=1))
        >>> larger = enlarged(net, [KernelChange("0", (3,), (5,), (2,))])
        >>> larger[0].weight[0, 0, 1:4].equal(net[0].weight[0, 0]), larger[0].padding
        (True, (2,))
    """
    result = copied(module)
    if not changes:
        return result
    parts = [_convolution(result, change) for change in changes]
    added = sum(
        4 * part.weight.shape[:2].numel() * math.prod(change.after)
        for change, part in zip(changes, parts, strict=True)
    )
    check_memory(module, bytes_of(module) + added)
    swapped: dict[int, Tensor] = {}
    for change, part in zip(changes, parts, strict=True):
        weight = part.weight
        if id(weight) not in swapped:
            swapped[id(weight)] = nn.Parameter(
                _centered(weight.detach(), change.after), requires_grad=weight.requires_grad
            )
    replace_tensors(result, swapped)
    for change, part in zip(changes, parts, strict=True):
        _tell_kernel(part, change)
    return result


def with_larger_kernels(module: nn.Module, size: int, inputs: tuple[Any, ...]) -> nn.Module:
    """A copy of a module with kernels as large, wherever that does not change what it computes.

    Raises:
        InputError: the size is none.
    """
    check_kernel_size(size)
    return enlarged(module, larger_kernels(module, size, inputs)[0])


def _convolution(module: nn.Module, change: KernelChange) -> _ConvNd:
    part = module.get_submodule(change.module)
    if not isinstance(part, _ConvNd) or tuple(part.weight.shape[2:]) != change.before:
        raise ValueError(f"{change.module} is no convolution with a kernel of {change.before}")
    return part


def _centered(weight: Tensor, sides: tuple[int, ...]) -> Tensor:
    result = torch.zeros(*weight.shape[:2], *sides, dtype=weight.dtype, device=weight.device)
    inside = result
    for dimension, (side, old) in enumerate(zip(sides, weight.shape[2:], strict=True), start=2):
        inside = inside.narrow(dimension, (side - old) // 2, old)
    inside.copy_(weight)
    return result


def _tell_kernel(part: _ConvNd, change: KernelChange) -> None:
    """What a convolution says of its kernel and its padding."""
    part.kernel_size = change.after
    if change.padding is not None:
        part.padding = change.padding
    if isinstance(part.padding, str):
        both = [(step * (side - 1)) for side, step in zip(change.after, part.dilation, strict=True)]
        pairs = [(total // 2, total - total // 2) for total in both]
        pairs = pairs if part.padding == "same" else [(0, 0)] * len(pairs)
    else:
        pairs = [(size, size) for size in part.padding]
    # What `torch.nn.functional.pad` takes, the last dimension first.
    part._reversed_padding_repeated_twice = [size for pair in reversed(pairs) for size in pair]


def kernel_rows(change: KernelChange) -> tuple[tuple[int, ...] | None, ...]:
    """For each side of a kernel the old place of every new one, as weight maps have it.

    Example:
        >>> kernel_rows(KernelChange("0", (3, 1), (5, 1), (2, 0)))
        ((-1, 0, 1, 2, -1), None)
    """
    rows: list[tuple[int, ...] | None] = []
    for old, new in zip(change.before, change.after, strict=True):
        margin = (new - old) // 2
        rows.append(None if new == old else (*(NEW,) * margin, *range(old), *(NEW,) * margin))
    return tuple(rows)
