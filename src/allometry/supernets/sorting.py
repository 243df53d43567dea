"""Which channels go first: those that matter most, so that narrow subnets inherit them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from allometry.arch import Space
from allometry.supernets.axes import Axis, axes_of, tensors_of
from allometry.supernets.elastic import Supernet, host_name
from allometry.supernets.places import candidates_of, shapes_of, skeleton


def sort_channels(
    supernet: Supernet, *, narrower: Space, also: Iterable[Supernet] = (), axes: Sequence[Axis] | None = None
) -> None:
    """Put the most important channels first, in place; what the greatest network computes does not change.

    A channel matters by the sum of the absolute weights that read it. Channels that a space's narrower members use
    already stay in front of those that they do not use.

    Args:
        supernet: whose weights say what matters.
        narrower: the space that was trained so far, a part of the supernet's: between its widths nothing is exchanged.
        also: supernets of the same space whose channels change places likewise, such as an average of the weights.
        axes: of the supernet; None finds them.

    Source: Once-for-All (Cai et al. 2020), section 3.3; the order that is kept: released code.
    """
    held = [{name: dict(tensors_of(host)) for name, host in each.hosts.items()} for each in (supernet, *also)]
    widths = _widths(narrower)
    with torch.no_grad():
        for axis in axes_of(supernet) if axes is None else axes:
            importance = sum(
                _importance(held[0][spot.host][spot.name], spot.dimension) for spot in axis.readers
            )
            assert isinstance(importance, Tensor)  # noqa: S101
            cuts = {0, len(importance)}
            for spot in axis.readers:
                cuts |= {shape[spot.dimension] for shape in widths.get((spot.host, spot.name), ())}
            order = torch.cat(
                [
                    first + importance[first:last].argsort(descending=True, stable=True)
                    for first, last in pairwise(sorted(cuts))
                ]
            )
            for tensors in held:
                for spot in axis.spots:
                    value = tensors[spot.host][spot.name]
                    value.copy_(value.index_select(spot.dimension, order))


def _importance(weight: Tensor, dimension: int) -> Tensor:
    others = [each for each in range(weight.ndim) if each != dimension]
    return weight.abs().sum(others) if others else weight.abs()


def _widths(space: Space) -> dict[tuple[str, str], set[torch.Size]]:
    """Of each tensor the shapes that members of a part of the space use."""
    found: dict[tuple[str, str], set[torch.Size]] = {}
    for place, candidates in candidates_of(space).items():
        for candidate, source in candidates.items():
            host = host_name(place, candidate)
            for name, shape in shapes_of(skeleton(candidate, source, space.template)).items():
                found.setdefault((host, name), set()).add(shape)
    return found
