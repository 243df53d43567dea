"""The small modules that blocks are built from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allometry.arch import Activation, BatchNorm, GateFunction, Padding

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard_swish": nn.Hardswish,
}
_GATES: dict[GateFunction, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "hard_sigmoid": nn.Hardsigmoid}


class SamePadConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow does: the odd pixel goes to the bottom and to the right.

    Weights trained in TensorFlow need it where the stride is above 1; the output size is that of symmetric
    padding.

    Shape:
        [N, C, H, W] -> [N, C', ceil(H / stride), ceil(W / stride)]

    Source: released EfficientNet code, padding `SAME`.

    Example:
        >>> SamePadConv2d(3, 8, 3, stride=2)(torch.zeros(1, 3, 32, 33)).shape
        torch.Size([1, 8, 16, 17])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pad, then convolve."""
        return super().forward(F.pad(x, _same_padding(x, self.kernel_size, self.stride)))


class SamePool2d(nn.Module):
    """The largest or the mean value of a window, padded as TensorFlow does.

    Shape:
        [N, C, H, W] -> [N, C, ceil(H / stride), ceil(W / stride)]

    Example:
        >>> SamePool2d("average", 3, stride=2)(torch.ones(1, 1, 4, 4))
        tensor([[[[1., 1.],
                  [1., 1.]]]])
    """

    def __init__(
        self, function: Literal["max", "average"], kernel: int, *, stride: int, counts_padding: bool = False
    ) -> None:
        super().__init__()
        self.counts_padding = counts_padding
        self.function = function
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Pad, then pool."""
        padding = _same_padding(x, (self.kernel, self.kernel), (self.stride, self.stride))
        if self.function == "max":
            return F.max_pool2d(F.pad(x, padding, value=-torch.inf), self.kernel, self.stride)
        if self.counts_padding:
            return F.avg_pool2d(F.pad(x, padding), self.kernel, self.stride)
        inside = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), padding), self.kernel, self.stride)
        return F.avg_pool2d(F.pad(x, padding), self.kernel, self.stride) / inside

    def extra_repr(self) -> str:
        """The window, for `repr`."""
        return f"{self.function}, kernel={self.kernel}, stride={self.stride}"


class Shifted(nn.Module):
    """The image one pixel up and to the left; zeros come in.

    Shape:
        [N, C, H, W] -> the same

    Example:
        >>> Shifted()(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
        tensor([[[[4., 0.],
                  [0., 0.]]]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Shift."""
        return F.pad(x[:, :, 1:, 1:], (0, 1, 0, 1))


class Scaled(nn.Module):
    """Multiplication by a constant.

    Shape:
        any -> the same

    Example:
        >>> Scaled(0.5)(torch.ones(2))
        tensor([0.5000, 0.5000])
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        return x * self.factor

    def extra_repr(self) -> str:
        """The factor, for `repr`."""
        return f"{self.factor:g}"


class ChannelShuffle(nn.Module):
    """Deal the channels of each group to all groups, so that the next grouped convolution mixes them.

    Shape:
        [N, C, H, W] -> the same

    Source: ShuffleNet (Zhang et al. 2018), section 3.1.

    Example:
        >>> ChannelShuffle(2)(torch.arange(4.0).view(1, 4, 1, 1)).flatten()
        tensor([0., 2., 1., 3.])
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Shuffle."""
        count, channels, height, width = x.shape
        apart = x.view(count, self.groups, channels // self.groups, height, width)
        return apart.transpose(1, 2).reshape(count, channels, height, width)


class SqueezeExcite(nn.Module):
    """Scale each channel by what the whole image says of it.

    Shape:
        [N, C, H, W] -> [N, C, H, W]

    Source: squeeze-and-excitation (Hu et al. 2018) as in EfficientNet: the squeezed width follows the
    block's input.

    Example:
        >>> SqueezeExcite(96, 4, activation="silu")(torch.zeros(1, 96, 7, 7)).shape
        torch.Size([1, 96, 7, 7])
    """

    def __init__(
        self, channels: int, squeezed: int, *, activation: Activation, function: GateFunction = "sigmoid"
    ) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = ACTIVATIONS[activation]()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = _GATES[function]()

    def forward(self, x: Tensor) -> Tensor:
        """Pool, squeeze, excite, gate."""
        mean = x.mean((2, 3), keepdim=True)
        return x * cast(Tensor, self.gate(self.expand(self.activation(self.reduce(mean)))))


class DropPath(nn.Module):
    """Drop whole samples of a residual branch in training, and scale up the others.

    Shape:
        any, samples first -> the same

    Source: Huang et al. 2016, as "drop connect" in the released EfficientNet code.

    Example:
        >>> DropPath(0.5).eval()(torch.ones(2, 1))
        tensor([[1.],
                [1.]])
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop each sample with probability `rate`; identity in evaluation."""
        if not self.training or self.rate == 0:
            return x
        survival = 1 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        kept = torch.rand(shape, device=x.device) < survival
        return x * (kept.to(x.dtype) / survival)

    def extra_repr(self) -> str:
        """The rate, for `repr`."""
        return f"rate={self.rate:g}"


class ConvNorm(nn.Sequential):
    """Convolution, then batch norm and an activation as far as they are asked for."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel: int | tuple[int, int] = 1,
        stride: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = False,
        activation: Activation | None,
        batch_norm: BatchNorm | None,
        padding: Padding,
    ) -> None:
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        odd = all(side % 2 for side in sides)
        # At stride 1 and an odd kernel symmetric and TensorFlow's padding are the same.
        if padding == "same" and (stride not in (1, (1, 1)) or not odd):
            make: Callable[..., nn.Conv2d] = SamePadConv2d
        else:
            around = (0, 0) if padding == "valid" else (sides[0] // 2, sides[1] // 2)
            make = partial(nn.Conv2d, padding=around)
        layers: list[nn.Module] = [
            make(in_channels, channels, sides, stride=stride, groups=groups, bias=bias)
        ]
        if batch_norm is not None:
            layers.append(make_norm(channels, batch_norm))
        if activation is not None:
            layers.append(ACTIVATIONS[activation](inplace=True))
        super().__init__(*layers)


def make_norm(channels: int, batch_norm: BatchNorm) -> nn.BatchNorm2d:
    """A batch norm with the network's constants."""
    return nn.BatchNorm2d(channels, eps=batch_norm.epsilon, momentum=batch_norm.momentum)


def make_pool(
    function: Literal["max", "average"],
    kernel: int,
    *,
    stride: int,
    padding: Padding,
    counts_padding: bool = False,
) -> nn.Module:
    """A pool with that padding."""
    if padding == "same" and (stride > 1 or kernel % 2 == 0):
        return SamePool2d(function, kernel, stride=stride, counts_padding=counts_padding)
    around = 0 if padding == "valid" else kernel // 2
    if function == "max":
        return nn.MaxPool2d(kernel, stride, around)
    return nn.AvgPool2d(kernel, stride, around, count_include_pad=counts_padding)


def _same_padding(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Padding at the left, right, top and bottom."""
    top, bottom = _along(x.shape[2], kernel[0], stride[0])
    left, right = _along(x.shape[3], kernel[1], stride[1])
    return left, right, top, bottom


def _along(size: int, kernel: int, stride: int) -> tuple[int, int]:
    # In terms that stay right where an exporter leaves the size open: a comparison would settle it for one size.
    total = ((size + stride - 1) // stride - 1) * stride + kernel - size
    if kernel < stride:  # otherwise there is nothing below zero
        total = torch.sym_max(total, 0)  # type: ignore[no-untyped-call]
    return total // 2, total - total // 2
