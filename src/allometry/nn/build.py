"""Building a network's module, with the initial weights of the paper's code."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from allometry.arch import Network
from allometry.nn.blocks import last_norm, make_block
from allometry.nn.layers import ACTIVATIONS, ConvNorm, make_pool


class ConvNet(nn.Module):
    """The module of a `Network`. Ordinary PyTorch: compile it, export it, hook it, take it apart.

    Attributes:
        network: what it was built from.

    Shape:
        [N, in_channels, resolution, resolution] -> [N, classes]; other sizes work too.

    Example:
        >>> from allometry.catalog import get
        >>> module = build(get("efficientnet-b0"), seed=0)
        >>> module.features(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 1280, 2, 2])
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        norm, stem, head = network.batch_norm, network.stem, network.head
        self.stem = ConvNorm(
            network.in_channels,
            stem.channels,
            kernel=stem.kernel,
            stride=stem.stride,
            activation=stem.activation,
            batch_norm=norm,
            padding=stem.padding or network.padding,
        )
        self.pool = (
            make_pool("max", stem.pool, stride=2, padding=network.padding) if stem.pool else nn.Identity()
        )
        stages: list[list[nn.Module]] = [[] for _ in network.stages]
        channels = stem.channels
        for placed in network.blocks():
            stages[placed.stage].append(make_block(placed, batch_norm=norm, padding=network.padding))
            channels = placed.out.channels
        self.stages = nn.Sequential(*(nn.Sequential(*blocks) for blocks in stages))
        self.reads_skip = any(getattr(block, "reads_skip", False) for blocks in stages for block in blocks)
        self.head: nn.Module = nn.Identity()
        if head.channels is not None:
            self.head = ConvNorm(
                channels,
                head.channels,
                activation=head.activation,
                batch_norm=norm,
                padding=network.padding,
            )
        self.hidden: nn.Module = nn.Identity()
        if head.hidden is not None:
            linear = nn.Linear(head.channels or channels, head.hidden, bias=head.hidden_bias)
            self.hidden = nn.Sequential(linear, ACTIVATIONS[head.activation]())
        self.dropout = nn.Dropout(head.dropout)
        self.classifier = nn.Linear(head.features(channels), head.classes)

    def features(self, x: Tensor) -> Tensor:
        """The last feature map, [N, channels, h, w]."""
        x = self.pool(self.stem(x))
        x = self._with_skips(x) if self.reads_skip else self.stages(x)
        return cast(Tensor, self.head(x))

    def logits(self, features: Tensor) -> Tensor:
        """Logits, [N, classes], from the last feature map."""
        pooled = self.hidden(features.mean((2, 3)))
        return cast(Tensor, self.classifier(self.dropout(pooled)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, [N, classes]."""
        return self.logits(self.features(x))

    def _with_skips(self, x: Tensor) -> Tensor:
        """The stages where cells read the input of the block before, too."""
        skip = x
        for stage in cast("list[nn.Sequential]", self.stages):
            for block in stage:
                before = skip if getattr(block, "passes_skip", False) else x
                x, skip = block(x, skip) if getattr(block, "reads_skip", False) else block(x), before
        return x


def build(network: Network, *, seed: int | None = None) -> ConvNet:
    """Build the module of `network`, freshly initialized, in training mode.

    Args:
        network: what to build.
        seed: of the initial weights; None takes PyTorch's global generator.

    Example:
        >>> from allometry.catalog import get
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
    return cast(ConvNet, initialize(module, seed=seed))


def initialize(module: nn.Module, *, seed: int | None = None) -> nn.Module:
    """Draw initial weights in place and return the module.

    Convolutions are normal with variance 2 / fan-out (a depthwise kernel's fan-out is its area), biases 0;
    linear layers uniform in +-1 / sqrt(outputs); batch norms scale 1, shift 0, fresh statistics.

    Source: released EfficientNet code, `conv_kernel_initializer` and `dense_kernel_initializer`.

    Example:
        >>> layer = initialize(nn.Conv2d(8, 16, 1), seed=1)
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


def scale_residuals(module: nn.Module, scale: float) -> int:
    """Set the scale that each residual branch's last batch norm starts with, in place.

    With 0 every block with a residual begins as the identity, and a deep network as a shallow one, however many blocks
    it has. What has no residual stays as it is, and so do cells that are given as graphs.

    Args:
        module: as `build` gives it, or with such blocks in it.
        scale: 1 is what `initialize` gives.

    Returns:
        How many branches there are.

    Source: Goyal et al. 2017, *Accurate, large minibatch SGD*, section 5.1.

    Example:
        >>> from allometry.catalog import get
        >>> module = build(get("efficientnet-b0"), seed=0)
        >>> scale_residuals(module, 0.0), module.stages[1][1].project[1].weight.abs().sum().item()
        (9, 0.0)
    """
    norms = [norm for part in module.modules() if (norm := last_norm(part)) is not None]
    with torch.no_grad():
        for norm in norms:
            norm.weight.fill_(scale)
    return len(norms)
