"""Modules made deeper where no block simply repeats: units, blocks alone in their stage, blocks under names."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from allometry.base import InputError
from allometry.nn.foreign import ModulePlan, apply_plan, cost_of_module, find_runs, scale_module, solve_module
from tests.nn.foreign.trap_modules import Head, conv, shaken, unit

IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


class Chain(nn.Module):
    """Units behind each other in one sequence, as in VGG."""

    def __init__(self) -> None:
        super().__init__()
        pool = nn.MaxPool2d(2)
        self.features = nn.Sequential(*unit(3, 8), pool, *unit(8, 12), *unit(12, 12), pool, *unit(12, 16))
        self.head = Head(16)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class Convolved(nn.Module):
    """A convolution whose activation is a function."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv, self.bn = conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Branches(nn.Module):
    """Inception: branches that are put together."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.one, self.two = Convolved(inputs, 4), nn.Sequential(Convolved(inputs, 8), Convolved(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.one(x), self.two(x), F.max_pool2d(x, 3, 1, 1)), 1)


class Inception(nn.Module):
    """Its blocks stand under names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inception3a, self.inception3b = Convolved(3, 8, 2), Branches(8), Branches(20)
        self.head = Head(32)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inception3b(self.inception3a(self.stem(x))))


class Dense(nn.Module):
    """A layer whose outputs are put behind what it is given, with norms before convolutions."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, 16, 1)
        self.norm2, self.relu2, self.conv2 = nn.BatchNorm2d(16), nn.ReLU(), conv(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        return torch.cat((x, self.conv2(self.relu2(self.norm2(y)))), 1)


class DenseNetwork(nn.Sequential):
    """Two such layers."""

    def __init__(self) -> None:
        super().__init__(unit(3, 8), Dense(8), Dense(16), Head(24))


class Basic(nn.Module):
    """A residual block with a shortcut that is a convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            unit(inputs, outputs, 3, stride), conv(outputs, outputs), nn.BatchNorm2d(outputs)
        )
        self.shortcut = conv(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return (shortcut + self.body(x)).relu()


class OneEach(nn.Module):
    """A residual network with one block in each stage, under names of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.layer1, self.layer2 = unit(3, 8), Basic(8, 8), Basic(8, 16, 2)
        self.head = Head(16)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer2(self.layer1(self.stem(x))))


class Inverted(nn.Module):
    """An inverted residual block that holds whether it has a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.use_shortcut = stride, stride == 1 and inputs == outputs
        hidden = 3 * inputs
        self.layers = nn.Sequential(
            unit(inputs, hidden, 1), unit(hidden, hidden, 3, stride, groups=hidden), conv(hidden, outputs, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.use_shortcut else self.layers(x)


class OneInverted(nn.Module):
    """Two stages of one block each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = unit(3, 8), Head(20)
        self.blocks = nn.ModuleList((Inverted(8, 12, 2), Inverted(12, 20, 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Position(nn.Module):
    """A block that adds to its input what a convolution shared by all blocks of the stage makes of it."""

    def __init__(self, shared: nn.Module) -> None:
        super().__init__()
        self.shared, self.mlp = shared, nn.Sequential(conv(8, 16, 1), nn.GELU(), conv(16, 8, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.shared(x)
        return x + self.mlp(x)


class SharedAmongBlocks(nn.Module):
    """CoaT: blocks that share a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head, shared = unit(3, 8), Head(8), conv(8, 8, groups=8)
        self.blocks = nn.ModuleList(Position(shared) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Overparametrized(nn.Module):
    """MobileOne: branches alike that are summed up, which are no blocks behind each other."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(conv(8, 8), nn.BatchNorm2d(8)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([branch(x) for branch in self.branches]).sum(0).relu()


class InPlaceResidual(nn.Module):
    """It adds to what it is given in place, and hands it on."""

    def __init__(self) -> None:
        super().__init__()
        self.body = unit(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x += self.body(x)
        return x


class ParallelBranches(nn.Sequential):
    """Blocks of parallel branches behind each other."""

    def __init__(self) -> None:
        super().__init__(unit(3, 8), nn.Sequential(Overparametrized(), Overparametrized()), Head(8))


class Perceptron(nn.Sequential):
    """Linear layers and activations."""

    def __init__(self) -> None:
        widths = ((768, 24), (24, 16), (16, 12))
        layers = [layer for pair in widths for layer in (nn.Linear(*pair), nn.ReLU())]
        super().__init__(nn.Flatten(), *layers, nn.Linear(12, 5))


KINDS = (
    Chain,
    Inception,
    DenseNetwork,
    OneEach,
    OneInverted,
    SharedAmongBlocks,
    ParallelBranches,
    Perceptron,
)


def made(kind: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return shaken(kind()).eval()


def layers_of(module: nn.Module) -> int:
    return sum(isinstance(part, nn.Conv2d | nn.Linear) for part in module.modules())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_deeper_computes_the_same_learns_and_follows_from_its_plan(kind: type[nn.Module]) -> None:
    module = made(kind)
    scaled = scale_module(module, IMAGES, depth=1.5)
    assert layers_of(scaled.module) > layers_of(module)
    with torch.no_grad():
        for images in (IMAGES, -2 * IMAGES):  # not only on what was looked at
            before, after = module(images), scaled.module.eval()(images)
            assert (before - after).abs().max() <= 1e-5 * before.abs().max()
    plan = ModulePlan.from_dict(json.loads(json.dumps(scaled.plan.to_dict())))
    again = apply_plan(kind(), plan).eval()
    again.load_state_dict(scaled.module.state_dict())
    assert torch.equal(again(IMAGES), scaled.module(IMAGES))
    scaled.module.train()(IMAGES).square().mean().backward()
    new = [t.grad for name, t in scaled.module.named_parameters() if name not in scaled.weight_map]
    assert any(gradient is not None and bool(gradient.any()) for gradient in new)
    assert all(bool(gradient.isfinite().all()) for gradient in new if gradient is not None)


class Deployed(nn.Module):
    """A block that can leave out its layers, and has a shortcut that is a convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.deployed = False
        self.body, self.shortcut = (
            nn.Sequential(unit(inputs, outputs), conv(outputs, outputs)),
            conv(inputs, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x if self.deployed else (self.body(x) + self.shortcut(x)).relu()


def test_no_attribute_that_leaves_out_layers_makes_a_block_that_hands_on_what_it_is_given() -> None:
    module = made(lambda: nn.Sequential(unit(3, 8), nn.Sequential(Deployed(8, 12)), Head(12)))
    scaled = scale_module(module, IMAGES, depth=2)
    assert not any(part.deployed for part in scaled.module.modules() if isinstance(part, Deployed))
    assert sum(isinstance(part, Deployed) for part in scaled.module.modules()) == 2
    gradients = scaled.module.train()(IMAGES).square().mean()
    gradients.backward()
    assert scaled.module[1][1].shortcut.weight.grad.any() or scaled.module[1][1].body[1].weight.grad.any()


def test_units_of_one_shape_are_a_stage() -> None:
    scaled = scale_module(made(Chain), IMAGES, depth=1.5)
    # Of two units of 12 channels there are three, of one of 16 channels two; what reads the image stays one.
    assert [(run.blocks, run.repeats) for run in scaled.plan.insertions] == [(("9",), 2), (("13",), 2)]
    assert layers_of(scaled.module) - layers_of(made(Chain)) == 2


@pytest.mark.parametrize("kind", [OneEach, OneInverted])
def test_a_block_alone_in_its_stage_gets_what_a_longer_stage_has(kind: type[nn.Module]) -> None:
    scaled = scale_module(made(kind), IMAGES, depth=2)
    longer = made(kind)
    if isinstance(longer, OneEach):
        longer.layer1 = nn.Sequential(longer.layer1, Basic(8, 8))
        longer.layer2 = nn.Sequential(longer.layer2, Basic(16, 16))
    else:
        blocks = list(longer.blocks)
        longer.blocks = nn.ModuleList((blocks[0], Inverted(12, 12, 1), blocks[1], Inverted(20, 20, 1)))
    shapes = [sorted(tuple(t.shape) for t in part.state_dict().values()) for part in (scaled.module, longer)]
    assert shapes[0] == shapes[1]


def test_parallel_branches_are_no_run_and_blocks_in_place_are() -> None:
    assert [(run.container, run.names) for run in find_runs(made(ParallelBranches), IMAGES)] == [
        ("1", ("0", "1"))
    ]
    in_place = nn.Sequential(unit(3, 8), nn.Sequential(InPlaceResidual(), InPlaceResidual()), Head(8))
    assert [(run.container, run.names) for run in find_runs(in_place, IMAGES)] == [("1", ("0", "1"))]


class Leaky(nn.Sequential):
    """No weights let a leaky unit give what it is given."""

    def __init__(self) -> None:
        super().__init__(conv(3, 8), nn.LeakyReLU(0.1), conv(8, 8), nn.LeakyReLU(0.1), Head(8))


def test_what_cannot_be_deeper_is_told_and_a_budget_takes_the_width() -> None:
    with pytest.raises(InputError, match="stays as it is"):
        scale_module(made(Leaky), IMAGES, depth=2)
    scaled = solve_module(made(Leaky), IMAGES, budget="2x")
    assert not scaled.plan.insertions


@pytest.mark.parametrize("kind", [Chain, OneEach])
@pytest.mark.parametrize("times", [2, 0.5])
def test_budgets_count_blocks_of_other_forms(kind: type[nn.Module], times: float) -> None:
    module = made(kind)
    budget = times * cost_of_module(module, IMAGES).macs
    scaled = solve_module(module, IMAGES, budget=f"{times}x")
    assert 0.95 * budget <= cost_of_module(scaled.module, IMAGES).macs <= budget


def test_plans_of_other_modules_are_refused() -> None:
    plan = scale_module(made(Chain), IMAGES, depth=1.5).plan
    with pytest.raises(InputError, match="another module"):
        apply_plan(nn.Sequential(nn.Linear(2, 2)), plan)


class WeightNormed(nn.Module):
    """A residual block whose weights are parametrized."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3, padding=1)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.layers[1](self.layers[0](x).relu()).relu()).relu()


def up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU())


@pytest.mark.parametrize(
    "kind",
    [
        lambda: nn.Sequential(unit(3, 8), nn.Sequential(WeightNormed(), WeightNormed()), Head(8)),
        lambda: nn.Sequential(*up(3, 16), *up(16, 8), Head(8)),
    ],
)
def test_blocks_that_bear_no_more_of_them_are_refused_with_a_sentence(kind: Callable[[], nn.Module]) -> None:
    with pytest.raises(InputError, match=r"Sequential stays as it is: \d"):
        scale_module(made(kind), IMAGES, depth=2)


class NormedBehind(nn.Module):
    """Blocks that cannot give what they are given: their norm comes last."""

    def __init__(self, blocks=4):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 4, stride=4)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, blocks, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.layers(self.stem(x).flatten(2).transpose(1, 2)).mean(1))


def test_blocks_of_which_there_cannot_be_more_can_be_fewer():
    module = made(NormedBehind)
    with pytest.raises(InputError, match="no weights were found"):
        scale_module(module, IMAGES, depth=2)
    shorter = scale_module(module, IMAGES, depth=0.5)
    assert [len(insertion.blocks) + insertion.extra for insertion in shorter.plan.insertions] == [2]
    assert len(shorter.module.layers.layers) == 2
    halved = solve_module(module, IMAGES, budget="0.5x")
    macs = [cost_of_module(part, IMAGES).macs for part in (module, halved.module)]
    assert 0.9 < macs[1] / (0.5 * macs[0]) <= 1
    assert len(halved.module.layers.layers) < 4


class CountedBlocks(NormedBehind):
    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        for number in range(4):
            x = self.layers.layers[number](x)
        return self.head(x.mean(1))


def test_blocks_that_are_called_by_their_number_stay():
    with pytest.raises(InputError, match="stays as it is"):
        scale_module(made(CountedBlocks), IMAGES, depth=0.5)
