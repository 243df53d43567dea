"""A module's supernet: its members compute what they compute by themselves, and its largest what the module does."""

from __future__ import annotations

import copy
import functools
import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from allometry.base import InputError, NetworkError
from allometry.nas import narrow
from allometry.nn import ModuleElasticity, module_space
from allometry.supernets import LayerOptions
from allometry.supernets.elastic_module import ElasticModule, supernet_of_module
from allometry.supernets.module_sorting import sort_module_channels
from tests.nn.foreign.space_modules import KINDS, Bottlenecks, layer

FEW = ModuleElasticity(widths=(0.5,), depths=(0.5,), resolutions=())
QUICK = ("bottlenecks",)


@functools.cache
def opened(kind: str) -> tuple[nn.Module, ElasticModule]:
    torch.manual_seed(0)
    module = KINDS[kind]().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            part.weight.data.uniform_(0.5, 1.5)
    return module, supernet_of_module(module_space(module, resolution=16, elasticity=FEW), module)


@pytest.fixture
def supernet():
    return copy.deepcopy(opened("bottlenecks")[1])


IMAGES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in QUICK else pytest.mark.slow) for kind in KINDS]
)
def test_members_compute_what_is_taken_out_and_the_largest_what_the_module_does(kind):
    module, supernet = copy.deepcopy(opened(kind))
    space, chance = supernet.space, random.Random(0)
    assert torch.equal(supernet(IMAGES, space.largest()), module(IMAGES))
    for _ in range(3):
        member = space.network({choice.name: chance.choice(choice.options) for choice in space.choices})
        assert torch.allclose(supernet(IMAGES, member), supernet.extract(member)(IMAGES), atol=1e-6)
    sort_module_channels(supernet)
    assert torch.allclose(supernet(IMAGES, space.largest()), module(IMAGES), atol=1e-5)


def test_the_most_important_channels_come_first_also_where_widths_were_trained(supernet):
    space = supernet.space
    place = next(n for n, group in enumerate(space.groups) if group.name == "stem.0.weight")
    name = space.groups[place].choice
    reading = supernet.module.layer1[0].one[0].weight  # and the shortcut reads it, too
    with torch.no_grad():
        reading[:, -1] = 100.0
    before = supernet.module.stem[0].weight.detach().clone()
    trained = copy.deepcopy(supernet)
    sort_module_channels(supernet)
    assert torch.equal(supernet.module.stem[0].weight[0], before[-1])
    halves = narrow(space, {name: (0.5, 1.0)})
    sort_module_channels(trained, narrower=halves)
    assert not torch.equal(trained.module.stem[0].weight[0], before[-1])
    assert torch.equal(trained.module.stem[0].weight[8], before[-1])


def test_a_member_s_gradients_reach_its_own_weights_alone(supernet):
    supernet.train()
    supernet(IMAGES, supernet.space.smallest()).sum().backward()
    stem, last = supernet.module.stem[0].weight, supernet.module.layer2[2].one[0].weight
    assert (stem.grad[:8] != 0).any()
    assert (stem.grad[8:] == 0).all()
    assert last.grad is None  # its block is left out


def test_statistics_are_the_batch_s_in_training_unless_they_are_frozen(supernet):
    member, known = supernet.space.smallest(), copy.deepcopy(supernet.state_dict())
    supernet.train()
    own = supernet(IMAGES, member)
    assert not torch.allclose(own[:2], supernet(IMAGES[:2], member))
    supernet.set_options(LayerOptions(frozen_statistics=True))
    frozen = supernet(IMAGES, member)
    supernet.eval()
    assert torch.allclose(frozen, supernet(IMAGES, member))
    assert not torch.allclose(frozen, own)
    assert all(torch.equal(known[name], value) for name, value in supernet.state_dict().items())


def test_what_is_not_regularized_drops_nothing():
    net = nn.Sequential(
        layer(3, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3)
    )
    supernet = supernet_of_module(module_space(net, resolution=16, elasticity=FEW), net).train()
    largest = supernet.space.largest()
    plain = [supernet(IMAGES, largest, regularized=False) for _ in range(2)]
    assert torch.equal(*plain)
    assert not torch.equal(supernet(IMAGES, largest), supernet(IMAGES, largest))


def test_shared_weights_stay_shared():
    torch.manual_seed(0)
    net = Bottlenecks()
    net.layer2[2].two[0].weight = net.layer2[1].two[0].weight
    supernet = supernet_of_module(module_space(net, resolution=16, elasticity=FEW), net)
    taken = supernet.extract(
        supernet.space.network({**supernet.space.smallest().decisions, "layer2 1-2 depth": 3})
    )
    assert taken.layer2[2].two[0].weight is taken.layer2[1].two[0].weight


def test_what_is_of_another_module_is_refused(supernet):
    with pytest.raises(InputError, match="not those of Bottlenecks"):
        supernet_of_module(supernet.space, Bottlenecks(), {"module.stem": torch.zeros(1)})
    with pytest.raises(NetworkError, match="not one of"):
        supernet.subnet(replace(supernet.space.smallest(), module="nets:other", name="mine"))
