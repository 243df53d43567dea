"""Traps in how a module moves, cuts and joins its tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.nn.foreign.trap_modules import PIXELS, Head, conv, trap, unit


@trap()
class ShapeArithmetic(nn.Module):
    """Sizes computed from `x.shape`, and a view that the next convolution reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 16), unit(16, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        b, c, h, w = x.shape
        x = x.view(b, c, h // 2, 2, w).reshape(b, c, h, w)
        return self.head(self.second(x))


@trap()
class SpaceToChannels(nn.Module):
    """A view that makes channels of pixels, before a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 8), unit(32, 12), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        b, c, h, w = x.shape
        x = x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(b, c * 4, h // 2, w // 2)
        return self.head(self.second(x))


@trap()
class ChannelsAreTheSlowPart(nn.Module):
    """The same with the channels behind the pixels, as in a patch merging."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 8), nn.Linear(32, 12, bias=False), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).permute(0, 2, 3, 1)
        parts = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.head(self.second(torch.cat(parts, -1)).mean((1, 2)))


@trap()
class FlattenIntoLinear(nn.Module):
    """Each channel is many inputs of the linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.fc = unit(3, 8), nn.Linear(8 * PIXELS * PIXELS // 4, 12)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.first(x), 2)
        return self.head(torch.flatten(x, 1).relu() @ self.fc.weight.T + self.fc.bias)


@trap(refusable=True)
class ConstantInView(nn.Module):
    """The width is written as a number in `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 16), unit(16, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).view(-1, 16, PIXELS * PIXELS).reshape(-1, 16, PIXELS, PIXELS)
        return self.head(self.second(x))


@trap(refusable=True)
class ConstantSlice(nn.Module):
    """The first eight of sixteen channels go one way, the others another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 16), unit(8, 8), Head(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(torch.cat((self.second(x[:, :8]), x[:, 8:]), 1))


@trap(refusable=True)
class SplitList(nn.Module):
    """Split by a list of sizes that the module holds, of which no two are alike."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = [8, 4, 4]
        self.first, self.head = unit(3, 16), Head(16)
        self.branches = nn.ModuleList(
            unit(size, size, kernel, groups=size) for size, kernel in zip(self.sizes, (3, 5, 7), strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.split(self.first(x), self.sizes, 1)
        return self.head(
            torch.cat([branch(part) for branch, part in zip(self.branches, parts, strict=True)], 1)
        )


@trap()
class ChunkInTwo(nn.Module):
    """Halves by `chunk`, one of which gates the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 8), conv(8, 16, bias=True), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.second(self.first(x)).chunk(2, 1)
        return self.head(value * gate.sigmoid())


@trap()
class HalvesByShape(nn.Module):
    """Halves by a slice of which the size comes from `x.shape`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third, self.head = unit(3, 16), unit(8, 8), unit(16, 12), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        half = x.shape[1] // 2
        return self.head(self.third(torch.cat((x[:, :half], self.second(x[:, half:])), dim=1)))


@trap()
class ChannelShuffle(nn.Module):
    """ShuffleNetV2: halves, joined and shuffled, in two units of which each cuts elsewhere than the last."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = unit(3, 16), Head(16)
        self.units = nn.ModuleList(
            nn.Sequential(unit(8, 8, 1), conv(8, 8, groups=8), nn.BatchNorm2d(8), unit(8, 8, 1))
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for branch in self.units:
            left, right = x.chunk(2, 1)
            x = torch.cat((left, branch(right)), 1)
            b, c, h, w = x.shape
            x = x.view(b, 2, c // 2, h, w).transpose(1, 2).contiguous().view(b, c, h, w)
        return self.head(x)


@trap()
class GroupedShuffle(nn.Module):
    """ShuffleNet: grouped convolutions with a shuffle between, groups held by the module."""

    def __init__(self) -> None:
        super().__init__()
        self.groups = 4
        self.first, self.second = unit(3, 16), unit(16, 16, 1, groups=4)
        self.third, self.head = unit(16, 16, 1, groups=4), Head(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x))
        b, c, h, w = x.size()
        x = x.view(b, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(b, -1, h, w)
        return self.head(self.third(x))


@trap()
class DeclaredShuffle(nn.Module):
    """`nn.ChannelShuffle` instead of views."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = unit(3, 16), unit(16, 16, 1, groups=2)
        self.shuffle, self.third, self.head = nn.ChannelShuffle(2), unit(16, 16, 1, groups=2), Head(16)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.third(self.shuffle(self.second(self.first(x)))))


@trap()
class JoinedGroups(nn.Module):
    """A grouped convolution reads a concatenation, so that groups do not end where parts end."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.third, self.head = unit(3, 8), unit(3, 16), unit(24, 24, groups=4), Head(24)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.third(torch.cat((self.one(x), self.two(x)), 1)))


@trap()
class DenseBlock(nn.Module):
    """Each layer reads all before it; a batch norm stands before the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = conv(3, 8), Head(20)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(8 + 4 * i), nn.ReLU(), conv(8 + 4 * i, 4)) for i in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        found = [self.first(x)]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)))
        return self.head(torch.cat(found, 1))


@trap()
class Inception(nn.Module):
    """Four branches of different widths, one of them pooled, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.first = unit(3, 8)
        self.branches = nn.ModuleList(
            (
                unit(8, 4, 1),
                nn.Sequential(unit(8, 4, 1), unit(4, 8)),
                nn.Sequential(unit(8, 4, 1), unit(4, 8, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), unit(8, 4, 1)),
            )
        )
        self.head = Head(24)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(torch.cat([branch(x) for branch in self.branches], 1))


@trap()
class Shuffled2d(nn.Module):
    """Pixel shuffle: four channels each become one of twice the size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up = unit(3, 32), nn.PixelShuffle(2)
        self.second, self.head = unit(8, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.up(self.first(x))))


@trap()
class NotContiguous(nn.Module):
    """Channels last by `permute` and back, with an elementwise operation between."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.scale, self.head = unit(3, 8), nn.Parameter(torch.ones(8)), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).permute(0, 2, 3, 1) * self.scale
        return self.head(x.movedim(-1, 1))


@trap()
class Maxout(nn.Module):
    """The larger of two halves, which a view makes a dimension of."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = conv(3, 16, bias=True), unit(8, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        b, c, h, w = x.shape
        return self.head(self.second(x.view(b, 2, c // 2, h, w).max(1).values))


@trap(refusable=True)
class PaddedShortcut(nn.Module):
    """Option A of ResNet: channels that are missing in the shortcut are zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 8), unit(8, 16, stride=2), Head(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(self.second(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4)))


@trap(refusable=True)
class PooledShortcut(nn.Module):
    """The same with the number of missing channels from the shapes, as a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 8), unit(8, 16, stride=2), Head(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        out, short = self.second(x), F.avg_pool2d(x, 2)
        return self.head(out + torch.cat((short, torch.zeros_like(out[:, short.shape[1] :])), 1))


@trap()
class SplitAttention(nn.Module):
    """ResNeSt: groups of a convolution weigh each other by a softmax over the parts."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.parts, self.second = unit(3, 8), 2, unit(8, 16, groups=2)
        self.squeeze, self.weigh, self.head = conv(8, 4, 1, bias=True), conv(4, 16, 1, bias=True), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x))
        b, c, h, w = x.shape
        x = x.view(b, self.parts, c // self.parts, h, w)
        weights = self.weigh(self.squeeze(x.sum(1).mean((2, 3), keepdim=True)).relu())
        return self.head((x * weights.view(b, self.parts, -1, 1, 1).softmax(1)).sum(1))


@trap()
class HeadsOfAttention(nn.Module):
    """One linear layer gives queries, keys and values; `reshape` and `unbind` tell them and the heads apart."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.num_heads, self.scale = unit(3, 16, stride=2), 2, 8**-0.5
        self.qkv, self.proj, self.head = nn.Linear(16, 48), nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).flatten(2).transpose(1, 2)
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(-1)
        return self.head((x + self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))).mean(1))


@trap(least=1.5)
class QueriesAndKeysApart(nn.Module):
    """Three layers for queries, keys and values, all seen as heads by the width of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.num_heads, self.scale = unit(3, 16, stride=2), 2, 8**-0.5
        self.q, self.k, self.v = nn.Linear(16, 16), nn.Linear(16, 16, bias=False), nn.Linear(16, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).flatten(2).transpose(1, 2)
        b, n, c = x.shape
        q, k, v = (
            layer(x).reshape(b, n, self.num_heads, c // self.num_heads).permute(0, 2, 1, 3)
            for layer in (self.q, self.k, self.v)
        )
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(-1)
        return self.head((x + (weights @ v).transpose(1, 2).reshape(b, n, c)).mean(1))


@trap(refusable=True)
class HeadsOfConstantSize(nn.Module):
    """Attention of which both the number of heads and their size are held by the module, by `chunk`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.heads, self.dim_head = unit(3, 16, stride=2), 2, 8
        self.qkv, self.proj, self.head = nn.Linear(16, 48, bias=False), nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).flatten(2).transpose(1, 2)
        b, n, _ = x.shape
        q, k, v = (
            part.view(b, n, self.heads, self.dim_head).transpose(1, 2) for part in self.qkv(x).chunk(3, -1)
        )
        weights = (q @ k.transpose(-2, -1) / math.sqrt(self.dim_head)).softmax(-1)
        out = (weights @ v).transpose(1, 2).reshape(b, n, self.heads * self.dim_head)
        return self.head((x + self.proj(out)).mean(1))


@trap(refusable=True)
class FusedAttention(nn.Module):
    """`scaled_dot_product_attention` with its default scale, which follows from the size of a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.heads = unit(3, 16, stride=2), 2
        self.q, self.kv, self.head = nn.Linear(16, 16), nn.Linear(16, 32), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).flatten(2).transpose(1, 2)
        b, n, c = x.shape
        q = self.q(x).view(b, n, self.heads, -1).transpose(1, 2)
        k, v = self.kv(x).view(b, n, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c)
        return self.head((x + out).mean(1))


@trap(refusable=True)
class Einsum(nn.Module):
    """Attention over channels by einsum, normalized along pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.q, self.k = unit(3, 8, stride=2), conv(8, 8, 1), conv(8, 8, 1)
        self.second, self.head = unit(8, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        q, k = (F.normalize(layer(x).flatten(2), dim=-1) for layer in (self.q, self.k))
        weights = torch.einsum("bcn,bdn->bcd", q, k).softmax(-1)
        out = torch.einsum("bcd,bdn->bcn", weights, x.flatten(2)).view_as(x)
        return self.head(self.second(x + out))


@trap()
class Windows(nn.Module):
    """Window partition and its reverse, with a linear layer inside the windows."""

    def __init__(self) -> None:
        super().__init__()
        self.size, self.first, self.mix, self.head = 4, unit(3, 8), nn.Linear(8, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).permute(0, 2, 3, 1)
        b, h, w, c = x.shape
        s = self.size
        windows = x.view(b, h // s, s, w // s, s, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, s * s, c)
        windows = windows + self.mix(windows)
        x = windows.view(b, h // s, w // s, s, s, -1).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, -1)
        return self.head(x.permute(0, 3, 1, 2))


@trap()
class Unfolded(nn.Module):
    """Patches by `unfold`: each channel is nine inputs of the linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.mix, self.head = unit(3, 8), nn.Linear(72, 12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        patches = F.unfold(self.first(x), 3, stride=3)
        return self.head(self.mix(patches.transpose(1, 2)).relu().mean(1))


@trap()
class DualPooling(nn.Module):
    """The mean and the maximum, joined, before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.fc = unit(3, 8), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.fc(torch.cat((x.mean((2, 3)), x.amax((2, 3))), 1))


@trap()
class SpatialAttention(nn.Module):
    """CBAM: the mean and the maximum over channels become an image of two."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate, self.second, self.head = unit(3, 8), conv(2, 1, 5), unit(8, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        over = torch.cat((x.mean(1, keepdim=True), x.max(1, keepdim=True).values), 1)
        return self.head(self.second(x * self.gate(over).sigmoid()))


@trap()
class WidthOne(nn.Module):
    """A convolution to one channel is no depthwise one, and one from one channel neither."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.back, self.head = unit(3, 8), conv(8, 1), conv(1, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(x + self.back(self.one(x)))


@trap()
class Unflattened(nn.Module):
    """`unflatten` by the module's number of parts, a product over one part, and the sum of all."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.parts, self.mix, self.head = unit(3, 16), 4, nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).mean((2, 3))
        parts = self.mix(x).unflatten(1, (self.parts, -1))
        return self.head(x + (parts * parts.sum(1, keepdim=True)).flatten(1))


@trap(refusable=True)
class RepeatedChannels(nn.Module):
    """A narrow image is repeated to the width of another (`repeat`) and interleaved (`repeat_interleave`)."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide, self.head = unit(3, 4), unit(3, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        narrow, wide = self.narrow(x), self.wide(x)
        times = wide.shape[1] // narrow.shape[1]
        return self.head(wide + narrow.repeat(1, times, 1, 1) + narrow.repeat_interleave(times, 1))
