"""The weights of a larger module: what it inherits, and what stands in what is new."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from allometry.nn.foreign.widen import Resized, is_new, tensors_of
from allometry.nn.growing.weight_map import NEW, TensorSource, inherited
from allometry.nn.tracing.labels import Spot

ModuleMethod = Literal["new", "copies"]
"""What new channels are: new ones that nobody reads yet, or copies of old ones, whose readers are shared out."""
MODULE_METHODS: tuple[ModuleMethod, ...] = get_args(ModuleMethod)


def fill(old: nn.Module, resized: Resized, *, seed: int) -> nn.Module:
    """Give a larger module the weights of the one it comes from, so that it computes the same; in place.

    Of new channels get weights like those that are there, and what reads them begins at zero, so that nothing of them
    is seen until training opens them. Of copies the weights that read a channel are shared out among it and its copies.

    Args:
        old: where the weights come from.
        resized: the larger module; its weight map says whether new channels are copies.
        seed: of the new weights.

    Returns:
        The larger module.

    Source: copies: Net2Net (Chen et al. 2016), section 2.2.
    """
    generator = torch.Generator().manual_seed(seed)
    before, after = tensors_of(old), tensors_of(resized.module)
    buffers = {name for name, _ in resized.module.named_buffers()}
    with torch.no_grad():
        for name, tensor in after.items():
            source = resized.weight_map[name]
            own = before[source.name]
            fresh = _fresh(name, own, tensor, generator, is_buffer=name in buffers)
            shares = []
            for dimension in range(tensor.ndim):
                spot, new = Spot(name, dimension), is_new(source, tuple(tensor.shape), dimension)
                quiet = _entries(resized.graph.silent.get(spot, frozenset()), tensor.shape[dimension])
                # New outputs may read new channels; those that were there must not.
                hidden = new if spot in resized.graph.readers else new & quiet
                fresh = fresh.masked_fill(_along(hidden, tensor.ndim, dimension), 0.0)
                counts = _copies(source, dimension)
                if counts is not None:
                    shared = counts if spot in resized.graph.readers else torch.where(quiet, counts, 1.0)
                    shares.append(_along(1 / shared, tensor.ndim, dimension))
            result = inherited(own, source, fresh)
            for share in shares:
                result *= share
            tensor.copy_(result)
        for name, factors in _quiet_biases(resized).items():
            after[name].mul_(factors)
    return resized.module


def _fresh(name: str, own: Tensor, like: Tensor, generator: torch.Generator, *, is_buffer: bool) -> Tensor:
    """What stands where nothing is inherited."""
    if is_buffer and name.endswith(("running_mean", "running_var")):
        return torch.full_like(like, float(name.endswith("running_var")))
    return _repeated(own, like) if is_buffer or own.ndim < 2 else _drawn(own, like, generator)


def _entries(indices: Iterable[int], size: int) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[[index for index in indices if index < size]] = True
    return mask


def _copies(source: TensorSource, dimension: int) -> Tensor | None:
    """For each entry of a dimension how many have what it inherits; None where none is a copy."""
    row = source.indices[dimension]
    if row is None:
        return None
    known = torch.tensor(row)
    counts = torch.bincount(known[known != NEW], minlength=1)
    return torch.where(known == NEW, 1, counts[known.clamp(min=0)]).float() if int(counts.max()) > 1 else None


def _quiet_biases(resized: Resized) -> dict[str, Tensor]:
    """For each bias beside weights that must be silent what its entries are multiplied with."""
    result = {}
    for spot, indices in resized.graph.silent.items():
        bias = f"{spot.tensor.removesuffix('weight')}bias"
        source = resized.weight_map.get(bias)
        if spot.dimension == 0 and source is not None and bias != spot.tensor:
            shape = resized.graph.shapes[bias]
            new, quiet = is_new(source, shape, 0), _entries(indices, shape[0])
            counts = _copies(source, 0)
            shares = torch.ones(shape[0]) if counts is None else torch.where(quiet, 1 / counts, 1.0)
            result[bias] = shares.masked_fill(new & quiet, 0.0)
    return result


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
