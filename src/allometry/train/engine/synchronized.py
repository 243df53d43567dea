"""Batch norm over the batches of several processes."""

from __future__ import annotations

from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


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
