"""Traps in how a module is put together, called, fed and what it gives."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tests.nn.foreign.trap_modules import Head, conv, images, trap, unit


@trap()
class SharedModule(nn.Module):
    """One block under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.head = unit(3, 8), unit(8, 8), Head(8)
        self.two = self.one

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(self.two(x + self.one(x)))


@trap()
class UsedTwice(nn.Module):
    """One convolution for two images of different sizes, each with a norm of its own, as in a pyramid."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv, self.head = unit(3, 8), conv(8, 12), Head(12)
        self.norms = nn.ModuleList(nn.BatchNorm2d(12) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(self.norms[0](self.conv(x))) + self.head(
            self.norms[1](self.conv(F.avg_pool2d(x, 2)))
        )


@trap()
class TiedWeights(nn.Module):
    """One matrix goes into two layers, in one of them transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down, self.up, self.head = (
            unit(3, 8),
            nn.Linear(8, 8),
            nn.Linear(8, 8),
            nn.Linear(8, 5),
        )
        self.up.weight = self.down.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).mean((2, 3))
        return self.head(F.linear(self.up(self.down(x)).relu(), self.down.weight.T))


@trap()
class IndexedSequential(nn.Module):
    """Layers of a sequence by index and by slice, one of them skipped over."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*unit(3, 8), *unit(8, 8), *unit(8, 12))
        self.head = Head(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers[:3](x)
        x = x + self.layers[3](x)
        for layer in self.layers[4:-1]:
            x = layer(x)
        return self.head(self.layers[-1](x))


@trap()
class NamedLayers(nn.Module):
    """An ordered dictionary of layers with names that look like methods, and a `ModuleDict` read by key."""

    def __init__(self) -> None:
        super().__init__()
        names = ("conv", "norm", "relu")
        self.features = nn.Sequential(OrderedDict(zip(names, unit(3, 8), strict=True)))
        self.branches = nn.ModuleDict({"a.b".replace(".", "_"): unit(8, 8), "weight": unit(8, 8, 1)})
        self.head = Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.head(sum((branch(x) for branch in self.branches.values()), start=x * 0.5))


@trap()
class InPlace(nn.Module):
    """Sums and products in place, and a slice that is written to."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third, self.head = unit(3, 8), conv(8, 8), conv(8, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.second(x)
        y += x
        y.mul_(0.5)
        y[:, :, 0] = 0
        z = self.third(y)
        z.add_(y)
        return self.head(z)


@trap()
class ParametersByFunction(nn.Module):
    """Layers that only hold weights; functions compute with them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = conv(3, 8), nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        n = self.norm
        x = F.conv2d(x, self.conv.weight, padding=1)
        x = F.batch_norm(x, n.running_mean, n.running_var, n.weight, n.bias, self.training, 0.1, n.eps)
        return F.linear(x.relu().mean((2, 3)), self.linear.weight, self.linear.bias)


@trap()
class FoldedNorm(nn.Module):
    """The norm is folded into the weights in `forward`, as in reparametrized networks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv, self.norm, self.head = unit(3, 8), conv(8, 12), nn.BatchNorm2d(12), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        n = self.norm
        scale = n.weight / torch.sqrt(n.running_var + n.eps)
        bias = n.bias - n.running_mean * scale
        return self.head(
            F.conv2d(self.first(x), self.conv.weight * scale.view(-1, 1, 1, 1), bias, padding=1).relu()
        )


@trap()
class RepVggBlock(nn.Module):
    """Three branches of which one is nothing but a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = unit(3, 8), Head(8)
        self.large = nn.Sequential(conv(8, 8), nn.BatchNorm2d(8))
        self.small, self.plain = nn.Sequential(conv(8, 8, 1), nn.BatchNorm2d(8)), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head((self.large(x) + self.small(x) + self.plain(x)).relu())


@trap()
class AuxiliaryHead(nn.Module):
    """A second classifier that only takes part in training, and gives a pair then: it must grow along, or nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = unit(3, 8), unit(8, 12)
        self.aux, self.head = nn.Sequential(unit(8, 8), Head(8)), Head(12)

    def forward(self, x: Tensor) -> Any:
        x = self.first(x)
        y = self.head(self.second(x))
        return (y, self.aux(x)) if self.training else y


