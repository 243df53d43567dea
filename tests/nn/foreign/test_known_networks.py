"""A published network as a foreign module scales to what it scales to as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

import allometry
from allometry.arch import Network, apply_multipliers
from allometry.catalog import get
from allometry.cost import count
from tests.nn.foreign.known_networks import efficientnet_b0, mobilenet_v2, resnet_50

KNOWN: dict[str, Callable[[int | None], nn.Module]] = {
    "mobilenetv2": mobilenet_v2,
    "resnet-50": resnet_50,
    "efficientnet-b0": efficientnet_b0,
}
CASES: tuple[tuple[str, int, dict[str, float]], ...] = (
    ("mobilenetv2", 7, {"depth": 1.5}),
    ("mobilenetv2", 3, {"width": 0.75}),
    ("resnet-50", 2, {"width": 1.25, "depth": 1.4}),
    ("resnet-50", 2, {"depth": 0.5}),
    ("efficientnet-b0", 7, {"width": 1.25, "depth": 1.4}),
    ("efficientnet-b0", 3, {"width": 1.25}),
)


def params(module: nn.Module) -> int:
    """How many parameters a module has."""
    return sum(tensor.numel() for tensor in module.parameters())


def first_stages(name: str, stages: int) -> Network:
    """The data of a network's first stages."""
    network = get(name)
    return replace(network, stages=network.stages[:stages])


@pytest.mark.parametrize("name", KNOWN)
def test_the_modules_are_the_networks_of_the_catalog(name: str) -> None:
    with torch.device("meta"):
        assert params(KNOWN[name](None)) == count(get(name)).params


@pytest.mark.slow
@pytest.mark.parametrize(("name", "stages", "sizes"), CASES)
def test_the_module_scales_as_the_data_does(name: str, stages: int, sizes: dict[str, float]) -> None:
    module = KNOWN[name](stages)
    assert params(module) == count(first_stages(name, stages)).params
    scaled = allometry.scale(module, example_input=torch.randn(1, 3, 32, 32), **sizes)
    assert params(scaled) == count(apply_multipliers(first_stages(name, stages), **sizes)).params
