"""Classifiers of many kinds that a user may have written, small enough to be looked at in a moment."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 3


def layer(given: int, channels: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(given, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut."""

    def __init__(self, given: int, inner: int, stride: int, groups: int) -> None:
        super().__init__()
        self.one, self.two = layer(given, inner, 1), layer(inner, inner, 3, stride, groups)
        self.three = nn.Sequential(nn.Conv2d(inner, 4 * inner, 1, bias=False), nn.BatchNorm2d(4 * inner))
        self.down = None if given == 4 * inner else nn.Conv2d(given, 4 * inner, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.three(self.two(self.one(x))) + (x if self.down is None else self.down(x)))


class Bottlenecks(nn.Module):
    """A residual network of two stages."""

    def __init__(self, groups: int = 1) -> None:
        super().__init__()
        self.stem = layer(3, 16, 3, 2)
        self.layer1 = nn.Sequential(Bottleneck(16, 8, 1, groups), Bottleneck(32, 8, 1, groups))
        self.layer2 = nn.Sequential(
            *(Bottleneck(32 if n == 0 else 64, 16, 2 - bool(n), groups) for n in range(3))
        )
        self.fc = nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer2(self.layer1(self.stem(x))).mean((2, 3)))


class Squeeze(nn.Module):
    """Squeeze-excite."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.expand = (
            nn.Conv2d(channels, channels // 4, 1),
            nn.Conv2d(channels // 4, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))))


class Inverted(nn.Module):
    """An inverted residual whose layers are containers of their own."""

    def __init__(self, given: int, channels: int, stride: int, *, squeeze: bool) -> None:
        super().__init__()
        inner = 4 * given
        layers = [layer(given, inner, 1), layer(inner, inner, 3, stride, inner)]
        layers += [Squeeze(inner)] if squeeze else []
        self.conv = nn.Sequential(
            *layers, nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )
        self.adds = stride == 1 and given == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


class Mobile(nn.Module):
    """All blocks in one container, as MobileNetV2 has them."""

    def __init__(self, *, squeeze: bool = False) -> None:
        super().__init__()
        widths = [(8, 16, 2), (16, 16, 1), (16, 16, 1), (16, 24, 2), (24, 24, 1)]
        blocks = [Inverted(*width, squeeze=squeeze) for width in widths]
        self.features = nn.Sequential(layer(3, 8, 3, 2), *blocks, layer(24, 32, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(32, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def plain() -> nn.Module:
    """Without residuals: what follows a block that is left out reads what came before it."""
    convolutions = [layer(3, 16, 3, 2), layer(16, 24), nn.MaxPool2d(2), layer(24, 24), layer(24, 24)]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, CLASSES))


class Attention(nn.Module):
    """A block of a transformer."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.fc1, self.fc2 = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        images, tokens, channels = x.shape
        rows = self.qkv(self.norm1(x)).reshape(images, tokens, 3, self.heads, channels // self.heads)
        queries, keys, values = rows.permute(2, 0, 3, 1, 4)
        seen = (queries @ keys.transpose(-2, -1)).softmax(-1) @ values
        x = x + self.proj(seen.transpose(1, 2).reshape(images, tokens, channels))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Transformer(nn.Module):
    """A vision transformer for images of 16 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.cls, self.pos = nn.Parameter(torch.zeros(1, 1, 16)), nn.Parameter(torch.zeros(1, 17, 16))
        self.blocks = nn.ModuleList([Attention(16, 2) for _ in range(4)])
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Joined(nn.Module):
    """Feature maps side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, 1, 1)
        self.fc = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.a(x))
        return self.fc(torch.cat([first, F.relu(self.b(first))], 1).mean((2, 3)))


KINDS = {
    "plain": plain,
    "bottlenecks": Bottlenecks,
    "grouped": lambda: Bottlenecks(groups=4),
    "squeeze": lambda: Mobile(squeeze=True),
    "transformer": Transformer,
    "side by side": Joined,
}