@trap()
class DroppedPaths(nn.Module):
    """Dropout, dropped channels, and a branch that is left out at random in training."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.drop, self.head = unit(3, 8), unit(8, 8), nn.Dropout2d(0.2), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        branch = self.drop(self.second(x))
        if self.training:
            branch = branch * torch.empty(x.shape[0], 1, 1, 1).bernoulli_(0.8) / 0.8
        return self.head(F.dropout(x + branch, 0.1, self.training))


@trap()
class TupleOfMaps(nn.Module):
    """A backbone: a list of feature maps comes out, whose widths are the module's own business."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList((unit(3, 8), unit(8, 12, stride=2), unit(12, 16, stride=2)))
        self.head = Head(16)

    def forward(self, x: Tensor) -> Any:
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return [*found, self.head(x)]


@trap()
class DictOfTensors(nn.Module):
    """Several heads in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.two = unit(3, 8), Head(8, 5), Head(8, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.first(x)
        return {"classes": self.one(x), "box": self.two(x)}


@trap(inputs=lambda: (*images(), torch.randn(2, 6, generator=torch.Generator().manual_seed(2))))
class TwoInputs(nn.Module):
    """An image and a row of numbers, which gates the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.gate, self.head = unit(3, 8), unit(8, 12), nn.Linear(6, 12), Head(12)

    def forward(self, x: Tensor, numbers: Tensor) -> Tensor:
        return self.head(self.second(self.first(x)) * self.gate(numbers).sigmoid()[:, :, None, None])


@trap(inputs=lambda: (torch.arange(10).view(2, 5) % 7,))
class Embedded(nn.Module):
    """Whole numbers come in; an embedding gives the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.mix, self.head = nn.Embedding(7, 8), nn.Conv1d(8, 12, 3, padding=1), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mix(self.table(x).transpose(1, 2)).relu().mean(2))


@trap(refusable=True)
class DependsOnData(nn.Module):
    """Which branch is taken depends on the image: the test calls it with the negative one, too."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.two, self.head = unit(3, 8), unit(8, 8), unit(8, 8, 5), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        positive = bool(x.sum() > 0)
        x = self.first(x)
        return self.head(self.one(x) if positive else self.two(x))


@trap()
class Checkpointed(nn.Module):
    """A block is computed anew in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 8), unit(8, 12), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(checkpoint(self.second, self.first(x), use_reentrant=False))


@trap(refusable=True)
class HookedLayer(nn.Module):
    """A hook changes what a layer gives, by a buffer with a number for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 8), unit(8, 12), Head(12)
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 8))
        self.first.register_forward_hook(lambda _layer, _inputs, out: out * self.scale[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x)))


@trap()
class LazilyBuilt(nn.Module):
    """Layers that learn their inputs' widths when they first run."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.LazyConv2d(12, 3)
        self.head = nn.LazyLinear(5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.eval()(*images())
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.norm(self.first(x)).relu()).mean((2, 3)))


@trap(refusable=True)
class LayersMadeInForward(nn.Module):
    """A layer that is made when it is first needed, for a width that `forward` sees."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head, self.made = unit(3, 8), Head(8), None

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.made is None:
            torch.manual_seed(3)
            self.made = conv(x.shape[1], x.shape[1], 1)
        return self.head(x + self.made(x))


@trap()
class StateOfZeros(nn.Module):
    """A state that begins with zeros of as many channels as the image has, and gates it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.image, self.state = unit(3, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.second, self.head = unit(8, 8), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        state = torch.zeros(x.shape[0], x.shape[1])
        for layer in (self.second, self.second):
            state = (self.image(x.mean((2, 3))) + self.state(state)).sigmoid()
            x = layer(x) * state[:, :, None, None]
        return self.head(x + x.new_zeros(x.shape))


@trap(refusable=True, least=1.0)
class Scripted(nn.Module):
    """A part that TorchScript compiled, whose code no Python runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = unit(3, 8), Head(8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.second = torch.jit.script(unit(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x)))


