"""How near modules come to a budget, and what is counted of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from allometry.base import InputError
from allometry.nn.foreign import cost_of_module, scale_module, solve_module
from allometry.nn.tracing import trace_channels

IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


class Written(nn.Module):
    """How many channels its first linear layer reads is written as a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 16, 3, 2)
        self.three, self.four = nn.Linear(16 * 9, 64), nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.two(F.relu(self.one(x)))).view(-1, 16 * 9)
        return self.four(F.relu(self.three(x)))


class Nonlocal(nn.Module):
    """Products of places with each other cost more than its weights, and grow more slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        one, two = self.one(x).flatten(2), self.two(x).flatten(2)
        return self.head((x.flatten(2) @ (one.transpose(1, 2) @ two).softmax(-1)).mean(2))


class Decoder(nn.Sequential):
    """Transposed convolutions, grouped and depthwise ones too."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 16, 2, 2, groups=16),
            nn.ConvTranspose2d(16, 8, 4, 2, 1, groups=2),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 2, 2, 2),
        )


@pytest.mark.parametrize(("kind", "budget"), [(Written, "0.5x"), (Nonlocal, "0.5x"), (Decoder, "2x")])
def test_a_budget_is_used_whatever_the_module_counts(kind: type[nn.Module], budget: str) -> None:
    torch.manual_seed(0)
    module = kind().eval()
    before = cost_of_module(module, IMAGES).macs
    after = cost_of_module(solve_module(module, IMAGES, budget=budget).module, IMAGES).macs
    assert 0.95 <= after / (before * float(budget[:-1])) <= 1


def test_a_constant_holds_only_the_channels_that_it_counts() -> None:
    plan = scale_module(Written(), IMAGES, width=0.5, channel_multiple=4).plan
    assert {change.name: change.after for change in plan.groups} == {"one.weight": 4, "three.weight": 32}


@pytest.mark.parametrize("kind", [Written, Decoder])
def test_the_trace_counts_what_runs(kind: type[nn.Module]) -> None:
    module = kind().eval()
    traced = scale_module(module, IMAGES, width=1.5)
    assert traced.macs == cost_of_module(traced.module, IMAGES).macs


class Auxiliary(nn.Module):
    """In training it has a second classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.second = nn.Conv2d(3, 16, 3), nn.Linear(16, 5), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = F.relu(self.body(x)).mean((2, 3))
        return (self.head(x), self.second(x)) if self.training else self.head(x)


def test_what_runs_in_training_alone_costs_nothing_afterwards() -> None:
    module = Auxiliary().eval()
    scaled = scale_module(module, IMAGES, width=1.5)
    assert scaled.macs == cost_of_module(scaled.module, IMAGES).macs
    assert scaled.module.second.in_features == 24
    costs = trace_channels(module, IMAGES).costs
    assert [(cost.module, cost.times > 0) for cost in costs] == [
        ("body", True),
        ("head", True),
        ("second", False),
    ]


def test_attention_is_counted_where_pytorch_has_a_fast_path() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    tokens = torch.randn(1, 7, 16)
    weights = 7 * (16 * 48 + 16 * 16 + 2 * 16 * 32)
    assert cost_of_module(nn.Sequential(layer), tokens).macs >= weights


class Branch(nn.Sequential):
    """Two convolutions beside what they are given."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Indexed(nn.Module):
    """Its code takes as many of its blocks as it was made with."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 16, 3), nn.Linear(16, 5)
        self.blocks = nn.ModuleList(Branch() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks[1](self.blocks[0](F.relu(self.stem(x)))).mean((2, 3)))


def test_no_block_is_added_that_would_not_run() -> None:
    scaled = scale_module(Indexed(), IMAGES, depth=1.5)
    assert [kept.reason for kept in scaled.plan.kept] == ["its code would not run one block more"]
    scaled.module(IMAGES).sum().backward()
    assert all(tensor.grad is not None for tensor in scaled.module.parameters())


def test_where_nothing_would_change_in_steps_of_eight_the_steps_are_smaller() -> None:
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 14 * 14, 5))
    assert scale_module(net, IMAGES, width=0.75).module[0].out_channels == 12
    assert scale_module(net, IMAGES, width=0.9).module[0].out_channels == 14
    with pytest.raises(InputError, match="too near to 1"):
        scale_module(net, IMAGES, width=0.75, channel_multiple=8)
