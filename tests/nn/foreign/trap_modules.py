"""Small modules, each with one thing in it at which a tool that resizes other people's modules can go wrong.

A trap says what must come of it at width 1.25: it is scaled, or it may be refused. What never may be is a module that
computes something else. The modules stand in three files, by what the trap lies in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

PIXELS = 12


class Trap(NamedTuple):
    """A module and what must come of it.

    Attributes:
        name: of the module's class.
        make: the module, with the same random weights whenever it is called.
        inputs: what it is called with.
        must_scale: whether refusing it is wrong; otherwise it may be refused, with the place.
        least: by which factor its parameters must at least grow at width 1.25, where it is scaled.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Any, ...]]
    must_scale: bool
    least: float


TRAPS: dict[str, Trap] = {}
Kind = TypeVar("Kind", bound=type[nn.Module])


def images() -> tuple[Any, ...]:
    """Two images of three channels."""
    return (torch.randn(2, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(1)),)


def trap(
    *, refusable: bool = False, least: float = 1.15, inputs: Callable[[], tuple[Any, ...]] = images
) -> Callable[[Kind], Kind]:
    """Register a class of modules as a trap."""

    def register(kind: Kind) -> Kind:
        def make() -> nn.Module:
            torch.manual_seed(0)
            return shaken(kind())

        TRAPS[kind.__name__] = Trap(kind.__name__, make, inputs, not refusable, least)
        return kind

    return register


def shaken(module: nn.Module) -> nn.Module:
    """The module with statistics, scales and offsets that are not 0 and 1, so that mistakes with them show."""
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                tensor.normal_(0, 0.1)
            elif tensor.ndim == 1 and tensor.is_floating_point() and isinstance(tensor, nn.Parameter):
                tensor.add_(torch.empty_like(tensor).uniform_(-0.3, 0.3))
    return module


def conv(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, *, bias: bool = False
) -> nn.Conv2d:
    """A convolution that keeps the size of the image."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)


def unit(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution, batch norm and ReLU."""
    return nn.Sequential(conv(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs), nn.ReLU())


class Head(nn.Module):
    """The mean over the image, and a linear layer."""

    def __init__(self, width: int, classes: int = 5) -> None:
        super().__init__()
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits
