"""Traps in single layers, parameters and functions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize

from tests.nn.foreign.trap_modules import Head, conv, trap, unit


@trap(least=1.15)
class StandardizedConvolution(nn.Module):
    """The weights lose their mean and are divided by their deviation in `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.weighted, self.head = unit(3, 8), conv(8, 12, bias=True), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weighted.weight
        weight = weight - weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.flatten(1).std(1).view(-1, 1, 1, 1) + 1e-5)
        return self.head(F.conv2d(self.first(x), weight, self.weighted.bias, padding=1).relu())


@trap(least=1.15)
class NormalizedByBatchNorm(nn.Module):
    """Weights standardized by `batch_norm`, as in newer normalizer-free networks, with a gain."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.weighted, self.head = unit(3, 8), conv(8, 12, bias=True), Head(12)
        self.gain = nn.Parameter(torch.ones(12, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        own = self.weighted
        weight = F.batch_norm(
            own.weight.reshape(1, own.out_channels, -1),
            None,
            None,
            weight=(self.gain * 0.3).view(-1),
            training=True,
            momentum=0.0,
            eps=1e-6,
        ).reshape_as(own.weight)
        return self.head(F.conv2d(self.first(x), weight, own.bias, padding=1).relu())


class _Standardized(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        spread, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) / torch.sqrt(spread + 1e-6)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


@trap(least=1.15)
class StandardizedResidual(nn.Module):
    """Standardized weights behind group norms, around which the image goes on, as in Big Transfer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Standardized(3, 16, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(2, 16) for _ in range(4))
        self.layers = nn.ModuleList(_Standardized(16, 16, 3, padding=1, bias=False) for _ in range(4))
        self.last, self.head = nn.GroupNorm(2, 16), Head(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for number in (0, 2):
            y = self.layers[number](self.norms[number](x).relu())
            x = x + self.layers[number + 1](self.norms[number + 1](y).relu())
        return self.head(self.last(x).relu())


class _ResponseNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.full((1, 1, 1, channels), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        return self.gamma * (x * (length / (length.mean(-1, keepdim=True) + 1e-6))) + self.beta + x


@trap(least=1.4)
class GlobalResponseNorm(nn.Module):
    """Channels are divided by the mean of their lengths, as in the second ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.up, self.norm, self.down = nn.Linear(8, 32), _ResponseNorm(32), nn.Linear(32, 8)
        self.head = Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = F.gelu(self.up(x.permute(0, 2, 3, 1)))
        return self.head(x + self.down(self.norm(y)).permute(0, 3, 1, 2))


@trap(least=1.4)
class SharedResponseNorm(GlobalResponseNorm):
    """The same norm is used twice."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).permute(0, 2, 3, 1)
        for _ in range(2):
            x = x + self.down(self.norm(F.gelu(self.up(x))))
        return self.head(x.permute(0, 3, 1, 2))


class _NormByHand(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        spread = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(spread + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


@trap(least=1.15)
class LayerNormByHand(nn.Module):
    """A layer norm over the channels of images, written out with `mean`, as in the first ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, padding=1), _NormByHand(16)
        self.second, self.again, self.head = nn.Conv2d(16, 24, 3), _NormByHand(24), Head(24)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.again(self.second(self.norm(self.stem(x)))))


@trap(least=1.1)
class DepthwiseBeforeNormByHand(nn.Module):
    """Such a layer norm right behind a depthwise convolution: only the hidden channels of the block can grow."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.norm, self.up, self.down = _NormByHand(16), nn.Conv2d(16, 64, 1), nn.Conv2d(64, 16, 1)
        self.head = Head(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(x + self.down(F.gelu(self.up(self.norm(self.depthwise(x))))))


@trap()
class EfficientChannelAttention(nn.Module):
    """ECA: neighboring channels are convolved with each other, so that no channel may be put among them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = unit(3, 8), unit(8, 8), unit(8, 12)
        self.eca, self.head = nn.Conv1d(1, 1, 3, padding=1, bias=False), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x))
        gate = self.eca(x.mean((2, 3)).unsqueeze(1)).sigmoid()
        return self.head(self.third(x * gate.transpose(1, 2).unsqueeze(-1)))


@trap()
class Blurred(nn.Module):
    """A buffer with one blur kernel for each channel; the groups come from `x.shape`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 8), unit(8, 8), Head(8)
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", (row[:, None] * row[None])[None, None].repeat(8, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(self.second(F.conv2d(x, self.kernel, stride=2, padding=1, groups=x.shape[1])))


@trap()
class BlurredInForward(nn.Module):
    """One blur kernel that `forward` expands to a count of channels that the module holds."""

    def __init__(self) -> None:
        super().__init__()
        self.channels, self.first, self.second, self.head = 8, unit(3, 8), unit(8, 8), Head(8)
        self.register_buffer("kernel", torch.full((1, 1, 3, 3), 1 / 9))

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.expand(self.channels, -1, -1, -1)
        x = F.conv2d(self.first(x), kernel, stride=2, padding=1, groups=self.channels)
        return self.head(self.second(x))


@trap(least=1.1)
class LayerNormLast(nn.Module):
    """A ConvNeXt block: layer norm over the last dimension, layer scale, residual."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise, self.norm = conv(3, 8, bias=True), conv(8, 8, groups=8), nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 32), nn.Linear(32, 8)
        self.gamma, self.last, self.head = nn.Parameter(torch.ones(8)), nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.gamma * self.down(F.gelu(self.up(y)))
        return self.head(self.last((x + y.permute(0, 3, 1, 2)).mean((2, 3))))


class ChannelNorm(nn.Module):
    """Layer norm over the second dimension, written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        spread = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(spread + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


@trap(refusable=True)
class LayerNormFirst(nn.Module):
    """The same norm over the channels of an image, as own code."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second, self.head = conv(3, 8), ChannelNorm(8), unit(8, 12), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.norm(self.first(x))))


@trap(refusable=True)
class GroupNormed(nn.Module):
    """Group norm of four channels each, and of all at once."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = conv(3, 16), nn.GroupNorm(4, 16), conv(16, 8)
        self.all, self.head = nn.GroupNorm(1, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.all(self.second(self.norm(self.first(x)).relu())))


@trap()
class InstanceNormed(nn.Module):
    """Instance norm with scales, and group norm with as many groups as channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = conv(3, 8), nn.InstanceNorm2d(8, affine=True), conv(8, 12)
        self.other, self.head = nn.InstanceNorm2d(12, affine=True, track_running_stats=True), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.other(self.second(self.norm(self.first(x)).relu())))


@trap(refusable=True)
class RootMeanSquare(nn.Module):
    """RMS norm, PyTorch's and written out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(3, 8), nn.RMSNorm(8), nn.Linear(8, 12)
        self.weight, self.head = nn.Parameter(torch.ones(12)), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.norm(self.first(x.permute(0, 2, 3, 1))).relu())
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight
        return self.head(x.mean((1, 2)))


@trap(refusable=True)
class GlobalResponse(nn.Module):
    """GRN of ConvNeXt V2: norms of channels over their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = unit(3, 8), Head(8)
        self.gamma, self.beta = (nn.Parameter(torch.zeros(1, 8, 1, 1)) for _ in range(2))
        nn.init.uniform_(self.gamma), nn.init.uniform_(self.beta)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        norms = x.norm(p=2, dim=(2, 3), keepdim=True)
        return self.head(self.gamma * (x * (norms / (norms.mean(1, keepdim=True) + 1e-6))) + self.beta + x)


@trap(refusable=True)
class UnitLength(nn.Module):
    """Features of length 1 before a classifier whose rows have length 1, times a temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.weight, self.scale = (
            unit(3, 8),
            nn.Parameter(torch.randn(5, 8)),
            nn.Parameter(torch.ones(())),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.normalize(self.first(x).mean((2, 3)), dim=-1)
        return F.linear(x, F.normalize(self.weight, dim=-1)) * self.scale


@trap()
class SqueezeExcite(nn.Module):
    """A gate by convolutions with biases, and one by linear layers and `expand_as`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.reduce, self.expand = unit(3, 16), nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.second, self.head = unit(16, 16), Head(16)
        self.fc = nn.Sequential(nn.Linear(16, 4, bias=False), nn.ReLU(), nn.Linear(4, 16), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = self.expand(self.reduce(F.adaptive_avg_pool2d(x, 1)).relu()).sigmoid() * x
        x = self.second(x)
        b, c, _, _ = x.size()
        return self.head(x * self.fc(x.mean((2, 3))).view(b, c, 1, 1).expand_as(x))


@trap()
class MultipliedDepthwise(nn.Module):
    """A depthwise convolution with two outputs for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.norm = unit(3, 8), conv(8, 16, groups=8), nn.BatchNorm2d(16)
        self.third, self.head = unit(16, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.third(self.norm(self.second(self.first(x))).relu()))


@trap()
class DilatedGroups(nn.Module):
    """A dilated convolution in groups of which each gives twice what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = unit(3, 16), Head(32)
        self.second = nn.Conv2d(16, 32, 3, padding=2, dilation=2, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x)).relu())


@trap()
class Transposed(nn.Module):
    """A transposed convolution, whose weights have inputs first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up, self.norm = (
            unit(3, 8, stride=2),
            nn.ConvTranspose2d(8, 12, 2, 2),
            nn.BatchNorm2d(12),
        )
        self.skip, self.head = unit(3, 12, 1), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.up(self.first(x))).relu() + self.skip(x))


@trap(refusable=True)
class TransposedGroups(nn.Module):
    """A transposed convolution in groups, and a depthwise one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up = unit(3, 8, stride=2), nn.ConvTranspose2d(8, 8, 2, 2, groups=8)
        self.more, self.third, self.head = nn.ConvTranspose2d(8, 16, 2, 2, groups=2), unit(16, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.third(self.more(self.up(self.first(x)))))


@trap(least=1.1)
class BareParameters(nn.Module):
    """Weights of a convolution, of its norm and of a linear layer that are parameters of the module itself."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.offset = nn.Parameter(torch.randn(8, 3, 3, 3) / 5), nn.Parameter(torch.zeros(8))
        self.scale, self.shift = nn.Parameter(torch.ones(1, 8, 1, 1)), nn.Parameter(torch.zeros(8, 1, 1))
        self.matrix = nn.Parameter(torch.randn(8, 12) / 3)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.kernel, self.offset, padding=1) * self.scale + self.shift
        return self.head((x.relu().mean((2, 3)) @ self.matrix).relu())


@trap()
class TokensAndPositions(nn.Module):
    """A class token and embeddings of positions, outside of all layers."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.token, self.position = nn.Parameter(torch.randn(1, 1, 16)), nn.Parameter(torch.randn(1, 10, 16))
        self.mix, self.head = nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1) + self.position
        return self.head((x + F.gelu(self.mix(x)))[:, 0])


@trap(refusable=True)
class MultiheadAttention(nn.Module):
    """PyTorch's own attention with queries, keys and values in one parameter, in a pre-norm encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 16, 4, 4), nn.LayerNorm(16)
        self.attention, self.head = nn.MultiheadAttention(16, 2, batch_first=True), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        y = self.norm(x)
        return self.head((x + self.attention(y, y, y, need_weights=False)[0]).mean(1))


@trap(refusable=True)
class RelativePositions(nn.Module):
    """A table with one bias for each head and distance, looked up by a buffer of indices."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.patches = 4, nn.Conv2d(3, 16, 4, 4)
        self.qkv, self.head = nn.Linear(16, 48), nn.Linear(16, 5)
        self.table = nn.Parameter(torch.randn(17, 4))
        self.register_buffer("index", (torch.arange(9)[:, None] - torch.arange(9)[None]) + 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index.view(-1)].view(n, n, -1).permute(2, 0, 1)
        weights = (q @ k.mT * (c // self.heads) ** -0.5 + bias).softmax(-1)
        return self.head((x + (weights @ v).transpose(1, 2).reshape(b, n, c)).mean(1))


@trap(refusable=True, least=1.05)
class WeightNormed(nn.Module):
    """Weight norm as a parametrization: a length for each output and a direction."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = unit(3, 8), parametrizations.weight_norm(conv(8, 12, bias=True))
        self.third, self.head = unit(12, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.third(self.second(self.first(x)).relu()))


class ByHandWeightNorm(nn.Module):
    """Weight norm as it was before parametrizations: the weight is made anew by a hook before each call."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(8, 12)
        weight = self.conv._parameters.pop("weight")
        assert weight is not None
        self.conv.weight_g = nn.Parameter(weight.detach().square().sum((1, 2, 3), keepdim=True).sqrt())
        self.conv.weight_v = nn.Parameter(weight.detach().clone())
        self.conv.register_forward_pre_hook(self._weigh)

    @staticmethod
    def _weigh(layer: nn.Module, _inputs: object) -> None:
        v = layer.weight_v
        layer.weight = v * (layer.weight_g / v.square().sum((1, 2, 3), keepdim=True).sqrt())

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


@trap(refusable=True, least=1.05)
class OldWeightNormed(nn.Module):
    """Weight norm by a hook."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third, self.head = unit(3, 8), ByHandWeightNorm(), unit(12, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.third(self.second(self.first(x)).relu()))


@trap(refusable=True, least=1.05)
class SpectralNormed(nn.Module):
    """Spectral norm: the largest singular value of all weights together."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = unit(3, 8), parametrizations.spectral_norm(conv(8, 12, bias=True))
        self.third, self.head = unit(12, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.third(self.second(self.first(x)).relu()))


class Positive(nn.Module):
    """A parametrization: the square, channel by channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square()


@trap(refusable=True, least=1.05)
class Parametrized(nn.Module):
    """A parametrization that one wrote oneself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third, self.head = unit(3, 8), conv(8, 12), unit(12, 8), Head(8)
        parametrize.register_parametrization(self.second, "weight", Positive())

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.third(self.second(self.first(x)).relu()))


@trap(refusable=True)
class ConditionalConvolution(nn.Module):
    """CondConv: kernels mixed by a routing of each image, then one grouped convolution of the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.router, self.head = unit(3, 8), nn.Linear(8, 3), Head(12)
        self.experts = nn.Parameter(torch.randn(3, 12 * 8 * 9) / 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        b, c, h, w = x.shape
        kernels = (self.router(x.mean((2, 3))).sigmoid() @ self.experts).view(b * 12, c, 3, 3)
        x = F.conv2d(x.reshape(1, b * c, h, w), kernels, padding=1, groups=b)
        return self.head(x.view(b, 12, h, w).relu())


@trap()
class PointwiseByMatrix(nn.Module):
    """A 1x1 convolution by `matmul`, by `einsum` and by `torch.where` between the two."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = unit(3, 8), Head(12)
        self.one, self.two = nn.Parameter(torch.randn(12, 8) / 3), nn.Parameter(torch.randn(12, 8) / 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        one = (self.one @ x.flatten(2)).view(x.shape[0], -1, *x.shape[2:])
        two = torch.einsum("oc,bchw->bohw", self.two, x)
        return self.head(torch.where(one > two, one, two * 0.5))


@trap()
class PerChannelActivation(nn.Module):
    """PReLU with a slope for each channel, and a threshold held in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.second, self.head = conv(3, 8, bias=True), nn.PReLU(8), unit(8, 8), Head(8)
        self.register_buffer("offset", torch.linspace(-0.2, 0.2, 8).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(torch.maximum(self.act(self.first(x)), self.offset)))


@trap()
class NotZeroAtZero(nn.Module):
    """Activations that do not keep 0: a zero channel becomes 0.5, 1 or ln 2."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third, self.head = conv(3, 8), conv(8, 8), conv(8, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.softplus(self.third(torch.cos(self.second(self.first(x).sigmoid())))))


@trap(refusable=True)
class SoftmaxOverChannels(nn.Module):
    """A softmax over channels, which all channels take part in."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate, self.second, self.head = unit(3, 8), conv(8, 8, 1), unit(8, 12), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(self.second(x * self.gate(x).softmax(1)))


@trap(refusable=True)
class SortedChannels(nn.Module):
    """The four strongest channels, whichever they are."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = unit(3, 8), unit(4, 8), unit(8, 12)
        self.head = Head(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        best = x.mean((2, 3)).topk(4, 1).indices
        x = torch.gather(x, 1, best[:, :, None, None].expand(-1, -1, *x.shape[2:]))
        return self.head(self.third(self.second(x)))


@trap(refusable=True)
class MeanOfChannels(nn.Module):
    """The mean of all channels is taken from each, and their number divides."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 8), unit(8, 12), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(self.second((x - x.sum(1, keepdim=True) / x.shape[1]) / x.shape[1] ** 0.5))


@trap(refusable=True)
class CovarianceOfChannels(nn.Module):
    """Second-order pooling: the products of all channels, flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.fc = unit(3, 12), unit(12, 6), nn.Linear(36, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x)).flatten(2)
        return self.fc((x @ x.mT / x.shape[2]).flatten(1))


@trap(refusable=True)
class Recurrent(nn.Module):
    """An LSTM over rows of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.rnn, self.head = unit(3, 8), nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.first(x).mean(2).transpose(1, 2))[0][:, -1])
