"""Labels of channels: which entries of which tensors stand for the same channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

NONE = -1.0  # the label of an entry that stands for no channel


class Spot(NamedTuple):
    """A dimension of one of a module's tensors.

    Example:
        >>> Spot("conv.weight", 0).dimension
        0
    """

    tensor: str
    dimension: int


class LayerNormUse(NamedTuple):
    """A layer norm with a scale for each channel.

    Attributes:
        weight: name of its scale.
        bias: name of its offset; None where it has none.
        module: in which it is, and which holds its `eps`; None where that is not so.
        labels: of the channels.
    """

    weight: str
    bias: str | None
    module: str | None
    labels: tuple[int, ...]


class Leaf(NamedTuple):
    """The labels of one dimension of one tensor: consecutive numbers.

    Attributes:
        spot: the dimension.
        start: its first label.
        size: how many.
    """

    spot: Spot
    start: int
    size: int


class Labels:
    """All labels of a module's tensors, and which of them turned out to be the same channel.

    Example:
        >>> labels = Labels()
        >>> first, second = labels.add(Spot("a", 0), 2), labels.add(Spot("b", 0), 2)
        >>> labels.tie(first, second)
        >>> labels.root(0) == labels.root(2), labels.root(0) == labels.root(1)
        (True, False)
    """

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.size = 0
        self._parents = np.zeros(1024, np.int64)
        self.frozen: dict[int, str] = {}
        self.normed: set[int] = set()

    def add(self, spot: Spot, size: int) -> npt.NDArray[np.int64]:
        """New labels for a dimension."""
        start, end = self.size, self.size + size
        if end > len(self._parents):
            self._parents = np.concatenate((self._parents, np.zeros(max(end, 2 * start), np.int64)))
        self._parents[start:end] = np.arange(start, end)
        self.leaves.append(Leaf(spot, start, size))
        self.size = end
        return np.arange(start, end)

    def root(self, label: int) -> int:
        """The label that stands for a channel."""
        return int(self.roots(np.array([label]))[0])

    def roots(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The labels that stand for channels, for many at once."""
        above = self._parents[labels]
        while True:
            next_above = self._parents[above]
            if np.array_equal(next_above, above):
                break
            above = next_above
        self._parents[labels] = above
        return above

    def tie(self, one: npt.ArrayLike, two: npt.ArrayLike) -> None:
        """Let two arrays of labels stand for the same channels, entry by entry; entries without a label do nothing."""
        pairs = np.stack(np.broadcast_arrays(np.asarray(one), np.asarray(two))).reshape(2, -1)
        pairs = pairs[:, (pairs >= 0).all(0) & (pairs[0] != pairs[1])]
        if not pairs.size:
            return
        roots = self.roots(pairs.astype(np.int64).reshape(-1)).reshape(2, -1)
        roots = np.sort(roots[:, roots[0] != roots[1]], axis=0)
        # A pair of roots that no other pair shares is joined at once; the rest in turn.
        while roots.size:
            roots = np.unique(roots, axis=1)
            low, high = roots
            _, first = np.unique(high, return_index=True)
            self._parents[high[first]] = low[first]
            roots = self.roots(roots.reshape(-1)).reshape(2, -1)
            roots = np.sort(roots[:, roots[0] != roots[1]], axis=0)

    def freeze(self, labels: npt.ArrayLike, reason: str) -> None:
        """Say why the channels with these labels must stay as many as they are."""
        for label in _unique(labels):
            self.frozen.setdefault(label, reason)

    def norm(self, labels: npt.ArrayLike) -> None:
        """Remember that a statistic was taken over all of these channels."""
        self.normed.update(_unique(labels))


@dataclass(slots=True)
class Value:
    """What is known of a tensor while a module runs.

    Attributes:
        planes: arrays of labels. Each has as many dimensions as the tensor, and size 1 along those in which the labels
            do not differ. A tensor of weights may have several: its outputs and its inputs.
        data: whether it depends on the module's input.
    """

    planes: list[Tensor] = field(default_factory=list)
    data: bool = False


def plane_of(labels: npt.NDArray[np.int64], ndim: int, dimension: int) -> Tensor:
    """Labels along one dimension.

    Example:
        >>> plane_of(np.arange(3), 4, 1).shape
        torch.Size([1, 3, 1, 1])
    """
    shape = [1] * ndim
    shape[dimension] = len(labels)
    return torch.from_numpy(labels.astype(np.float64)).view(shape)


def varies(plane: Tensor) -> set[int]:
    """The dimensions along which labels differ."""
    return {dimension for dimension, size in enumerate(plane.shape) if size > 1}


def compact(plane: Tensor) -> Tensor:
    """The plane with size 1 wherever its labels do not differ.

    Example:
        >>> compact(torch.tensor([[1.0, 2.0], [1.0, 2.0]])).shape
        torch.Size([1, 2])
    """
    for dimension, size in enumerate(plane.shape):
        if size > 1:
            first = plane.narrow(dimension, 0, 1)
            if plane.stride(dimension) == 0 or bool((plane == first).all()):
                plane = first
    return plane


def vector(plane: Tensor, dimension: int) -> npt.NDArray[np.int64] | None:
    """The labels along a dimension of a plane that differs along no other; None if it does."""
    if varies(plane) - {dimension}:
        return None
    flat: npt.NDArray[np.float64] = plane.flatten().numpy()
    return flat.astype(np.int64)


def _unique(labels: npt.ArrayLike) -> list[int]:
    flat = np.unique(np.asarray(labels).reshape(-1)).astype(np.int64)
    return [int(label) for label in flat if label >= 0]
