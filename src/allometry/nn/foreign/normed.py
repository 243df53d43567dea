"""Weights with which a statistic over channels, such as layer norm's, stays what it was when there are more of them.

A layer norm takes no notice of what is added to all channels alike. So the weights that give its channels can be
centered, after which their mean is zero; with new channels of zeros it stays zero, and the variance becomes smaller by
the ratio of their numbers, which the norm's own scale makes up for. Where channels are divided by a mean over them, as
in global response normalization, that becomes smaller by the whole ratio. Weights that are standardized over what they
read, whose new channels must not be read with zeros, get new ones of the same mean and variance, and the norm before
them has a scale of zero for what is new. Products of attention that are divided by the root of a head's width are made
up for by the weights that give its keys.

Source: the invariance: SliceGPT (Ashkboos et al. 2024, arXiv:2401.15024), section 3.2; the scale: LEMON (Wang et al.
2023, arXiv:2310.07999), section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from allometry.nn.foreign.widen import Resized, is_new, tensors_of
from allometry.nn.growing.filling import along
from allometry.nn.tracing.graph import ChannelGraph, ChannelGroup
from allometry.nn.tracing.labels import Spot


def keep_statistics(resized: Resized, *, seed: int, begun: bool = False) -> None:
    """Let norms and attention compute what they did with more channels, in place.

    What gives channels under a layer norm is centered. New ones are zeros at first, and what reads them is not, so that
    both learn.

    Args:
        resized: the larger module, with what it inherits.
        seed: of the weights that read new channels.
        begun: what is new has weights already.
    """
    generator = None if begun else torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for group in resized.graph.groups:
            if not group.normed or not _grows(group, resized):
                continue
            places = list(_places(group, resized))
            if any(place.spot.tensor in _exponents(resized.graph) for place in places):
                _keep_norms(places, resized, generator)
            elif any(place.spot in resized.graph.standardized for place in places):
                _keep_standardized(places, resized, generator)
            elif any(place.spot in resized.graph.keys for place in places):
                _keep_products(places, resized, generator)


def may_keep_statistics(group: ChannelGroup, graph: ChannelGraph) -> bool:
    """Whether a group is one of those whose statistics can stay what they were."""
    scales, alone = _exponents(graph), {*graph.keys, *graph.standardized}
    return any(slot.spot.tensor in scales or slot.spot in alone for slot in group.slots)


class _Place(NamedTuple):
    """Where channels of a group stand: the entries that are inherited, and those that are new."""

    spot: Spot
    tensor: Tensor
    old: Tensor
    new: Tensor

    @property
    def ratio(self) -> float:
        """By which factor there are more of them."""
        return (len(self.old) + len(self.new)) / max(1, len(self.old))


def _places(group: ChannelGroup, resized: Resized) -> Iterator[_Place]:
    tensors = tensors_of(resized.module)
    for slot, positions in zip(group.slots, group.positions, strict=True):
        name, dimension = slot.spot
        tensor, source = tensors[name], resized.weight_map.get(name)
        if source is not None and tensor.is_floating_point():
            entries = torch.from_numpy(positions.reshape(-1).copy())
            new = is_new(source, tuple(tensor.shape), dimension)[entries]
            yield _Place(slot.spot, tensor, entries[~new], entries[new])


def _exponents(graph: ChannelGraph) -> dict[str, float]:
    """With what power of the ratio of channels the scale of each statistic is multiplied."""
    own = {name: -0.5 if one.centers else -1.0 for one in graph.statistics for name in one.scales}
    return own | {norm.weight: -0.5 for norm in graph.norms}


def _keep_norms(places: Sequence[_Place], resized: Resized, generator: torch.Generator | None) -> None:
    """Center what gives channels under a layer norm, and make up for the smaller variance."""
    graph, exponents = resized.graph, _exponents(resized.graph)
    offsets = {norm.bias for norm in graph.norms}.union(*(one.offsets for one in graph.statistics))
    tensors = {place.spot.tensor for place in places}
    centers = all(one.centers for one in graph.statistics if tensors.intersection(one.scales))
    for place in places:
        if place.spot in graph.readers:
            _draw(place, generator)
        elif place.spot.tensor in exponents:
            place.tensor.mul_(place.ratio ** exponents[place.spot.tensor])
        elif place.spot.tensor in offsets or not centers:
            _silence(place)
        else:
            _center(place)


def _keep_standardized(places: Sequence[_Place], resized: Resized, generator: torch.Generator | None) -> None:
    """Let new channels be zero where they are read, and what reads them keep its mean and variance."""
    graph = resized.graph
    norms = {place.spot.tensor for place in places} & graph.scales
    hidden = norms | {f"{name.removesuffix('weight')}bias" for name in norms}
    for place in places:
        if place.spot in graph.readers:
            _draw(place, generator)
            if place.spot in graph.standardized:
                _standardize(place, graph.standardized[place.spot])
        elif not norms or place.spot.tensor in hidden:
            _silence(place)


def _keep_products(places: Sequence[_Place], resized: Resized, generator: torch.Generator | None) -> None:
    """Let keys be larger by what their products with queries are divided by more.

    Where one tensor gives both, both are larger by half of that; and where it gives the values, too, what reads them is
    smaller.
    """
    keys, queries = resized.graph.keys, resized.graph.queries
    givers = [place for place in places if place.spot in keys]
    factor = max(
        place.ratio ** (0.25 if keys[place.spot] & queries.get(place.spot, frozenset()) else 0.5)
        for place in givers
    )
    scaled = {place.spot.tensor.removesuffix("weight") for place in givers}
    for place in places:
        if place.spot in resized.graph.readers:
            _draw(place, generator)
            _multiply(place, 1 / factor)
        elif any(place.spot.tensor in (f"{stem}weight", f"{stem}bias") for stem in scaled):
            _multiply(place, factor)


def _grows(group: ChannelGroup, resized: Resized) -> bool:
    """Whether some channels of a group are new."""
    slot, positions = group.slots[0], group.positions[0]
    source = resized.weight_map.get(slot.spot.tensor)
    shape = resized.graph.shapes[slot.spot.tensor]
    return source is not None and bool(
        is_new(source, shape, slot.spot.dimension)[positions.reshape(-1)].any()
    )


def _draw(place: _Place, generator: torch.Generator | None) -> None:
    """Weights that read new channels, as widely spread as the others; none where they have begun."""
    if generator is None:
        return
    tensor, dimension = place.tensor, place.spot.dimension
    known = tensor.index_select(dimension, place.old.to(tensor.device)).float()
    shape = [len(place.new) if number == dimension else size for number, size in enumerate(tensor.shape)]
    drawn = torch.randn(shape, generator=generator) * known.std(correction=0).cpu()
    tensor.index_copy_(dimension, place.new.to(tensor.device), drawn.to(tensor))


def _multiply(place: _Place, factor: float) -> None:
    """Multiply the entries that were there."""
    factors = torch.ones(place.tensor.shape[place.spot.dimension])
    factors[place.old] = factor
    place.tensor.mul_(along(factors, place.tensor.ndim, place.spot.dimension).to(place.tensor))


def _silence(place: _Place) -> None:
    """Let new entries be zero."""
    place.tensor.index_fill_(place.spot.dimension, place.new.to(place.tensor.device), 0.0)


def _standardize(place: _Place, correction: float) -> None:
    """Let new entries have the mean of those that were there, and all together the variance, for each output."""
    device = place.tensor.device
    weight = place.tensor.movedim(place.spot.dimension, -1)
    old, new = (weight.index_select(weight.ndim - 1, rows.to(device)) for rows in (place.old, place.new))
    dims = tuple(range(1, weight.ndim))
    known, added = old[0].numel(), new[0].numel()
    if known <= correction or not added:
        return
    mean = old.mean(dims, keepdim=True)
    squares = (old - mean).square().sum(dims, keepdim=True) * added / (known - correction)
    noise = new - new.mean(dims, keepdim=True)
    noise *= (
        squares / noise.square().sum(dims, keepdim=True).clamp_min(torch.finfo(noise.dtype).tiny)
    ).sqrt()
    weight.index_copy_(weight.ndim - 1, place.new.to(device), mean + noise)


def _center(place: _Place) -> None:
    """Let the entries that were there have a mean of zero along a dimension; new ones are zero."""
    tensor, dimension = place.tensor, place.spot.dimension
    chosen = torch.zeros(tensor.shape[dimension])
    chosen[place.old] = 1.0
    mean = tensor.index_select(dimension, place.old.to(tensor.device)).mean(dimension, keepdim=True)
    tensor.sub_(mean * along(chosen, tensor.ndim, dimension).to(tensor))
    _silence(place)
