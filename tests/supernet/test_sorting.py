"""Channels in the order of what they matter: the greatest network stays the same, averages stay aligned."""

from __future__ import annotations

import copy

import pytest
import torch

from allometry.search import narrow
from allometry.supernet import Supernet, axes_of, build_supernet, sort_channels
from allometry.supernet.axes import tensors_of
from allometry.zoo import find_space

from .test_elastic import bottlenecks, open_everywhere, stirred

SPACES = {
    "open": open_everywhere,
    "bottlenecks": bottlenecks,
    "ofa-mobilenetv3-1.0": lambda: find_space("ofa-mobilenetv3-1.0"),
    "mnasnet": lambda: find_space("mnasnet"),
    "fbnet": lambda: find_space("fbnet"),
}


def largest_only(space):
    return narrow(space, {knob.name: knob.options[-1:] for knob in space.knobs})


def output(supernet: Supernet) -> torch.Tensor:
    space = supernet.space
    x = torch.randn(1, space.template.in_channels, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return supernet.eval()(x.double(), space.largest())


@pytest.mark.parametrize("name", SPACES)
def test_the_greatest_network_stays_the_same(name):
    space = SPACES[name]()
    supernet = stirred(space).double()
    before = output(supernet)
    names = [key for key, _ in supernet.named_parameters()]
    old = {key: value.clone() for key, value in supernet.named_parameters()}
    sort_channels(supernet, narrower=largest_only(space))
    after = output(supernet)
    assert (before - after).abs().max() <= 1e-9 * before.abs().max()
    assert any(not torch.equal(old[key], dict(supernet.named_parameters())[key]) for key in names)


def test_within_what_narrower_members_use_the_most_important_come_first():
    space = open_everywhere()
    supernet = stirred(space)
    kept = {knob.name: knob.options[1:] for knob in space.knobs if knob.name.endswith("expand ratio")}
    host = "stage_2_layer_0_mbconv"
    before = supernet.hosts[host].project[0].weight.detach().abs().sum((0, 2, 3))
    sort_channels(supernet, narrower=narrow(space, kept))
    after = supernet.hosts[host].project[0].weight.detach().abs().sum((0, 2, 3))
    half = len(after) // 2  # ratios of 2 and 4 were trained: what 2 uses stays in front
    assert not torch.allclose(before, after)
    for part in (slice(None, half), slice(half, None)):
        assert torch.allclose(before[part].sort().values, after[part].sort().values, atol=1e-4)


def test_without_narrower_members_the_order_is_by_importance():
    space = open_everywhere()
    supernet = stirred(space)
    sort_channels(supernet, narrower=largest_only(space))
    for name, host in supernet.hosts.items():
        if name.endswith("mbconv") and not isinstance(host.expand, torch.nn.Identity):
            importance = host.project[0].weight.detach().abs().sum((0, 2, 3))
            assert (importance.diff() <= 1e-4).all()


def test_averages_change_places_likewise():
    space = open_everywhere()
    supernet = stirred(space)
    average = copy.deepcopy(supernet)
    sort_channels(supernet, narrower=largest_only(space), also=[average])
    ours, theirs = (dict(tensors_of(each)) for each in (supernet, average))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_grouped_convolutions_keep_their_order():
    supernet = build_supernet(find_space("fbnet"), seed=0)
    grouped = {
        name
        for name, host in supernet.hosts.items()
        for part in host.modules()
        if isinstance(part, torch.nn.Conv2d) and part.kernel_size == (1, 1) and part.groups > 1
    }
    assert not grouped & {spot.host for axis in axes_of(supernet) for spot in axis.spots}
