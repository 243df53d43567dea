"""Weights with which a block gives what it is given."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from allometry.base import InputError
from allometry.nn.channels import named_tensors
from allometry.nn.foreign.runs import Seen
from allometry.nn.tracing.tracer import tensors_in

_CLOSE = 1e-5  # relative difference of what an identity gives
_MOST_STEPS = 12  # layers of a block that are tried, from its end


def make_identity(block: nn.Module, seen: Seen, where: str) -> None:
    """Change a block's weights so that it gives what it is given: in place.

    Tried are zeros in one of the last layers, then in as few as leave nothing of several residual branches, then layers
    that hand on what they are given.

    Raises:
        InputError: none of it helps.
    """
    # What a block is given may have been changed by it in place: the values after it serve as well as any.
    inputs, keywords = seen.inputs, seen.keywords
    kept = {name: tensor.clone() for name, tensor in named_tensors(block)}
    for layers in _ends(block, inputs, keywords):
        _set(layers, {})
        if _is_identity(block, inputs, keywords):
            return
        _restore(block, kept)
    if _silence_all(block, inputs, keywords, kept):
        return
    with torch.no_grad():
        _hand_on(block)
    if _is_identity(block, inputs, keywords):
        return
    _restore(block, kept)
    raise InputError(
        f"{where}: no weights were found with which a {type(block).__name__} gives what it is given, so no more of "
        "them can be added without changing what the network computes."
    )


def redraw(block: nn.Module, *, seed: int) -> None:
    """Draw the weights of a block anew, as widely spread as they are; in place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in block.parameters():
            if tensor.ndim > 1 and tensor.is_floating_point():
                drawn = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(drawn.to(tensor) * tensor.float().std(correction=0).to(tensor))


def _silence_all(block: nn.Module, inputs: Any, keywords: Any, kept: dict[str, Tensor]) -> bool:  # noqa: ANN401
    """Put zeros into as few layers as leave nothing of several residual branches, such as attention and its MLP.

    Whether there are such layers; if not the block is as it was.
    """
    silent: list[list[Tensor]] = []
    for tensors in _ends(block, inputs, keywords):
        silent.append(tensors)
        _set(tensors, {})
        if _is_identity(block, inputs, keywords):
            break
    else:
        _restore(block, kept)
        return False
    values = {id(tensor): kept[name] for name, tensor in named_tensors(block)}
    for tensors in silent[:-1]:
        _set(tensors, values)
        if not _is_identity(block, inputs, keywords):
            _set(tensors, {})
    return True


def _set(tensors: Sequence[Tensor], values: Mapping[int, Tensor]) -> None:
    """Give tensors their values, in place; zeros where there are none."""
    with torch.no_grad():
        for tensor in tensors:
            tensor.copy_(values[id(tensor)]) if id(tensor) in values else tensor.zero_()


def _ends(block: nn.Module, inputs: Any, keywords: Any) -> Iterator[list[Tensor]]:  # noqa: ANN401
    """The tensors of the block's last layers, from the last on, and those that are no layer's."""
    order: list[nn.Module] = []
    handles = [
        part.register_forward_hook(lambda part, _inputs, _output: order.append(part))
        for part in block.modules()
        if part._parameters
    ]
    try:
        _call(block, inputs, keywords)
    finally:
        for handle in handles:
            handle.remove()
    for part in block.modules():
        bare = [tensor for tensor in part._parameters.values() if tensor is not None]
        if bare and part not in order and not isinstance(part, nn.modules.batchnorm._NormBase):
            yield [bare[-1]]
    if block._parameters:
        for tensor in block._parameters.values():
            if tensor is not None:
                yield [tensor]
    for part in list(dict.fromkeys(reversed(order)))[:_MOST_STEPS]:
        yield [tensor for tensor in part._parameters.values() if tensor is not None]


def _hand_on(block: nn.Module) -> None:
    for part in block.modules():
        if isinstance(part, nn.modules.conv._ConvNd) and not part.transposed:
            part.weight.zero_()
            if all(size % 2 for size in part.kernel_size) and part.weight.shape[0] >= part.weight.shape[1]:
                nn.init.dirac_(part.weight, groups=part.groups)
            if part.bias is not None:
                part.bias.zero_()
        elif isinstance(part, nn.modules.batchnorm._NormBase) and part.running_var is not None:
            if part.running_mean is not None:
                part.running_mean.zero_()
            part.running_var.fill_(1.0 - part.eps)
            if part.affine:
                part.weight.fill_(1.0)
                part.bias.zero_()


def _is_identity(block: nn.Module, inputs: Any, keywords: Any) -> bool:  # noqa: ANN401
    before = tensors_in((inputs, keywords))[0].clone()
    try:
        after = tensors_in(_call(block, inputs, keywords))[0]
    except RuntimeError:
        return False
    return _same(before, after)


def _same(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors are the same but for rounding."""
    return one.shape == two.shape and difference(one, two) < _CLOSE


def difference(one: Tensor, two: Tensor) -> float:
    """The largest difference of two tensors, relative to the largest entry of the first.

    Example:
        >>> difference(torch.tensor([2.0, 1.0]), torch.tensor([2.0, 1.5]))
        0.25
    """
    scale = float(one.abs().max()) if one.numel() else 0.0
    gap = float((one - two).abs().max()) if one.numel() else 0.0
    if not math.isfinite(gap):
        return math.inf
    return gap / scale if scale else gap


def _call(block: nn.Module, inputs: Any, keywords: Any) -> Any:  # noqa: ANN401
    block.eval()
    with torch.no_grad():
        return block(*_cloned(inputs), **_cloned(keywords))


def _cloned(held: Any) -> Any:  # noqa: ANN401 - whatever a block takes
    if isinstance(held, Tensor):
        return held.clone()
    if isinstance(held, dict):
        return {key: _cloned(value) for key, value in held.items()}
    if type(held) in (list, tuple):
        return type(held)(_cloned(value) for value in held)
    return held


def _restore(block: nn.Module, kept: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in named_tensors(block):
            tensor.copy_(kept[name])
