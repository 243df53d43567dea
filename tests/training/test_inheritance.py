"""What a module of somebody else's goes on with after it has grown: the optimizer's memory, and an average of it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import allometry
from allometry.base import InputError
from allometry.nn import ScaledModule, grow_average, scale_module
from allometry.nn.growing import GROWTH_METHODS, GrowthMethod
from allometry.training import inherit_optimizer

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda module: torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9),
    "adamw": lambda module: torch.optim.AdamW(
        [
            {"params": [weight for weight in module.parameters() if weight.ndim > 1], "weight_decay": 0.1},
            {"params": [weight for weight in module.parameters() if weight.ndim < 2], "weight_decay": 0.0},
        ],
        lr=1e-2,
    ),
}


class Block(nn.Module):
    """A residual branch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


def network() -> nn.Module:
    torch.manual_seed(0)
    blocks = nn.Sequential(Block(), Block())
    return nn.Sequential(nn.Conv2d(3, 8, 3), blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


def step(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    module(IMAGES).logsumexp(1).square().mean().backward()
    optimizer.step()


def inherited_entries(scaled: ScaledModule, name: str) -> Tensor:
    """The entries of a tensor of the larger module that the smaller one has."""
    value = dict(scaled.module.named_parameters())[name].detach()
    for dimension, row in enumerate(scaled.weight_map[name].indices):
        if row is not None:
            places = torch.tensor([place for place, old in enumerate(row) if old >= 0])
            value = value.index_select(dimension, places)
    return value


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_after_growth_moves_what_is_inherited_as_before(kind: str) -> None:
    module = network().train()
    old = OPTIMIZERS[kind](module)
    for _ in range(3):
        step(module, old)
    scaled = scale_module(module, IMAGES, width=2, depth=1.5)
    new = OPTIMIZERS[kind](scaled.module)
    inherit_optimizer(old, new, module, scaled.module, scaled.weight_map)
    step(module, old), step(scaled.module, new)
    weights = dict(module.named_parameters())
    for name in ("0.weight", "1.1.conv.weight", "1.0.norm.bias", "4.weight"):
        source = scaled.weight_map[name].name
        assert torch.allclose(inherited_entries(scaled, name), weights[source], atol=1e-5)
    assert new.state[scaled.module[0].weight].get("step") == old.state[module[0].weight].get("step")


def test_a_state_dict_does_as_well_where_it_tells_whose_it_is() -> None:
    module = network()
    old = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    step(module, old)
    scaled = scale_module(module, IMAGES, width=2)
    states = []
    for known in (old, old.state_dict()):
        new = torch.optim.SGD(scaled.module.parameters(), lr=0.1, momentum=0.9)
        inherit_optimizer(known, new, module, scaled.module, scaled.weight_map)
        states.append(new.state[scaled.module[4].weight]["momentum_buffer"])
    assert torch.equal(*states)
    assert states[0][:, :8].any()
    assert not states[0][:, 8:].any()


def adafactor(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adafactor(module.parameters(), lr=1e-3)


@pytest.mark.parametrize(
    ("old", "kind", "message"),
    [
        (OPTIMIZERS["sgd"](network()), "sgd", "weights that the old module does not have"),
        (OPTIMIZERS["sgd"](network()), "adamw", "What SGD remembers is nothing to AdamW"),
        (OPTIMIZERS["adamw"](network()).state_dict(), "adamw", "in several groups"),
        (OPTIMIZERS["sgd"](nn.Linear(2, 2)).state_dict(), "sgd", "not for this module: it has 2 weights"),
        ({"weights": 3}, "sgd", "no state_dict of a torch optimizer"),
    ],
)
def test_an_optimizer_of_something_else_is_refused(old: object, kind: str, message: str) -> None:
    module = network()
    scaled = scale_module(module, IMAGES, width=2)
    with pytest.raises(InputError, match=message):
        inherit_optimizer(old, OPTIMIZERS[kind](scaled.module), module, scaled.module, scaled.weight_map)  # type: ignore[arg-type]


def test_memory_that_is_not_by_entries_is_refused() -> None:
    module = network()
    old = adafactor(module)
    step(module, old)
    scaled = scale_module(module, IMAGES, width=2)
    with pytest.raises(InputError, match=r"remembers of .*weight '.*' of .*: begin with a new one"):
        inherit_optimizer(old, adafactor(scaled.module), module, scaled.module, scaled.weight_map)


@pytest.mark.parametrize("method", GROWTH_METHODS)
def test_the_larger_average_computes_what_the_average_did(method: GrowthMethod) -> None:
    module = network().eval()
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)), alpha=0.1)
    scaled = scale_module(module, IMAGES, width=2, depth=1.5, method=method)
    larger = grow_average(average, scaled)
    assert torch.allclose(larger(IMAGES), average(IMAGES), atol=1e-5)
    first, conv = larger.module[0].weight, scaled.module[0].weight
    if method != "copies":
        assert torch.equal(first[8:], conv[8:])
    assert not torch.equal(first[:8], conv[:8])
    larger.update_parameters(scaled.module)
    plain = grow_average(copy.deepcopy(average.module), scaled)
    assert torch.allclose(plain(IMAGES), average(IMAGES), atol=1e-5)


