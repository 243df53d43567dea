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
SIZES = ({"width": 1.25}, {"depth": 1.5}, {"width": 0.75}, {"width": 1.25, "depth": 1.4})


def params(module: nn.Module) -> int:
    """How many parameters a module has."""
    return sum(tensor.numel() for tensor in module.parameters())


def first_stages(name: str, stages: int) -> Network:
    """The data of a network's first stages. A stage of one block stays one: in a module nothing of it repeats."""
    network = get(name)
    chosen = network.stages[:stages]
    return replace(network, stages=tuple(replace(stage, fixed=stage.repeats == 1) for stage in chosen))


@pytest.mark.parametrize("name", KNOWN)
def test_the_modules_are_the_networks_of_the_catalog(name: str) -> None:
    with torch.device("meta"):
        assert params(KNOWN[name](None)) == count(get(name)).params


@pytest.mark.slow
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("name", "stages"), [("mobilenetv2", 3), ("resnet-50", 2), ("efficientnet-b0", 3)])
def test_the_module_scales_as_the_data_does(name: str, stages: int, sizes: dict[str, float]) -> None:
    module = KNOWN[name](stages)
    assert params(module) == count(first_stages(name, stages)).params
    scaled = allometry.scale(module, example_input=torch.randn(1, 3, 32, 32), **sizes)
    assert params(scaled) == count(apply_multipliers(first_stages(name, stages), **sizes)).params
