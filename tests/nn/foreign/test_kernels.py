"""Kernels of any module become larger without a change of what it computes."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

import allometry
from allometry.base import InputError
from allometry.nn import ModulePlan, apply_plan, cost_of_module, grow_average, scale_module, solve_module

IMAGES = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))


class PaddedByItself(nn.Conv2d):
    """Pads by the kernel that its weights have, whatever its attribute says, as TensorFlow does."""

    def forward(self, x: Tensor) -> Tensor:
        size = self.weight.shape[-1] - 1
        x = nn.functional.pad(x, [size // 2, size - size // 2] * 2)
        return nn.functional.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Standardized(nn.Conv2d):
    """Its weights have a mean of zero over the kernel, too: zeros around it are not neutral."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True) + 0.1
        return nn.functional.conv2d(x, weight, self.bias, self.stride, self.padding)


CONVOLUTIONS = {
    "padded": lambda: nn.Conv2d(8, 8, 3, padding=1),
    "valid": lambda: nn.Conv2d(8, 8, 3),
    "same": lambda: nn.Conv2d(8, 8, 3, padding="same", dilation=2),
    "same and reflected": lambda: nn.Conv2d(8, 8, 3, padding="same", padding_mode="reflect"),
    "reflected": lambda: nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
    "named valid": lambda: nn.Conv2d(8, 8, 3, padding="valid"),
    "dilated": lambda: nn.Conv2d(8, 8, 3, padding=2, dilation=2, stride=2),
    "depthwise": lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8, stride=2),
    "oblong": lambda: nn.Conv2d(8, 8, (1, 3), padding=(0, 1)),
    "padded by itself": lambda: PaddedByItself(8, 8, 3, padding=0),
}


def network(middle: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 1),
        middle,
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    ).eval()


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_the_old_kernel_is_in_the_middle_and_the_function_stays(kind: str) -> None:
    module = network(CONVOLUTIONS[kind]())
    scaled = scale_module(module, IMAGES, kernel_size=7)
    assert scaled.difference is not None
    assert scaled.difference < 1e-6
    larger, old = scaled.module[1], module[1]
    sides = tuple(7 if side > 1 else 1 for side in old.kernel_size)
    assert larger.kernel_size == tuple(larger.weight.shape[2:]) == sides
    inside = larger.weight[:, :, (sides[0] - old.kernel_size[0]) // 2 :, 2:-2]
    assert torch.equal(inside[:, :, : old.kernel_size[0]], old.weight)
    assert scaled.module[0].kernel_size == (1, 1)
    with torch.no_grad():
        assert torch.allclose(scaled.module(-IMAGES), module(-IMAGES), atol=1e-6)
    scaled.module(IMAGES).square().sum().backward()
    assert larger.weight.grad[:, :, :, 0].any()  # what is new learns


def test_with_width_and_depth_it_is_one_plan_that_makes_the_module_again() -> None:
    def block() -> nn.Module:
        return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())

    module = network(nn.Sequential(block(), block()))
    scaled = scale_module(module, IMAGES, depth=1.5, width=2, kernel_size=5)
    assert scaled.difference is not None
    assert scaled.difference < 1e-5
    assert scaled.module[1][2][0].weight.shape == (16, 16, 5, 5)
    source = scaled.weight_map["1.0.0.weight"]
    assert source.indices[2:] == ((-1, 0, 1, 2, -1), (-1, 0, 1, 2, -1))
    assert scaled.weight_map["1.1.0.weight"].name == "1.1.0.weight"
    plan = ModulePlan.from_dict(json.loads(json.dumps(scaled.plan.to_dict())))
    assert plan == scaled.plan
    again = apply_plan(module, plan)
    again.load_state_dict(scaled.module.state_dict())
    assert torch.equal(again.eval()(IMAGES), scaled.module(IMAGES))
    assert torch.allclose(grow_average(module, scaled)(IMAGES), module(IMAGES), atol=1e-5)
    with pytest.raises(InputError, match="another module"):
        apply_plan(nn.Sequential(nn.Linear(2, 2)), ModulePlan(kernels=plan.kernels))


def test_a_budget_counts_the_larger_kernels() -> None:
    module = network(nn.Conv2d(8, 8, 3, padding=1))
    scaled = solve_module(module, IMAGES, budget="12x", kernel_size=5, channel_multiple=1)
    most = 12 * cost_of_module(module, IMAGES).macs
    assert 0.8 * most < cost_of_module(scaled.module, IMAGES).macs <= most
    assert scaled.module[1].kernel_size == (5, 5)


@pytest.mark.parametrize(
    ("middle", "reason"),
    [
        (Standardized(8, 8, 3, padding=1), "1: with a kernel of 5 it computes something else"),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3)), "1: its kernel is computed from other"),
        (nn.Conv2d(8, 8, 2), "1: a kernel of 2 x 2 has no middle"),
        (nn.Conv2d(8, 8, 7), "has no convolution with a kernel between 1 and that"),
    ],
)
def test_what_cannot_is_refused_with_the_place_and_the_rest_grows(middle: nn.Module, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        allometry.scale(network(middle), example_input=IMAGES, kernel_size=5)
    other = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), *network(middle))
    scaled = scale_module(other, IMAGES, kernel_size=5)
    assert scaled.module[0].kernel_size == (5, 5)
    assert scaled.module[2].weight.shape == middle.weight.shape


@pytest.mark.parametrize("size", [4, 1, 2.5, True, "5"])
def test_a_kernel_without_a_middle_is_none(size: object) -> None:
    with pytest.raises(InputError, match="an odd side from 3 on"):
        scale_module(network(nn.Conv2d(8, 8, 3)), IMAGES, kernel_size=size)  # type: ignore[arg-type]
