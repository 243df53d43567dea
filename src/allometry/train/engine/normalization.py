"""Batch norm's statistics: estimated anew, or kept as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """All batch norms of a module, of any dimension."""
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


def re_estimate(module: nn.Module, batches: Iterable[Tensor]) -> int:
    """Put the exact mean and variance over some batches into every batch norm.

    In training the statistics trail behind the weights, and behind an average of weights they are those of no
    network at all. Here the weights stand still: each layer gets the mean and the variance over all pixels of all
    the batches, where every batch before it is normalized by its own statistics, as in training. The module ends
    in evaluation mode.

    Args:
        module: is changed in place.
        batches: inputs, normalized, on the module's device.

    Returns:
        How many images were seen; with none the statistics stay as they were.

    Source: Wu & Johnson 2021, *Rethinking "batch" in BatchNorm*, section 3 (PreciseBN).

    Example:
        >>> norm = nn.BatchNorm2d(1)
        >>> re_estimate(norm, [torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[5.0, 7.0]]]])])
        2
        >>> norm.running_mean.item(), round(norm.running_var.item(), 3)
        (4.0, 6.667)
    """
    norms = batch_norms(module)
    sums = {norm: _Sums() for norm in norms}
    hooks = [norm.register_forward_pre_hook(_watcher(sums[norm])) for norm in norms]
    module.eval()
    for norm in norms:
        norm.train()
    # While it watches, a norm uses each batch's own statistics and changes none.
    tracked = [(norm, norm.track_running_stats) for norm in norms]
    images = 0
    try:
        for norm in norms:
            norm.track_running_stats = False
        with torch.no_grad():
            for batch in batches:
                module(batch)
                images += len(batch)
    finally:
        for hook in hooks:
            hook.remove()
        for norm, track in tracked:
            norm.track_running_stats = track
        module.eval()
    for norm, seen in sums.items():
        if seen.count > 1:
            seen.put_into(norm)
    return images


class _Sums:
    """Running sums of one layer's inputs, in double precision."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Tensor | None = None
        self.squares: Tensor | None = None

    def add(self, inputs: Tensor) -> None:
        dimensions = [dimension for dimension in range(inputs.ndim) if dimension != 1]
        values = inputs.double()
        total, squares = values.sum(dimensions), values.square().sum(dimensions)
        self.count += inputs.numel() // inputs.shape[1]
        self.total = total if self.total is None else self.total + total
        self.squares = squares if self.squares is None else self.squares + squares

    def put_into(self, norm: _BatchNorm) -> None:
        assert self.total is not None  # noqa: S101
        assert self.squares is not None  # noqa: S101
        mean = self.total / self.count
        variance = (self.squares - self.count * mean.square()).clamp(min=0) / (self.count - 1)
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)


def _watcher(sums: _Sums) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def watch(_norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sums.add(inputs[0])

    return watch
