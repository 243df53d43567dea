"""From where each entry of a resized module's tensors comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

NEW = -1  # the index of what no entry of the old tensor stands for


class TensorSource(NamedTuple):
    """From which tensor of the old module one of the new module inherits, and which entry from which.

    Attributes:
        name: of the tensor in the old module.
        indices: for each dimension the old index of every new one, -1 where it is new; None where a dimension is as it
            was.

    Example, a convolution from 2 to 3 input channels and from a kernel of 1 to one of 3:
        >>> TensorSource("conv.weight", (None, (0, 1, -1), (-1, 0, -1), (-1, 0, -1))).name
        'conv.weight'
    """

    name: str
    indices: tuple[tuple[int, ...] | None, ...]


WeightMap: TypeAlias = Mapping[str, TensorSource]
"""What each tensor of a new module inherits, by its name there; a tensor that is not named is new altogether."""


def inherited(old: Tensor, source: TensorSource, new: Tensor) -> Tensor:
    """A copy of a new tensor, with what it inherits put in its place.

    Args:
        old: the tensor that `source` names.
        source: which entry comes from which.
        new: what stands where nothing is inherited.

    Example:
        >>> old, new = torch.ones(2, 2), torch.zeros(2, 3)
        >>> inherited(old, TensorSource("weight", (None, (1, -1, 0))), new)
        tensor([[1., 0., 1.],
                [1., 0., 1.]])
    """
    result, picked = new.detach().clone(), old.detach()
    kept: list[Tensor] = []
    for dimension, (size, indices) in enumerate(zip(new.shape, source.indices, strict=True)):
        known = torch.arange(size) if indices is None else torch.tensor(indices, dtype=torch.long)
        places = (known != NEW).nonzero().flatten()
        kept.append(places)
        if indices is not None:
            picked = picked.index_select(dimension, known[places].to(picked.device))
    if all(torch.equal(places, torch.arange(len(places))) for places in kept):
        # What is new stands behind the rest, as it mostly does: far faster than single entries.
        result[tuple(slice(len(places)) for places in kept)] = picked.to(result)
        return result
    result[torch.meshgrid(*kept, indexing="ij")] = picked.to(result)
    return result
