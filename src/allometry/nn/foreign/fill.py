"""The weights of a larger module: what it inherits, and what stands in what is new."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from allometry.nn.foreign.normed import keep_statistics
from allometry.nn.foreign.widen import Resized, is_new, tensors_of
from allometry.nn.growing.filling import ChannelDimensions, GrowthMethod, along, filled
from allometry.nn.growing.weight_map import NEW, TensorSource
from allometry.nn.tracing.labels import Spot

_SPLIT_NOISE = 0.1  # how much the factors of copies differ that are multiplied with each other


def fill(
    old: nn.Module, resized: Resized, *, method: GrowthMethod, seed: int, begun: bool = False
) -> nn.Module:
    """Give a larger module the weights of the one it comes from, so that it computes the same; in place.

    New channels get weights as widely spread as those that are there. What is multiplied with each other, such as
    queries and keys, is not seen where one of them is zero, and of copies one has its share.

    Args:
        old: where the weights come from.
        resized: the larger module; its weight map says whether new channels are copies.
        method: what new channels are, as `filled` says it.
        seed: of the new weights.
        begun: what is new has weights already, those of the larger module; what inherits nothing stays.

    Returns:
        The larger module.
    """
    generator = torch.Generator().manual_seed(seed)
    before, after = tensors_of(old), tensors_of(resized.module)
    buffers = {name for name, _ in resized.module.named_buffers()}
    dimensions = _dimensions(resized)
    quiet = _quiet_factors(resized)
    with torch.no_grad():
        for number, (name, tensor) in enumerate(after.items()):
            source = resized.weight_map.get(name)
            if source is None:
                continue
            own = before[source.name].cpu()
            if all(row is None for row in source.indices):
                tensor.copy_(own)
                continue
            fresh = tensor.cpu()
            if not begun:
                fresh = fresh_values(name, own, fresh, generator, is_buffer=name in buffers)
            if method != "pairs":
                # New channels read no new ones either: without statistics they would grow from layer to layer.
                for dimension in dimensions[name].readers:
                    new = is_new(source, tuple(tensor.shape), dimension)
                    fresh = fresh.masked_fill(along(new, tensor.ndim, dimension), 0.0)
            # Shares of a tensor's copies are the same in whatever is filled: the module, and an average of it.
            shares = torch.Generator().manual_seed(seed + number)
            result = filled(own, source, fresh, method=method, generator=shares, dimensions=dimensions[name])
            for dimension, factors in quiet.get(name, ()):
                result *= along(factors, tensor.ndim, dimension).to(result)
            tensor.copy_(result)
    if method != "copies":
        keep_statistics(resized, seed=seed, begun=begun)
    return resized.module


def _dimensions(resized: Resized) -> Mapping[str, ChannelDimensions]:
    """What the dimensions of each tensor are, and which of its new channels are pairs."""
    givers: dict[str, set[int]] = defaultdict(set)
    readers: dict[str, set[int]] = defaultdict(set)
    partners: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for group in resized.graph.groups:
        for slot, positions in zip(group.slots, group.positions, strict=True):
            name, dimension = slot.spot
            (readers if slot.spot in resized.graph.readers else givers)[name].add(dimension)
            source, shape = resized.weight_map.get(name), resized.graph.shapes[name]
            if source is None:
                continue
            seconds = partners[name].setdefault(dimension, torch.full((shape[dimension],), NEW))
            new = is_new(source, shape, dimension).numpy()[positions[:, 0]]
            added = torch.from_numpy(np.ascontiguousarray(positions[new]))
            seconds[added[1::2]] = added[: len(added) // 2 * 2 : 2]
    return {
        name: ChannelDimensions(
            tuple(sorted(givers[name])), tuple(sorted(readers[name])), dict(partners[name])
        )
        for name in resized.graph.shapes
    }


def fresh_values(
    name: str, own: Tensor, like: Tensor, generator: torch.Generator, *, is_buffer: bool
) -> Tensor:
    """What stands where nothing is inherited.

    Args:
        name: of the tensor.
        own: its values in the module from which it comes.
        like: of the new shape.
        generator: of random numbers.
        is_buffer: and no parameter.

    Example:
        >>> fresh_values("bias", torch.tensor([1.0, 2.0]), torch.zeros(3), torch.Generator(), is_buffer=False)
        tensor([1., 2., 1.])
    """
    if is_buffer and name.endswith(("running_mean", "running_var")):
        return torch.full_like(like, float(name.endswith("running_var")))
    return _repeated(own, like) if is_buffer or own.ndim < 2 else _drawn(own, like, generator)


def _quiet_factors(resized: Resized) -> Mapping[str, list[tuple[int, Tensor]]]:
    """What the entries of weights are multiplied with that give one of two factors, and those of their biases."""
    factors: dict[str, list[tuple[int, Tensor]]] = defaultdict(list)
    for spot, indices in resized.graph.silent.items():
        names = [spot.tensor]
        bias = f"{spot.tensor.removesuffix('weight')}bias"
        if spot.dimension == 0 and bias != spot.tensor:
            names.append(bias)
        for name in (name for name in names if name in resized.weight_map):
            source, shape = resized.weight_map[name], resized.graph.shapes[name]
            if spot.dimension >= len(shape) or Spot(name, spot.dimension) in resized.graph.readers:
                continue
            new, quiet = is_new(source, shape, spot.dimension), _entries(indices, shape[spot.dimension])
            shares = torch.where(quiet, _shares(source, shape, spot.dimension), 1.0)
            factors[name].append((spot.dimension, shares.masked_fill(new & quiet, 0.0)))
    return factors


def _shares(source: TensorSource, shape: tuple[int, ...], dimension: int) -> Tensor:
    """What part of an old channel each of its copies is: the parts add up to 1, and no two are the same."""
    row = source.indices[dimension]
    if row is None:
        return torch.ones(shape[dimension])
    known = torch.tensor(row)
    shares = torch.ones(len(known))
    for old in set(row) - {NEW}:
        places = (known == old).nonzero().flatten()
        count = len(places)
        centered = (torch.arange(count) + 0.5) / count - 0.5
        shares[places] = (1 + _SPLIT_NOISE * centered) / count
    return shares


def _entries(indices: Iterable[int], size: int) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[[index for index in indices if index < size]] = True
    return mask


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
