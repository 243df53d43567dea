"""Which channels of a module go first: those that matter most, so that narrow members have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from allometry.arch import ModuleSpace
from allometry.nn.channels import named_tensors
from allometry.nn.foreign.identity import difference
from allometry.nn.foreign.runs import run_once
from allometry.supernets.elastic_module import ElasticModule

_CLOSE = 1e-4  # relative difference of outputs that rounding explains
_Orders = dict[tuple[str, int], Tensor]


def sort_module_channels(
    supernet: ElasticModule, *, narrower: ModuleSpace | None = None, also: Iterable[ElasticModule] = ()
) -> None:
    """Put the most important channels first, in place; what the module computes does not change.

    A channel matters by the sum of the absolute weights that read it, or, where none is known to read it, of all its
    weights. A group of channels whose order the module turns out to depend on stays as it is.

    Args:
        supernet: whose weights say what matters.
        narrower: the space that was trained so far, a part of the supernet's: between its widths nothing is exchanged.
        also: supernets of the same space whose channels change places likewise, such as an average of the weights.

    Source: Once-for-All (Cai et al. 2020), section 3.3.

    Example:
        >>> from torch import nn
        >>> from allometry.nn import ModuleElasticity, module_space
        >>> from allometry.supernets import supernet_of_module
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2))
        >>> space = module_space(net, resolution=8, elasticity=ModuleElasticity(widths=(0.5,), resolutions=()))
        >>> supernet = supernet_of_module(space, net)
        >>> sort_module_channels(supernet)
        >>> read = supernet.module[4].weight.detach().abs().sum(0)
        >>> bool((read.diff() <= 0).all())
        True
    """
    space = supernet.space
    side = space.resolutions[-1]
    device = next(supernet.parameters()).device
    image = torch.randn(1, space.in_channels, side, side, generator=torch.Generator().manual_seed(0)).to(
        device
    )
    before = run_once(supernet.module, (image,))
    choices = {group.choice: None for group in space.groups}

    def moves(names: Sequence[str]) -> _Orders:
        return _orders(supernet, [n for n, g in enumerate(space.groups) if g.choice in names], narrower)

    def stays(orders: _Orders) -> bool:
        _move(supernet, orders)
        same = difference(before, run_once(supernet.module, (image,))) <= _CLOSE
        if not same:
            _move(supernet, {place: order.argsort() for place, order in orders.items()})
        return same

    whole = moves(list(choices))
    kept = [whole] if stays(whole) else [own for name in choices if stays(own := moves([name]))]
    for other in also:
        for orders in kept:
            _move(other, orders)


def _orders(supernet: ElasticModule, groups: Sequence[int], narrower: ModuleSpace | None) -> _Orders:
    """For each dimension of a tensor in which some groups stand the new order of its entries."""
    space, graph = supernet.space, supernet.members.graph
    tensors = {name: tensor.detach() for name, tensor in named_tensors(supernet.module)}
    orders: _Orders = {}
    for place in groups:
        own = space.groups[place]
        group = graph.groups[own.number]
        slots = list(zip(group.slots, group.positions, strict=True))
        reading = [slot for slot in slots if slot[0].spot in graph.readers] or slots
        scores = torch.zeros(group.size)
        for slot, positions in reading:
            value = tensors[slot.spot.tensor]
            if value.is_floating_point() and value.ndim > 1:
                others = [side for side in range(value.ndim) if side != slot.spot.dimension]
                scores += value.abs().sum(others).cpu()[torch.from_numpy(positions)].sum(1)
        cuts = sorted({0, group.size, *_sizes_in(narrower, place)})
        ranks = torch.cat(
            [
                first + scores[first:last].argsort(descending=True, stable=True)
                for first, last in pairwise(cuts)
            ]
        )
        for slot, positions in slots:
            name, dimension = slot.spot
            order = orders.setdefault((name, dimension), torch.arange(tensors[name].shape[dimension]))
            where = torch.from_numpy(positions)
            order[where] = where[ranks]
    return orders


def _sizes_in(narrower: ModuleSpace | None, place: int) -> set[int]:
    """The sizes that a group has in members of a part of the space."""
    if narrower is None:
        return set()
    group = narrower.groups[place]
    options = next(choice.options for choice in narrower.choices if choice.name == group.choice)
    return {size for option, size in zip(group.options, group.sizes, strict=True) if option in options}


def _move(supernet: ElasticModule, orders: _Orders) -> None:
    tensors = dict(named_tensors(supernet.module))
    with torch.no_grad():
        for (name, dimension), order in orders.items():
            tensors[name].copy_(tensors[name].index_select(dimension, order.to(tensors[name].device)))
