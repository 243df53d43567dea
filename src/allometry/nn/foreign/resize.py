"""A copy of a module with tensors of other shapes."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from allometry.base import InputError
from allometry.base.machine import memory
from allometry.base.units import format_quantity
from allometry.nn.tracing.traced_int import AttributeSpot, set_attribute

_NORMS = (nn.modules.batchnorm._NormBase,)


def copied(module: nn.Module) -> nn.Module:
    """A copy of a module that shares nothing with it.

    Raises:
        InputError: it cannot be copied, or its code is compiled, so that its sizes cannot change.

    Example:
        >>> copied(nn.Linear(2, 2)).weight.shape
        torch.Size([2, 2])
    """
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise InputError(
                f"{name or type(module).__name__} is a scripted module: its sizes are compiled in."
            )
    try:
        return copy.deepcopy(module)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(f"{type(module).__name__} cannot be copied: {error}") from error


def check_memory(module: nn.Module, needed: float) -> None:
    """Refuse before any of it is taken what this machine has no memory for: a module, a copy, and what it computes.

    Raises:
        InputError: the tensors would take more than a quarter of the memory.
    """
    if needed > memory() / 4:
        raise InputError(
            f"{type(module).__name__} would have tensors of {format_quantity(needed, unit='B')}, more than a quarter "
            f"of this machine's memory ({format_quantity(memory(), unit='B')})."
        )


def bytes_of(module: nn.Module) -> int:
    """Of all tensors of a module."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*module.parameters(), *module.buffers()))


def resize(
    module: nn.Module,
    shapes: Mapping[str, tuple[int, ...]],
    attributes: Mapping[AttributeSpot, float],
) -> nn.Module:
    """A copy of a module in which some tensors have other shapes; their values are zeros.

    Args:
        module: stays as it is.
        shapes: of the tensors that change, by their names.
        attributes: integers that change with them.

    Raises:
        InputError: the module cannot be copied.

    Example:
        >>> wide = resize(nn.Linear(2, 3), {"weight": (3, 4)}, {})
        >>> wide
        Linear(in_features=4, out_features=3, bias=True)
    """
    changed = sum(4 * math.prod(shape) for shape in shapes.values())
    check_memory(module, bytes_of(module) + changed)
    result = copied(module)
    resize_in_place(result, shapes, attributes)
    return result


def resize_in_place(
    module: nn.Module,
    shapes: Mapping[str, tuple[int, ...]],
    attributes: Mapping[AttributeSpot, float],
) -> None:
    """Give some tensors of a module other shapes; their values are zeros."""
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    replace_tensors(module, {id(named[name]): _like(named[name], shape) for name, shape in shapes.items()})
    for spot, value in attributes.items():
        set_attribute(module, spot, value)
    for part in module.modules():
        _tell_sizes(part)


def replace_tensors(module: nn.Module, others: Mapping[int, Tensor]) -> None:
    """Put other tensors in the places of some, by their `id`, in place; a shared tensor stays shared."""
    for part in module.modules():
        kinds: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)
        for held in kinds:
            held.update({key: others[id(tensor)] for key, tensor in held.items() if id(tensor) in others})


def _like(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    values = torch.zeros(shape, dtype=tensor.dtype, device=tensor.device)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(values, requires_grad=tensor.requires_grad)
    return values


def _tell_sizes(part: nn.Module) -> None:
    """What PyTorch's own layers say of their sizes follows from their tensors."""
    weight = getattr(part, "weight", None)
    if not isinstance(weight, Tensor):
        if isinstance(part, nn.MultiheadAttention):
            _tell_attention(part)
        return
    if isinstance(part, nn.modules.conv._ConvNd):
        first, second = weight.shape[0], weight.shape[1] * part.groups
        part.in_channels, part.out_channels = (first, second) if part.transposed else (second, first)
    elif isinstance(part, nn.Linear):
        part.out_features, part.in_features = weight.shape
    elif isinstance(part, _NORMS):
        part.num_features = weight.shape[0]
    elif isinstance(part, nn.LayerNorm | nn.RMSNorm):
        part.normalized_shape = tuple(weight.shape)
    elif isinstance(part, nn.GroupNorm):
        part.num_channels = weight.shape[0]
    elif isinstance(part, nn.Embedding):
        part.num_embeddings, part.embedding_dim = weight.shape
    elif isinstance(part, nn.PReLU):
        part.num_parameters = weight.shape[0]


def _tell_attention(part: nn.MultiheadAttention) -> None:
    part.embed_dim = part.out_proj.weight.shape[0]
    part.head_dim = part.embed_dim // part.num_heads
    if part.in_proj_weight is not None:
        part.kdim = part.vdim = part.embed_dim
