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


def make_identity(block: nn.Module, seen: Seen, where: str, *, only_silence: bool = False) -> None:
    """Change a block's weights so that it gives what it is given: in place.

    Tried are zeros in one of the last layers, then in as few as leave nothing of several residual branches, then layers
    that hand on what they are given, alone and with zeros in one branch.

    Args:
        block: to change.
        seen: what it is given.
        where: its name, for the message.
        only_silence: nothing but zeros in residual branches.

    Raises:
        InputError: none of it helps, or the block does not bear what is tried.
    """
    try:
        found = _found_identity(block, seen, only_silence=only_silence)
    except InputError:
        raise
    except Exception as error:
        # Whatever a user's code raises, of a block that is not made as this one is read.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{where}: a {type(block).__name__} more does not run: {reason}.") from error
    if not found:
        raise InputError(
            f"{where}: no weights were found with which a {type(block).__name__} gives what it is given, so no more of "
            "them can be added without changing what the network computes."
        )


def _found_identity(block: nn.Module, seen: Seen, *, only_silence: bool) -> bool:
    """Whether there are weights with which a block gives what it is given; it has them then."""
    # What a block is given may have been changed by it in place: the values after it serve as well as any.
    inputs, keywords = seen.inputs, seen.keywords
    kept = {name: tensor.clone() for name, tensor in named_tensors(block)}
    ends = list(_ends(block, inputs, keywords))
    for layers in ends:
        _set(layers, {})
        if _is_identity(block, inputs, keywords):
            return True
        _restore(block, kept)
    if _silence_all(block, ends, inputs, keywords):
        return True
    _restore(block, kept)
    if not only_silence:
        _hand_on(block, inputs, keywords)
        if _is_identity(block, inputs, keywords) or _silence_all(block, ends, inputs, keywords):
            return True
        _restore(block, kept)
    return False


def redraw(block: nn.Module, *, seed: int) -> None:
    """Draw the weights of a block anew, as widely spread as they are; in place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in block.parameters():
            if tensor.ndim > 1 and tensor.is_floating_point():
                drawn = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(drawn.to(tensor) * tensor.float().std(correction=0).to(tensor))


def _silence_all(block: nn.Module, ends: Sequence[list[Tensor]], inputs: Any, keywords: Any) -> bool:  # noqa: ANN401
    """Put zeros into as few layers as leave nothing of several residual branches, such as attention and its MLP.

    Whether there are such layers.
    """
    values = {id(tensor): tensor.clone() for tensors in ends for tensor in tensors}
    silent: list[list[Tensor]] = []
    for tensors in ends:
        silent.append(tensors)
        _set(tensors, {})
        if _is_identity(block, inputs, keywords):
            break
    else:
        return False
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


def layers_that_run(block: nn.Module, seen: Seen) -> set[str]:
    """The names of a block's parts with weights of their own that run on what it is given."""
    found: set[str] = set()
    handles = [
        part.register_forward_pre_hook(lambda _part, _inputs, name=name: found.add(name))
        for name, part in block.named_modules()
        if part._parameters
    ]
    try:
        _call(block, seen.inputs, seen.keywords)
    finally:
        for handle in handles:
            handle.remove()
    return found


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


def _hand_on(block: nn.Module, inputs: Any, keywords: Any) -> None:  # noqa: ANN401
    """Let every layer give what it is given, as far as layers can."""
    norms = []
    with torch.no_grad():
        for part in block.modules():
            if isinstance(part, nn.modules.conv._ConvNd | nn.Linear):
                _hand_on_weights(part)
            elif isinstance(part, nn.PReLU):
                part.weight.fill_(1.0)
            elif isinstance(part, nn.modules.batchnorm._NormBase) and part.running_var is not None:
                norms.append(part.register_forward_pre_hook(_take_statistics))
    try:
        _call(block, inputs, keywords)
    except RuntimeError:  # as shapes that do not fit are found
        return
    finally:
        for handle in norms:
            handle.remove()


def _hand_on_weights(part: nn.Module) -> None:
    weight, bias = part._parameters.get("weight"), part._parameters.get("bias")  # none where parametrized
    if weight is None or getattr(part, "transposed", False):
        return
    weight.zero_()
    groups = getattr(part, "groups", 1)
    if weight.ndim == 2:
        nn.init.eye_(weight)
    elif all(size % 2 for size in weight.shape[2:]) and weight.shape[0] >= weight.shape[1]:
        nn.init.dirac_(weight, groups=groups)
    if bias is not None:
        bias.zero_()


def _take_statistics(part: Any, given: tuple[Any, ...]) -> None:  # noqa: ANN401 - any batch norm
    """Let a batch norm give what it is given, and in training about that: its scale and offset undo its statistics."""
    x = given[0]
    over = [dimension for dimension in range(x.ndim) if dimension != 1]
    variance, mean = torch.var_mean(x, dim=over, correction=0)
    if not part.affine:
        variance, mean = torch.ones_like(variance) - part.eps, torch.zeros_like(mean)
    # Of channels in which nothing is there is no statistic.
    dead = variance < max(float(variance.max()), part.eps) * 1e-4
    variance, mean = variance.masked_fill(dead, 1.0 - part.eps), mean.masked_fill(dead, 0.0)
    part.running_var.copy_(variance)
    if part.running_mean is not None:
        part.running_mean.copy_(mean)
    if part.affine:
        part.weight.copy_((variance + part.eps).sqrt())
        part.bias.copy_(mean)


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
