"""What of a module can be left open, what its members are, and what they cost."""

from __future__ import annotations

import functools
import json
import random

import pytest
import torch
from torch import nn

from allometry.arch import ModuleSpace
from allometry.base import InputError, NetworkError
from allometry.nn import ModuleElasticity, apply_plan, cost_of_module, module_space
from allometry.nn.channels import named_tensors
from allometry.nn.foreign import find_runs
from allometry.nn.foreign.members import ModuleMembers, filled

from .space_modules import CLASSES, KINDS, Mobile, Transformer, layer

FEW = ModuleElasticity(widths=(0.5,), depths=(0.5,), resolutions=(0.75,))


@functools.cache
def opened(kind: str) -> tuple[nn.Module, ModuleSpace]:
    torch.manual_seed(0)
    module = KINDS[kind]().eval()
    return module, module_space(module, resolution=16, name=f"nets:{kind}", elasticity=FEW)


QUICK = ("bottlenecks", "transformer")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in QUICK else pytest.mark.slow) for kind in KINDS]
)
def test_members_are_counted_as_they_run_and_a_plan_makes_them_of_what_the_factory_gives(kind):
    module, space = opened(kind)
    members, chance = ModuleMembers.of(space, module), random.Random(1)
    assert space.largest().macs == cost_of_module(module, torch.zeros(1, 3, 16, 16)).macs
    ends = space.smallest().decisions, space.largest().decisions
    some = [{choice.name: chance.choice(choice.options) for choice in space.choices} for _ in range(2)]
    for decisions in (*ends, *some):
        member = space.network(decisions)
        images = torch.randn(2, 3, member.resolution, member.resolution)
        made = filled(members.skeleton(decisions), dict(named_tensors(module)).__getitem__)
        cost = cost_of_module(made, images)
        assert (cost.macs, cost.params) == (member.macs, member.params)
        again = apply_plan(KINDS[kind](), members.plan(decisions)).eval()
        again.load_state_dict(made.state_dict())
        assert torch.equal(again(images), made(images))
        if member == space.largest():
            assert torch.equal(made(images), module(images))
    assert torch.equal(
        filled(members.skeleton(space.largest().decisions), dict(named_tensors(module)).__getitem__)(images),
        module(images),
    )
    assert ModuleSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space


def names(space: ModuleSpace) -> list[str]:
    return [choice.name for choice in space.choices]


def test_stages_have_a_width_and_a_depth_and_what_goes_between_them_has_channels():
    _, space = opened("bottlenecks")
    assert names(space) == [
        "resolution",
        "layer1 1-1 depth",
        "layer2 1-2 depth",
        "stem.0 channels",
        "layer1 1-1 width",
        "layer1.0.three.0 channels",
        "layer2 1-2 width",
        "layer2.0.three.0 channels",
    ]
    assert {choice.options for choice in space.choices if choice.dimension == "depth"} == {(1, 2), (2, 3)}


def test_layers_inside_of_blocks_are_no_stages():
    runs = find_runs(Mobile(), torch.zeros(1, 3, 16, 16))
    assert [(run.container, run.names, run.before) for run in runs] == [
        ("features", ("2", "3"), 1),
        ("features", ("5",), 1),
    ]


def test_channels_that_meet_over_a_gap_are_decided_together():
    _, space = opened("plain")
    assert "1.0 channels" in names(space)
    assert "4.0 channels" not in names(space)  # which are those of 3.0 where block 4 is left out


def test_a_transformer_keeps_what_layer_norm_looks_at_and_its_image():
    _, space = opened("transformer")
    assert names(space) == ["resolution", "blocks 0-3 depth", "blocks 0-3 width"]
    assert space.resolutions == (16,)
    assert any("layer norm" in reason for reason in space.kept)
    assert any(reason.startswith("resolution: ") for reason in space.kept)


class Two(nn.Module):
    """With a second classifier in training."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(layer(3, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.one, self.two = nn.Linear(16, CLASSES), nn.Linear(16, CLASSES)

    def forward(self, x):
        seen = self.body(x)
        return (self.one(seen), self.two(seen)) if self.training else self.one(seen)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2)), "Nothing of"),
        (nn.Sequential(layer(3, 16), nn.AdaptiveAvgPool2d(1)), "not one number for each class"),
        (Two(), "in training"),
        (Transformer(), "does not run on inputs of 1 x 3 x 20 x 20"),
    ],
)
def test_what_cannot_be_a_supernet_is_refused(module, words):
    side = 20 if isinstance(module, Transformer) else 16
    with pytest.raises(InputError, match=words):
        module_space(module, resolution=side)


def test_decisions_that_a_space_does_not_have_are_refused():
    _, space = opened("side by side")
    with pytest.raises(NetworkError, match="is not decided"):
        space.network({"resolution": 16})
    with pytest.raises(NetworkError, match=r"cannot be 0\.3; possible: 0\.5, 1"):
        space.network({**space.largest().decisions, "a channels": 0.3})


def test_another_module_than_that_of_a_space_is_refused():
    _, space = opened("side by side")
    with pytest.raises(InputError, match="another Bottlenecks than it did"):
        ModuleMembers.of(space, KINDS["bottlenecks"]())