@trap(refusable=True, least=1.0)
class Quantized(nn.Module):
    """A layer whose weights are whole numbers with a scale for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = unit(3, 8), Head(12)
        self.register_buffer("weight", torch.randint(-127, 127, (12, 8, 3, 3), dtype=torch.int8))
        self.register_buffer("scale", torch.full((12, 1, 1, 1), 1e-3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.conv2d(self.first(x), self.weight.float() * self.scale, padding=1).relu())


@trap(refusable=True, least=1.0)
class NoParameters(nn.Module):
    """There is nothing that could be scaled."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 4).flatten(1).tanh()


@trap(refusable=True, least=1.0)
class OneLayer(nn.Module):
    """Inputs and classes are given from outside, and nothing lies between."""

    def __init__(self) -> None:
        super().__init__()
        self.head = Head(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x)


@trap()
class HalfPrecisionInside(nn.Module):
    """A part computes in another precision and goes back."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 8), unit(8, 12).double(), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x).double()).to(torch.float32))


@trap()
class AttributesOfWidth(nn.Module):
    """`forward` checks the width against attributes that the module holds."""

    def __init__(self) -> None:
        super().__init__()
        self.width, self.sizes = 8, (8, 12)
        self.first, self.second, self.head = unit(3, 8), unit(8, 12), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if x.shape[1] != self.width:
            raise ValueError(f"expected {self.width} channels")
        x = self.second(x)
        return self.head(x.view(x.shape[0], self.sizes[1], -1).view_as(x))


@trap()
class MixedKernels(nn.Module):
    """MixConv: channels split by `chunk`, a depthwise convolution of its own size for each part, and SE."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = unit(3, 12), unit(12, 8, 1), Head(8)
        self.parts = nn.ModuleList(conv(4, 4, kernel, groups=4) for kernel in (3, 5, 7))
        self.norm, self.gate = (
            nn.BatchNorm2d(12),
            nn.Sequential(nn.Conv2d(12, 3, 1), nn.ReLU(), nn.Conv2d(3, 12, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = self.first(x).chunk(len(self.parts), 1)
        x = self.norm(torch.cat([part(piece) for part, piece in zip(self.parts, parts, strict=True)], 1))
        return self.head(self.second(x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()))


@trap()
class ReversibleHalves(nn.Module):
    """Two streams that start as halves of one and add to each other in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.f, self.g, self.head = unit(3, 16), unit(8, 8), unit(8, 8), Head(16)

    def forward(self, x: Tensor) -> Tensor:
        one, two = torch.chunk(self.first(x), 2, dim=1)
        one = one + self.f(two)
        two = two + self.g(one)
        return self.head(torch.cat((two, one), 1))


@trap()
class PyramidOfScales(nn.Module):
    """HRNet: two resolutions, each the sum of both."""

    def __init__(self) -> None:
        super().__init__()
        self.high, self.low = unit(3, 8), unit(3, 12, stride=2)
        self.up, self.down, self.head = unit(12, 8, 1), unit(8, 12, stride=2), Head(20)

    def forward(self, x: Tensor) -> Tensor:
        high, low = self.high(x), self.low(x)
        both = high + F.interpolate(self.up(low), scale_factor=2.0, mode="nearest"), low + self.down(high)
        return self.head(torch.cat((both[0], F.interpolate(both[1], size=both[0].shape[2:])), 1))


@trap()
class RepeatedBlocks(nn.Module):
    """Three blocks alike in a sequence, after one that widens."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = unit(3, 8), Head(16)
        self.blocks = nn.Sequential(Residual(8, 16), *(Residual(16, 16) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)))


class Residual(nn.Module):
    """Two convolutions beside a shortcut, which a layer makes where widths differ."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.branch = nn.Sequential(unit(inputs, outputs), conv(outputs, outputs), nn.BatchNorm2d(outputs))
        self.shortcut = conv(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return (shortcut + self.branch(x)).relu()
