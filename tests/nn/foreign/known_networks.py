"""Three published networks as somebody else would write them: modules that know nothing of ours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# From the papers' tables: expansion, channels, blocks, stride of the first, and the kernel.
MOBILENET_V2 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
)
EFFICIENTNET_B0 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def layer(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution and batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Squeeze(nn.Module):
    """Squeeze-excite with biases."""

    def __init__(self, width: int, middle: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(width, middle, 1), nn.Conv2d(middle, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(nn.functional.silu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


class Inverted(nn.Module):
    """An inverted residual block."""

    def __init__(
        self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int, *, squeeze: bool
    ) -> None:
        super().__init__()
        middle = inputs * expansion
        act = nn.SiLU if squeeze else nn.ReLU6
        parts: list[nn.Module] = [] if expansion == 1 else [layer(inputs, middle, 1), act()]
        parts += [layer(middle, middle, kernel, stride, middle), act()]
        if squeeze:
            parts.append(Squeeze(middle, max(1, inputs // 4)))
        self.layers = nn.Sequential(*parts, layer(middle, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class InvertedNetwork(nn.Module):
    """MobileNetV2, or EfficientNet-B0 with squeeze-excite."""

    def __init__(self, rows: Sequence[tuple[int, ...]], *, squeeze: bool) -> None:
        super().__init__()
        act = nn.SiLU if squeeze else nn.ReLU6
        self.stem, width = nn.Sequential(layer(3, 32, 3, 2), act()), 32
        blocks = []
        for expansion, outputs, count, stride, kernel in rows:
            for number in range(count):
                blocks.append(
                    Inverted(width, outputs, expansion, kernel, 1 if number else stride, squeeze=squeeze)
                )
                width = outputs
        self.blocks = nn.Sequential(*blocks)
        self.last, self.classifier = nn.Sequential(layer(width, 1280, 1), act()), nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.last(self.blocks(self.stem(x))).mean((2, 3)))


class Bottleneck(nn.Module):
    """A bottleneck block of ResNet."""

    def __init__(self, inputs: int, middle: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * middle
        self.one, self.two, self.three = (
            layer(inputs, middle, 1),
            layer(middle, middle, 3, stride),
            layer(middle, outputs, 1),
        )
        self.shortcut = (
            layer(inputs, outputs, 1, stride) if inputs != outputs or stride > 1 else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.three(torch.relu(self.two(torch.relu(self.one(x)))))
        return torch.relu(y + self.shortcut(x))


RESNET_50 = ((64, 3), (128, 4), (256, 6), (512, 3))


class ResNet(nn.Module):
    """ResNet-50, its stages under names of their own."""

    def __init__(self, rows: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.stem, self.pool, width = layer(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1), 64
        for number, (middle, count) in enumerate(rows, start=1):
            blocks = []
            for block in range(count):
                blocks.append(Bottleneck(width, middle, 2 if number > 1 and not block else 1))
                width = 4 * middle
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.fc = nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.stem(x)))
        for name, stage in self.named_children():
            x = stage(x) if name.startswith("layer") else x
        return self.fc(x.mean((2, 3)))


def mobilenet_v2(stages: int | None = None) -> nn.Module:
    """MobileNetV2, or its first stages with its head."""
    return InvertedNetwork(MOBILENET_V2[:stages], squeeze=False)


def efficientnet_b0(stages: int | None = None) -> nn.Module:
    """EfficientNet-B0, or its first stages with its head."""
    return InvertedNetwork(EFFICIENTNET_B0[:stages], squeeze=True)


def resnet_50(stages: int | None = None) -> nn.Module:
    """ResNet-50, or its first stages with its head."""
    return ResNet(RESNET_50[:stages])