def test_an_average_of_something_else_is_refused() -> None:
    scaled = scale_module(network(), IMAGES, width=2)
    with pytest.raises(InputError, match="no average of the module that was scaled"):
        grow_average(nn.Linear(2, 2), scaled)


def scaled_with_statistics(module: nn.Module, batches: list[Tensor], **changes: float) -> nn.Module:
    made = allometry.scale(module, example_input=IMAGES, batches=batches, channel_multiple=4, **changes)
    assert isinstance(made, nn.Module)
    return made


def test_new_channels_get_the_statistics_of_batches_and_the_others_keep_theirs() -> None:
    module = network().eval()
    larger = scaled_with_statistics(module, [IMAGES, -IMAGES], width=2).eval()
    norm = larger[1][0].norm
    assert norm.running_mean[:8].eq(0).all()
    assert not norm.running_mean[8:].eq(0).any()
    assert torch.allclose(larger(IMAGES), module(IMAGES), atol=1e-5)


@pytest.mark.parametrize(("size", "width"), [(12, 2), (8, 0.5)])
def test_larger_images_and_a_smaller_module_need_other_statistics_everywhere(size: int, width: float) -> None:
    wide = nn.functional.interpolate(IMAGES, size)
    larger = scaled_with_statistics(network(), [wide, -wide], width=width)
    assert not any(
        part.running_mean.eq(0).any() for part in larger.modules() if isinstance(part, nn.BatchNorm2d)
    )
    assert larger.training == network().training


def test_batches_that_are_none_or_of_something_else_are_refused() -> None:
    with pytest.raises(InputError, match="There are no batches"):
        scaled_with_statistics(network(), [], width=2)
    with pytest.raises(InputError, match="does not run on inputs of 1 x 2 x 8 x 8"):
        scaled_with_statistics(network(), [torch.zeros(1, 2, 8, 8)], width=2)
    with pytest.raises(InputError, match="batches are several, such as a list of tensors"):
        scaled_with_statistics(network(), IMAGES, width=2)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="take the images"):
        scaled_with_statistics(network(), [[IMAGES, torch.zeros(6)]], width=2)  # type: ignore[list-item]


def test_a_new_layer_that_hands_on_its_input_does_so_with_other_statistics() -> None:
    def block() -> nn.Module:
        return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())

    torch.manual_seed(0)
    blocks = nn.Sequential(block(), block())
    module = nn.Sequential(nn.Conv2d(3, 8, 3), blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    deeper = scaled_with_statistics(module.eval(), [IMAGES + 1, IMAGES - 1], depth=2).eval()
    assert len(deeper[1]) == 4
    assert not deeper[1][3][1].running_mean.eq(0).any()
    assert torch.allclose(deeper(IMAGES), module(IMAGES), atol=1e-5)
