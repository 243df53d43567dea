"""The layers of torchvision that networks of other packages are made of, written anew from its documentation.

Some packages need nothing of torchvision but these six. `stand_in()` lets them be imported where torchvision itself is
not there; names, arguments and behavior are those that its reference describes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

Layer = Callable[..., nn.Module]


class Permute(nn.Module):
    """The dimensions in another order."""

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        """Move the dimensions."""
        return torch.permute(x, self.dims)


class StochasticDepth(nn.Module):
    """A branch that is left out now and then, for the whole batch or for single images."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, x: Tensor) -> Tensor:
        """Leave the branch out, or scale what is kept."""
        if not self.training or self.p == 0.0:
            return x
        rows = x.shape[0] if self.mode == "row" else 1
        kept = torch.empty([rows] + [1] * (x.ndim - 1), dtype=x.dtype, device=x.device)
        kept = kept.bernoulli_(1 - self.p)
        return x * (kept / (1 - self.p) if self.p < 1 else kept)


class Conv2dNormActivation(nn.Sequential):
    """A convolution, a normalization and an activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: int | tuple[int, int] = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        if padding is None:
            kernels = (kernel_size,) * 2 if isinstance(kernel_size, int) else kernel_size
            apart = (dilation,) * 2 if isinstance(dilation, int) else dilation
            padding = ((kernels[0] - 1) // 2 * apart[0], (kernels[1] - 1) // 2 * apart[1])
        with_bias = norm_layer is None if bias is None else bias
        layers: list[nn.Module] = [
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                dilation=dilation,
                groups=groups,
                bias=with_bias,
            )
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**({} if inplace is None else {"inplace": inplace})))
        super().__init__(*layers)
        self.out_channels = out_channels


class SqueezeExcitation(nn.Module):
    """A gate for each channel from the means of all."""

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: Layer = nn.ReLU,
        scale_activation: Layer = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def _scale(self, x: Tensor) -> Tensor:
        gate: Tensor = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        return self.scale_activation(gate)

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels by their gates."""
        return self._scale(x) * x


class MLP(nn.Sequential):
    """Linear layers with normalizations, activations and dropout between them."""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Sequence[int],
        norm_layer: Layer | None = None,
        activation_layer: Layer | None = nn.ReLU,
        inplace: bool | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        options: dict[str, Any] = {} if inplace is None else {"inplace": inplace}
        layers: list[nn.Module] = []
        width = in_channels
        for hidden in hidden_channels[:-1]:
            layers.append(nn.Linear(width, hidden, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(hidden))
            layers += [(activation_layer or nn.Identity)(**options), nn.Dropout(dropout, **options)]
            width = hidden
        layers += [nn.Linear(width, hidden_channels[-1], bias=bias), nn.Dropout(dropout, **options)]
        super().__init__(*layers)


def stand_in() -> None:
    """Make `from torchvision.ops import ...` give these layers, where torchvision cannot be imported."""
    package, operations = ModuleType("torchvision"), ModuleType("torchvision.ops")
    for module in (package, operations):
        module.__spec__ = ModuleSpec(module.__name__, None)
    package.__path__ = []
    for layer in (Permute, StochasticDepth, Conv2dNormActivation, SqueezeExcitation, MLP):
        setattr(operations, layer.__name__, layer)
    package.ops = operations  # type: ignore[attr-defined]
    sys.modules |= {"torchvision": package, "torchvision.ops": operations}
