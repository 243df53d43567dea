"""The weights that a larger module begins with beside those that it inherits, so that it computes the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

from allometry.nn.growing.weight_map import NEW, TensorSource, inherited

GrowthMethod = Literal["new", "copies", "pairs"]
"""What new channels are: new ones that nobody reads yet, copies of old ones, or pairs that cancel each other."""
GROWTH_METHODS: tuple[GrowthMethod, ...] = get_args(GrowthMethod)

_SPLIT_NOISE = 0.1  # how much the shares of copies in what is read of them differ


@dataclass(frozen=True, slots=True)
class ChannelDimensions:
    """What the dimensions of a tensor are.

    Attributes:
        givers: those whose entries belong to channels that the tensor gives or changes.
        readers: those whose entries belong to channels that it reads.
        partners: for a dimension, for each new channel that is the second of a pair the first one's entry, and -1 for
            all others; by default every second new entry goes with the one before it.

    Example:
        >>> ChannelDimensions(givers=(0,), readers=(1,)) == LAYER
        True
    """

    givers: tuple[int, ...]
    readers: tuple[int, ...]
    partners: Mapping[int, Tensor] = field(default_factory=dict, compare=False)


LAYER = ChannelDimensions(givers=(0,), readers=(1,))
"""As PyTorch's layers have them: the first dimension is what they give, the second what they read."""


def filled(
    old: Tensor,
    source: TensorSource,
    fresh: Tensor,
    *,
    method: GrowthMethod,
    generator: torch.Generator,
    dimensions: ChannelDimensions = LAYER,
) -> Tensor:
    """A tensor of the larger module: what it inherits, and beside it weights that leave the outputs as they were.

    - `new`: channels with fresh weights, which the old channels read with zeros.
    - `copies`: channels with the weights of those that they stand for, among which the weights that read those are
      shared out, in shares that differ a little; so copies learn different things.
    - `pairs`: two channels with the same fresh weights, which are read with opposite ones. A last one alone is as in
      `new`.

    Args:
        old: the tensor that `source` names.
        source: which entry comes from which.
        fresh: initial weights of the new shape.
        method: of the three.
        generator: of what is drawn.
        dimensions: which of them give channels, and which read them.

    Source: `copies`: Net2Net (Chen et al. 2016), section 2.2; uneven shares: LEMON (Wang et al. 2023,
    arXiv:2310.07999), section 4.1; `pairs`: Wu et al. 2019, *Splitting steepest descent*.

    Example:
        >>> source = TensorSource("weight", ((0, -1), (0, -1, -1)))
        >>> filled(
        ...     torch.full((1, 1), 5.0), source, torch.ones(2, 3), method="new", generator=torch.Generator()
        ... )
        tensor([[5., 0., 0.],
                [1., 1., 1.]])
    """
    base = fresh.detach().clone()
    known = [_known(source, dimension, size) for dimension, size in enumerate(base.shape)]
    givers = [dimension for dimension in dimensions.givers if dimension < base.ndim]
    readers = [dimension for dimension in dimensions.readers if dimension < base.ndim]
    opposite = []
    if method == "pairs":
        for dimension in (*givers, *readers):
            new = known[dimension] == NEW
            seconds = dimensions.partners.get(dimension, _in_order(new))
            _pair(base, dimension, seconds, sign=-1 if dimension in readers else 1)
            if dimension in readers:
                opposite.append((dimension, new, _paired(seconds)))
    if any(bool((row == NEW).any()) for row in known):
        # What was there reads of what is new nothing, or pairs of opposite weights.
        new_output = _any_along(base.ndim, [(dimension, known[dimension] == NEW) for dimension in givers])
        cancels = _any_along(base.ndim, [(dimension, paired) for dimension, _, paired in opposite])
        alone = _any_along(base.ndim, [(dimension, new & ~paired) for dimension, new, paired in opposite])
        base.masked_fill_((~new_output & ~(cancels & ~alone)).to(base.device), 0)
    result = inherited(old, source, base)
    if method == "copies":
        for dimension in readers:
            result *= _shares(known, dimension, (*givers, *readers), generator).to(result)
    return result


def along(row: Tensor, ndim: int, dimension: int) -> Tensor:
    """A row as one along a dimension of so many.

    Example:
        >>> along(torch.zeros(3), 4, 1).shape
        torch.Size([1, 3, 1, 1])
    """
    shape = [1] * ndim
    shape[dimension] = -1
    return row.view(shape)


def _known(source: TensorSource, dimension: int, size: int) -> Tensor:
    indices = source.indices[dimension]
    return torch.arange(size) if indices is None else torch.tensor(indices, dtype=torch.long)


def _in_order(new: Tensor) -> Tensor:
    """For every second new entry the one before it, and -1 for all others."""
    places = new.nonzero().flatten()
    seconds = torch.full((len(new),), NEW)
    seconds[places[1::2]] = places[: len(places) // 2 * 2 : 2]
    return seconds


def _paired(seconds: Tensor) -> Tensor:
    """Which entries are one of a pair."""
    paired = seconds != NEW
    paired[seconds[paired]] = True
    return paired


def _pair(weight: Tensor, dimension: int, seconds: Tensor, *, sign: int) -> None:
    """Let the second entries of pairs be as the first, or their opposite, in place."""
    places = (seconds != NEW).nonzero().flatten()
    view = weight.movedim(dimension, 0)
    view[places] = sign * view[seconds[places]]


def _any_along(ndim: int, rows: list[tuple[int, Tensor]]) -> Tensor:
    """Which entries of a tensor are in one of the marked places of a dimension."""
    marked = torch.zeros([1] * ndim, dtype=torch.bool)
    for dimension, row in rows:
        marked = marked | along(row, ndim, dimension)
    return marked


def _shares(
    known: list[Tensor], dimension: int, channels: tuple[int, ...], generator: torch.Generator
) -> Tensor:
    """What part of an old channel's weight each of its copies has; the parts add up to 1 wherever it is read."""
    row = known[dimension]
    counts = torch.bincount(row)
    shape = [len(row) if number in channels else 1 for number, row in enumerate(known)]
    drawn = torch.rand(shape, generator=generator) - 0.5
    sums = torch.zeros([*shape[:dimension], len(counts), *shape[dimension + 1 :]])
    sums.index_add_(dimension, row, drawn)
    counted = along(counts[row], len(known), dimension)
    return (1 + _SPLIT_NOISE * (drawn - sums.index_select(dimension, row) / counted)) / counted
