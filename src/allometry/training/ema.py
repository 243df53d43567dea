"""An average of weights that follows them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn


class ModelEma:
    """Moves one module towards another of the same form, statistics of batch norm included.

    Args:
        average: that follows.
        module: that is followed.

    Example:
        >>> average, module = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        >>> follower = ModelEma(average, module)
        >>> follower.move(0.0, step=0)
        >>> bool(average.weight == module.weight)
        True
    """

    def __init__(self, average: nn.Module, module: nn.Module) -> None:
        # The tensors side by side; gathered once, for every step needs them.
        self._floats: tuple[list[Tensor], list[Tensor]] = ([], [])
        self._counters: list[tuple[Tensor, Tensor]] = []
        for old, new in zip(_tensors(average), _tensors(module), strict=True):
            if old.is_floating_point():
                self._floats[0].append(old)
                self._floats[1].append(new)
            else:
                self._counters.append((old, new))

    def move(self, decay: float, *, step: int) -> None:
        """Move the average towards the module; fast at first, then slowly.

        Args:
            decay: fraction that stays; 0 copies.
            step: of the training, counted from 0.
        """
        weight = max(1 - decay, 9 / (10 + step)) if decay else 1.0
        with torch.no_grad():
            torch._foreach_lerp_(*self._floats, weight)
            for old, new in self._counters:
                old.copy_(new)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
