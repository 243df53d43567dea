"""Building a network's module, with the initial weights of the paper's code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, cast, overload

import torch
from torch import Tensor, nn

from allometry.arch import Network, check_features_only
from allometry.nn.backbone import Backbone, Trunk
from allometry.nn.blocks import last_norm
from allometry.nn.layers import ACTIVATIONS, ConvNorm, make_norm


class ConvNet(Trunk):
    """The module of a `Network`. Ordinary PyTorch: compile it, export it, hook it, take it apart.

    Attributes:
        network: what it was built from.
        num_features: channels of the last feature map, as `forward_features` gives it.

    Shape:
        [N, in_channels, resolution, resolution] -> [N, classes]; other sizes work too.

    Example:
        >>> from allometry.catalog import get
        >>> module = build(get("efficientnet-b0"), seed=0)
        >>> module.forward_features(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 1280, 2, 2])
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        head, channels = network.head, network.shapes()[-1].channels
        self.head: nn.Module = nn.Identity()
        if head.channels is not None:
            self.head = ConvNorm(
                channels,
                head.channels,
                activation=head.activation,
                batch_norm=network.batch_norm,
                padding=network.padding,
            )
        self.num_features = head.channels or channels
        self.hidden: nn.Module = nn.Identity()
        if head.hidden is not None:
            linear = nn.Linear(self.num_features, head.hidden, bias=head.hidden_bias)
            # As an image of one pixel, so that all that is done with batch norms is done with this one, too.
            pixel = [
                nn.Unflatten(1, (head.hidden, 1, 1)),
                make_norm(head.hidden, network.batch_norm),
                nn.Flatten(1),
            ]
            between = pixel if head.hidden_norm else []
            self.hidden = nn.Sequential(linear, *between, ACTIVATIONS[head.activation]())
        self.dropout = nn.Dropout(head.dropout)
        self.classifier = nn.Linear(head.features(channels), head.classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """The last feature map, [N, num_features, h, w]."""
        x = self.pool(self.stem(x))
        x = self._with_skips(x) if self.reads_skip else self.stages(x)
        return cast(Tensor, self.head(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits, [N, classes], from the last feature map; with `pre_logits` what the classifier reads."""
        pooled = self.dropout(self.hidden(x.mean((2, 3))))
        return cast(Tensor, pooled if pre_logits else self.classifier(pooled))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, [N, classes]."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Linear:
        """The last layer."""
        return self.classifier

    def reset_classifier(self, num_classes: int) -> None:
        """Put a new classifier of so many classes in the place of the old one; `network` says so, too.

        Its weights are drawn from PyTorch's global generator, and it lies where the old one lay.

        Raises:
            NetworkError: it is less than one class. `forward_head(x, pre_logits=True)` needs no classifier.

        Example:
            >>> from allometry.catalog import get
            >>> module = build(get("efficientnet-b0"), seed=0)
            >>> module.reset_classifier(3)
            >>> module.network.head.classes, module.get_classifier()
            (3, Linear(in_features=1280, out_features=3, bias=True))
        """
        self.network = replace(self.network, head=replace(self.network.head, classes=num_classes))
        old = self.classifier
        new = nn.Linear(old.in_features, num_classes, device=old.weight.device, dtype=old.weight.dtype)
        self.classifier = cast(nn.Linear, initialize(new)).train(old.training)

    def _with_skips(self, x: Tensor) -> Tensor:
        """The stages where cells read the input of the block before, too."""
        skip = x
        for stage in cast("list[nn.Sequential]", self.stages):
            for block in stage:
                before = skip if getattr(block, "passes_skip", False) else x
                x, skip = block(x, skip) if getattr(block, "reads_skip", False) else block(x), before
        return x


@overload
def build(network: Network, *, seed: int | None = None, features_only: Literal[False] = False) -> ConvNet: ...
@overload
def build(
    network: Network,
    *,
    seed: int | None = None,
    features_only: Literal[True],
    out_indices: Sequence[int] | None = None,
) -> Backbone: ...
def build(
    network: Network,
    *,
    seed: int | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
) -> ConvNet | Backbone:
    """Build the module of `network`, freshly initialized, in training mode.

    Args:
        network: what to build.
        seed: of the initial weights; None takes PyTorch's global generator.
        features_only: without the head, a `Backbone` that gives a list of feature maps.
        out_indices: which feature maps, see `feature_maps`; None for all, one for each resolution.

    Raises:
        InputError: the network has no such feature map, or `out_indices` is given to a classifier.

    Example:
        >>> from allometry.catalog import get
        >>> module = build(get("efficientnet-b0"), seed=0)
        >>> sum(parameter.numel() for parameter in module.parameters())
        5288548
        >>> module.eval()(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 1000])
        >>> backbone = build(get("efficientnet-b0"), features_only=True, out_indices=(2, 3, 4))
        >>> result = backbone.load_state_dict(module.state_dict())
        >>> backbone.feature_info.channels(), backbone.feature_info.reduction()
        ([40, 112, 320], [8, 16, 32])
    """
    check_features_only(features_only, out_indices)
    # The layers' own initial values would be overwritten: make them without drawing a single number.
    with torch.device("meta"):
        module = Backbone(network, out_indices) if features_only else ConvNet(network)
    module.to_empty(device="cpu")
    initialize(module, seed=seed)
    return module


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
