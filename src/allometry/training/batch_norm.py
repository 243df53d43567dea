"""Batch norm's statistics: estimated anew, kept as they are, or taken over several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

Inputs: TypeAlias = Tensor | tuple[Any, ...]
"""What a module takes: a batch, or a tuple of all where it takes several."""


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """All batch norms of a module, of any dimension."""
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


def recalibrate_batch_norm(module: nn.Module, batches: Iterable[Inputs]) -> int:
    """Put the exact mean and variance over some batches into every batch norm.

    In training the statistics trail behind the weights, and behind an average of weights they are those of no
    network at all. Here the weights stand still: each layer gets the mean and the variance over all pixels of all
    the batches, where every batch before it is normalized by its own statistics, as in training. The module ends
    in evaluation mode.

    Args:
        module: is changed in place.
        batches: inputs, normalized, on the module's device; a tuple of all where it takes several.

    Returns:
        How many images were seen; with none the statistics stay as they were.

    Source: Wu & Johnson 2021, *Rethinking "batch" in BatchNorm*, section 3 (PreciseBN).

    Example:
        >>> norm = nn.BatchNorm2d(1)
        >>> recalibrate_batch_norm(norm, [torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[5.0, 7.0]]]])])
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
                inputs = as_inputs(batch)
                module(*inputs)
                images += len(inputs[0])
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


def as_inputs(batch: Inputs) -> tuple[Any, ...]:
    """All that a module takes.

    Example:
        >>> len(as_inputs(torch.zeros(1))), len(as_inputs((torch.zeros(1), 3)))
        (1, 2)
    """
    return batch if isinstance(batch, tuple) else (batch,)


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


class SynchronizedBatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` that normalizes by the mean and variance over all processes' images, on CPUs too.

    `nn.SyncBatchNorm` does so on GPUs only. The variance is taken around the common mean, in a second exchange:
    from a sum of squares little would be left where the mean is large.

    Shape:
        [N, C, H, W] -> the same

    Source: Zhang et al. 2018, *Context encoding for semantic segmentation*, section 3.1 (synchronized statistics).

    Example:
        >>> SynchronizedBatchNorm(4)(torch.zeros(2, 4, 3, 3)).shape
        torch.Size([2, 4, 3, 3])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize; alone or in evaluation mode exactly as `nn.BatchNorm2d`."""
        if not self.training or not dist.is_initialized():
            return super().forward(x)
        inputs = x.float()
        local = torch.cat([inputs.sum((0, 2, 3)), inputs.new_tensor([inputs.numel() / inputs.shape[1]])])
        total = _over_all(local)
        count = total[-1].detach()
        mean = total[:-1] / count
        centerd = inputs - mean.view(1, -1, 1, 1)
        variance = _over_all(centerd.square().sum((0, 2, 3))) / count
        if self.track_running_stats:
            self._follow(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centerd * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(x.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None  # noqa: S101
        assert self.running_var is not None  # noqa: S101
        assert self.num_batches_tracked is not None  # noqa: S101
        self.num_batches_tracked.add_(1)
        weight = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance, weight)


def synchronize(module: nn.Module, *, device: torch.device) -> nn.Module:
    """Let every batch norm of `module` see the images of all processes; names and weights stay.

    Example:
        >>> norm = nn.Sequential(nn.BatchNorm2d(3))
        >>> type(synchronize(norm, device=torch.device("cpu"))[0]).__name__
        'SynchronizedBatchNorm'
    """
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return converted
    for part in list(module.modules()):
        for name, child in list(part.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(part, name, _converted(child))
    return module


def _over_all(tensor: Tensor) -> Tensor:
    """The sum over all processes, and of all their gradients on the way back."""
    return cast(Tensor, all_reduce(tensor))  # type: ignore[no-untyped-call]


def _converted(norm: nn.BatchNorm2d) -> SynchronizedBatchNorm:
    made = SynchronizedBatchNorm(
        norm.num_features,
        eps=norm.eps,
        momentum=norm.momentum,
        affine=norm.affine,
        track_running_stats=norm.track_running_stats,
    )
    made.weight, made.bias = norm.weight, norm.bias
    for name, buffer in norm.named_buffers(recurse=False):
        made.register_buffer(name, buffer)
    return made.train(norm.training)
