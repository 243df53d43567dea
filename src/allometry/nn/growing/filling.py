"""The weights that a larger module begins with beside those that it inherits, so that it computes the same."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from allometry.nn.growing.weight_map import NEW, TensorSource, inherited

GrowthMethod = Literal["new", "copies", "pairs"]
"""What new channels are: new ones that nobody reads yet, copies of old ones, or pairs that cancel each other."""
GROWTH_METHODS: tuple[GrowthMethod, ...] = get_args(GrowthMethod)

_SPLIT_NOISE = 0.1  # how much the shares of copies in what is read of them differ


def filled(
    old: Tensor, source: TensorSource, fresh: Tensor, *, method: GrowthMethod, generator: torch.Generator
) -> Tensor:
    """A tensor of the larger module: what it inherits, and beside it weights that leave the outputs as they were.

    Weights are read as PyTorch's layers have them: the first dimension is what they give, the second what they read.

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
    if base.ndim > 1:
        known = [_known(source, dimension, size) for dimension, size in enumerate(base.shape)]
        if method == "pairs":
            _pair(base, known[0], known[1])
        rows = known[0] != NEW
        kept = base[rows]
        columns = (known[1] == NEW).nonzero().flatten()
        read = kept[:, columns] if method == "pairs" else torch.zeros_like(kept[:, columns])
        if method == "pairs" and len(columns) % 2:
            read[:, -1] = 0
        kept.zero_()
        kept[:, columns] = read
        base[rows] = kept
    elif method == "pairs" and base.ndim:
        _pair(base, _known(source, 0, len(base)), None)
    result = inherited(old, source, base)
    if method == "copies" and base.ndim > 1:
        result *= _shares(known[1], result, generator)
    return result


def _known(source: TensorSource, dimension: int, size: int) -> Tensor:
    indices = source.indices[dimension]
    return torch.arange(size) if indices is None else torch.tensor(indices, dtype=torch.long)


def _pair(weight: Tensor, rows: Tensor, columns: Tensor | None) -> None:
    """Let every second new row be as the one before it, and every second new column its opposite, in place."""
    new = (rows == NEW).nonzero().flatten()
    weight[new[1::2]] = weight[new[: len(new) // 2 * 2 : 2]]
    if columns is not None:
        new = (columns == NEW).nonzero().flatten()
        weight[:, new[1::2]] = -weight[:, new[: len(new) // 2 * 2 : 2]]


def _shares(columns: Tensor, weight: Tensor, generator: torch.Generator) -> Tensor:
    """What part of an old channel's weight each of its copies has; the parts add up to 1 in every row."""
    counts = torch.bincount(columns)
    drawn = torch.rand(len(weight), len(columns), generator=generator) - 0.5
    sums = torch.zeros(len(weight), len(counts)).index_add_(1, columns, drawn)
    shares = (1 + _SPLIT_NOISE * (drawn - (sums / counts)[:, columns])) / counts[columns]
    return shares.view(*shares.shape, *[1] * (weight.ndim - 2)).to(weight)
