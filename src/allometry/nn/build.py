"""Building a network's module, with the initial weights of the paper's code."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from allometry.arch import Network
from allometry.nn.layers import ConvNorm, MBConvBlock


class ConvNet(nn.Module):
    """The module of a `Network`. Ordinary PyTorch: compile it, export it, hook it, take it apart.

    Shape:
        [N, in_channels, resolution, resolution] -> [N, classes]; other sizes work too.

    Example:
        >>> from allometry.zoo import get
        >>> module = build(get("efficientnet-b0"), seed=0)
        >>> module.features(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 1280, 2, 2])
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        norm, padding, head = network.batch_norm, network.padding, network.head
        self.stem = ConvNorm(
            network.in_channels,
            network.stem.channels,
            kernel=network.stem.kernel,
            stride=network.stem.stride,
            activation=network.stem.activation,
            batch_norm=norm,
            padding=padding,
        )
        stages: list[list[nn.Module]] = [[] for _ in network.stages]
        for placed in network.blocks():
            stages[placed.stage].append(
                MBConvBlock(
                    placed.block,
                    placed.in_channels,
                    drop_rate=placed.drop_rate,
                    batch_norm=norm,
                    padding=padding,
                )
            )
        self.stages = nn.Sequential(*(nn.Sequential(*blocks) for blocks in stages))
        self.head = ConvNorm(
            network.stages[-1].block.channels,
            head.channels,
            activation=head.activation,
            batch_norm=norm,
            padding=padding,
        )
        self.dropout = nn.Dropout(head.dropout)
        self.classifier = nn.Linear(head.channels, head.classes)

    def features(self, x: Tensor) -> Tensor:
        """The last feature map, [N, head channels, h, w]."""
        return cast(Tensor, self.head(self.stages(self.stem(x))))

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (logits), [N, classes]."""
        return cast(Tensor, self.classifier(self.dropout(self.features(x).mean((2, 3)))))


def build(network: Network, *, seed: int | None = None) -> ConvNet:
    """Build the module of `network`, freshly initialised, in training mode.

    Args:
        network: what to build.
        seed: of the initial weights; None takes PyTorch's global generator.

    Example:
        >>> from allometry.zoo import get
        >>> module = build(get("efficientnet-b0"), seed=0)
        >>> sum(parameter.numel() for parameter in module.parameters())
        5288548
        >>> module.eval()(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 1000])
    """
    # The layers' own initial values would be overwritten: make them without drawing a single number.
    with torch.device("meta"):
        module = ConvNet(network)
    module = module.to_empty(device="cpu")
    return cast(ConvNet, initialise(module, seed=seed))


def initialise(module: nn.Module, *, seed: int | None = None) -> nn.Module:
    """Draw initial weights in place and return the module.

    Convolutions are normal with variance 2 / fan-out (a depthwise kernel's fan-out is its area), biases 0;
    linear layers uniform in +-1 / sqrt(outputs); batch norms scale 1, shift 0, fresh statistics.

    Source: released EfficientNet code, `conv_kernel_initializer` and `dense_kernel_initializer`.

    Example:
        >>> layer = initialise(nn.Conv2d(8, 16, 1), seed=1)
        >>> layer.bias.abs().sum().item()
        0.0
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                fan_out = part.kernel_size[0] * part.kernel_size[1] * part.out_channels // part.groups
                part.weight.normal_(0, math.sqrt(2 / fan_out), generator=generator)
            elif isinstance(part, nn.Linear):
                bound = 1 / math.sqrt(part.out_features)
                part.weight.uniform_(-bound, bound, generator=generator)
            elif isinstance(part, nn.BatchNorm2d):
                part.reset_parameters()
            if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
                part.bias.zero_()
    return module
