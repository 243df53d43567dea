"""The modules that a network is built from."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allometry.arch import Activation, BatchNorm, MBConv, Padding

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard_swish": nn.Hardswish,
}


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
        rows = _same_padding(x.shape[2], self.kernel_size[0], self.stride[0])
        columns = _same_padding(x.shape[3], self.kernel_size[1], self.stride[1])
        return super().forward(F.pad(x, (*columns, *rows)))


class SqueezeExcite(nn.Module):
    """Scale each channel by what the whole picture says of it.

    Shape:
        [N, C, H, W] -> [N, C, H, W]

    Source: squeeze-and-excitation (Hu et al. 2018) as in EfficientNet: the squeezed width follows the
    block's input.

    Example:
        >>> SqueezeExcite(96, 4, activation="silu")(torch.zeros(1, 96, 7, 7)).shape
        torch.Size([1, 96, 7, 7])
    """

    def __init__(self, channels: int, squeezed: int, *, activation: Activation) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = _ACTIVATIONS[activation]()
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pool, squeeze, excite, gate."""
        gate = x.mean((2, 3), keepdim=True)
        return x * cast(Tensor, self.expand(self.activation(self.reduce(gate)))).sigmoid()


class StochasticDepth(nn.Module):
    """Drop whole samples of a residual branch in training, and scale up the others.

    Shape:
        any, samples first -> the same

    Source: Huang et al. 2016, as "drop connect" in the released EfficientNet code.

    Example:
        >>> StochasticDepth(0.5).eval()(torch.ones(2, 1))
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
    """Convolution without bias, batch norm and, if given, an activation."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None,
        batch_norm: BatchNorm,
        padding: Padding,
    ) -> None:
        # At stride 1 and an odd kernel both paddings are the same.
        same = padding == "same" and stride > 1
        make = SamePadConv2d if same else partial(nn.Conv2d, padding=kernel // 2)
        self.out_channels = channels
        layers: list[nn.Module] = [
            make(in_channels, channels, kernel, stride=stride, groups=groups, bias=False),
            nn.BatchNorm2d(channels, eps=batch_norm.epsilon, momentum=batch_norm.momentum),
        ]
        if activation is not None:
            layers.append(_ACTIVATIONS[activation](inplace=True))
        super().__init__(*layers)


class MBConvBlock(nn.Module):
    """The module of an `arch.MBConv`: expand, depthwise, squeeze-excite, project, add.

    Shape:
        [N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]

    Source: EfficientNet (Tan & Le 2019), section 4 and released code.

    Example:
        >>> from allometry.arch import BatchNorm, MBConv
        >>> block = MBConvBlock(
        ...     MBConv(channels=24, stride=2), 16, drop_rate=0.0, batch_norm=BatchNorm(), padding="symmetric"
        ... )
        >>> block(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 24, 4, 4])
    """

    def __init__(
        self, block: MBConv, in_channels: int, *, drop_rate: float, batch_norm: BatchNorm, padding: Padding
    ) -> None:
        super().__init__()
        conv = partial(ConvNorm, batch_norm=batch_norm, padding=padding)
        inner, squeezed = block.expanded(in_channels), block.squeezed(in_channels)
        self.residual = block.has_residual(in_channels)
        self.expand = (
            conv(in_channels, inner, activation=block.activation)
            if block.expand_ratio != 1
            else nn.Identity()
        )
        self.depthwise = conv(
            inner, inner, kernel=block.kernel, stride=block.stride, groups=inner, activation=block.activation
        )
        self.squeeze_excite = (
            SqueezeExcite(inner, squeezed, activation=block.activation) if squeezed else nn.Identity()
        )
        self.project = conv(inner, block.channels, activation=None)
        self.stochastic_depth = StochasticDepth(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        out = self.project(self.squeeze_excite(self.depthwise(self.expand(x))))
        return self.stochastic_depth(out) + x if self.residual else cast(Tensor, out)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
