"""The weights of a larger module: what it inherits, and what stands in what is new."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from allometry.nn.foreign.widen import Resized, is_new, tensors_of
from allometry.nn.growing.weight_map import inherited
from allometry.nn.tracing.labels import Spot

Method = Literal["new", "copies"]


def fill(old: nn.Module, resized: Resized, *, seed: int) -> nn.Module:
    """Give a larger module the weights of the one it comes from, so that it computes the same; in place.

    New channels get weights like those that are there, and what reads them begins at zero, so that nothing of them is
    seen until training opens them.

    Args:
        old: where the weights come from.
        resized: the larger module.
        seed: of the new weights.

    Returns:
        The larger module.
    """
    generator = torch.Generator().manual_seed(seed)
    before, after = tensors_of(old), tensors_of(resized.module)
    buffers = {name for name, _ in resized.module.named_buffers()}
    with torch.no_grad():
        for name, tensor in after.items():
            source = resized.weight_map[name]
            own = before[source.name]
            fresh = (
                _repeated(own, tensor) if name in buffers or own.ndim < 2 else _drawn(own, tensor, generator)
            )
            if name in buffers and name.endswith(("running_mean", "running_var")):
                fresh = torch.full_like(tensor, float(name.endswith("running_var")))
            for dimension in range(tensor.ndim):
                new = is_new(source, tuple(tensor.shape), dimension)
                if Spot(name, dimension) in resized.graph.readers and new.any():
                    # New outputs may read new channels; those that were there must not.
                    fresh = fresh.masked_fill(_along(new, tensor.ndim, dimension), 0.0)
                silent = resized.graph.silent.get(Spot(name, dimension), frozenset())
                quiet = torch.zeros_like(new)
                quiet[list(silent)] = True
                if (quiet & new).any():
                    fresh = fresh.masked_fill(_along(quiet & new, tensor.ndim, dimension), 0.0)
                    _silence_bias(after, name, quiet & new)
            tensor.copy_(inherited(own, source, fresh))
        for name, rows in _quiet_biases(resized).items():
            after[name][rows] = 0.0
    return resized.module


def _quiet_biases(resized: Resized) -> dict[str, Tensor]:
    """The entries of biases that belong to weights which must be silent."""
    result = {}
    for spot, indices in resized.graph.silent.items():
        bias = f"{spot.tensor.removesuffix('weight')}bias"
        source = resized.weight_map.get(bias)
        if spot.dimension == 0 and source is not None and bias != spot.tensor:
            new = is_new(source, resized.graph.shapes[bias], 0)
            rows = torch.zeros_like(new)
            rows[[index for index in indices if index < len(rows)]] = True
            result[bias] = (rows & new).nonzero().flatten()
    return result


def _silence_bias(after: dict[str, Tensor], name: str, rows: Tensor) -> None:
    del after, name, rows


def _along(mask: Tensor, ndim: int, dimension: int) -> Tensor:
    shape = [1] * ndim
    shape[dimension] = -1
    return mask.view(shape)


def _drawn(own: Tensor, like: Tensor, generator: torch.Generator) -> Tensor:
    """Weights as widely spread as those that are there."""
    if not own.is_floating_point():
        return torch.zeros_like(like)
    spread = own.float().std(correction=0) if own.numel() > 1 else own.float().abs().sum()
    drawn = torch.randn(like.shape, generator=generator) * float(spread)
    return drawn.to(like)


def _repeated(own: Tensor, like: Tensor) -> Tensor:
    """The entries that are there, from the first again."""
    for dimension, size in enumerate(like.shape):
        if own.shape[dimension] != size and own.shape[dimension]:
            own = own.index_select(dimension, torch.arange(size) % own.shape[dimension])
    return own.to(like).clone()
