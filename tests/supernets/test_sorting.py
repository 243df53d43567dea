"""Channels in the order of what they matter: nothing changes for those that are trained, and the best go first."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from allometry.arch import BasicBlock, Bottleneck, Cell, FusedMBConv, MBConv
from allometry.catalog import find_space, get, mbconv_space
from allometry.nas import narrow
from allometry.supernets import Axis, Spot, Supernet, axes_of, sort_channels

from .spaces import SMALL, choice, grown, inverted_space, members, random_images, space_of

INVERTED = MBConv(channels=8, expand_ratio=2, se_ratio=0.25)
FUSED = FusedMBConv(channels=8, expand_ratio=2)
RESIDUAL = Bottleneck(channels=8, ratio=0.5)
BASIC = BasicBlock(channels=8, stride=2)


def channels(*options: int, stages=(0,)):
    return choice(f"channels {stages}", [f"stages.{stage}.block.channels" for stage in stages], *options)


SPACES = {
    **SMALL,
    # The first layer of a group adds what it is given.
    "added": space_of(
        [[INVERTED, INVERTED], [replace(INVERTED, channels=12, stride=2)]],
        [channels(4, 8, stages=(0, 1)), channels(8, 12, stages=(2,))],
    ),
    "added, fused": space_of([[FUSED], [FUSED]], [channels(4, 8), channels(6, 8, stages=(1,))]),
    "added, residual": space_of(
        [[replace(RESIDUAL, stride=2)], [RESIDUAL], [replace(RESIDUAL, channels=12)]],
        [channels(8, 12, stages=(2,))],
    ),
    # Of these blocks the channels cannot change places.
    "basic": space_of([[BASIC], [replace(RESIDUAL, stride=2)]], [channels(4, 8)]),
    "basic and head": space_of([[BASIC]], [channels(4, 8)]),
    "stem": space_of(
        [[replace(INVERTED, channels=10)]], [choice("stem", "stem.channels", 4, 8), channels(8, 10)]
    ),
    "no head": space_of(
        [[replace(INVERTED, channels=10)]],
        [channels(8, 10)],
        head=replace(SMALL["inverted"].template.head, channels=None, hidden=8),
    ),
}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


def only_largest(space):
    return narrow(space, {each.name: each.options[-1:] for each in space.choices})


def differs(one: Supernet, other: Supernet) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return any(not torch.equal(*pair) for pair in pairs)


def held(supernet: Supernet, spot: Spot) -> torch.Tensor:
    host = supernet.hosts[spot.host]
    return {**dict(host.named_parameters()), **dict(host.named_buffers())}[spot.name]


def importance(supernet: Supernet, axis: Axis) -> list[float]:
    """What reads a channel, with the sign left out."""
    count = held(supernet, axis.readers[0]).shape[axis.readers[0].dimension]
    return [
        sum(held(supernet, spot).select(spot.dimension, channel).abs().sum().item() for spot in axis.readers)
        for channel in range(count)
    ]


@torch.no_grad()
def assert_same(before: Supernet, after: Supernet, *, networks, channels_in=1) -> None:
    images = random_images(2, 16, channels=channels_in).double()
    for network in networks:
        expected = before(images, network)
        assert (after(images, network) - expected).abs().max() <= 1e-9 * expected.abs().max()


@every_space
def test_what_the_largest_network_computes_does_not_change(space):
    supernet = grown(space).double()
    before = copy.deepcopy(supernet)
    sort_channels(supernet, narrower=only_largest(space))
    for mode in (True, False):
        assert_same(before.train(mode), supernet.train(mode), networks=[space.largest()])
    assert differs(before, supernet) == bool(axes_of(supernet))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ofa-mobilenetv3-1.0", "mnasnet"])
def test_what_the_largest_network_of_a_published_space_computes_does_not_change(name):
    space = find_space(name)
    supernet = grown(space).double().eval()
    before = copy.deepcopy(supernet)
    sort_channels(supernet, narrower=only_largest(space))
    assert differs(before, supernet)
    assert_same(before, supernet, networks=[space.largest()], channels_in=3)


@pytest.mark.parametrize("name", ["inverted", "fused", "residual", "mixed"])
def test_what_is_trained_so_far_does_not_change_either(name):
    space = SPACES[name]
    supernet = grown(space).double().eval()
    before = copy.deepcopy(supernet)
    sort_channels(supernet, narrower=space)
    assert differs(before, supernet)
    assert_same(before, supernet, networks=members(space, 4))


@every_space
def test_the_channels_that_are_read_most_go_first(space):
    supernet = grown(space)
    axes = axes_of(supernet)
    before = [importance(supernet, axis) for axis in axes]
    sort_channels(supernet, narrower=only_largest(space))
    for axis, old in zip(axes, before, strict=True):
        # Of those that read, some are sorted along another dimension later: that moves, but changes no sum.
        assert importance(supernet, axis) == pytest.approx(sorted(old, reverse=True), rel=1e-5)


def test_channels_of_narrower_members_stay_in_front():
    space = inverted_space(ratios=(2, 3, 4), channels=False)
    narrower = narrow(space, {f"ratio {place}": (3, 4) for place in range(4)})
    supernet = grown(space)
    axis = next(each for each in axes_of(supernet) if each.readers[0].name == "project.0.weight")
    old = importance(supernet, axis)
    sort_channels(supernet, narrower=narrower)
    edge = 3 * space.template.stem.channels
    assert len(old) == 4 * space.template.stem.channels
    front, back = sorted(old[:edge], reverse=True), sorted(old[edge:], reverse=True)
    assert importance(supernet, axis) == pytest.approx([*front, *back], rel=1e-5)
    assert max(back) > min(front)  # so the order alone would have exchanged them


def test_a_channel_moves_everywhere_at_once():
    """A mark on one channel is found in the same place of all tensors that hold it."""
    space = SPACES["inverted"]
    supernet = grown(space)
    for number, axis in enumerate(axes_of(supernet)):
        marked = copy.deepcopy(supernet)
        for spot in axis.spots:
            held(marked, spot).data.select(spot.dimension, -1).fill_(1000.0 + number)
        sort_channels(marked, narrower=only_largest(space), axes=[axis])
        for spot in axis.spots:
            assert (held(marked, spot).select(spot.dimension, 0) == 1000 + number).all(), spot


def test_averages_move_like_the_weights():
    space = SPACES["inverted"]
    supernet, average = grown(space), grown(space, seed=1)
    weights, other = copy.deepcopy(supernet), copy.deepcopy(average)
    for each in (supernet, average, weights, other):
        each.double().eval()
    sort_channels(supernet, narrower=only_largest(space), also=[average])
    assert_same(other, average, networks=[space.largest()])
    # The mean of both is what the mean was: their channels are still the same ones.
    for old, new in ((weights, supernet), (other, average)):
        old.requires_grad_(False)
        new.requires_grad_(False)
    for pair in ((weights, other), (supernet, average)):
        for one, two in zip(pair[0].parameters(), pair[1].parameters(), strict=True):
            one.add_(two).mul_(0.5)
    assert_same(weights, supernet, networks=[space.largest()])


def test_a_second_time_nothing_moves():
    space = SPACES["residual"]
    supernet = grown(space)
    sort_channels(supernet, narrower=only_largest(space))
    before = copy.deepcopy(supernet)
    sort_channels(supernet, narrower=only_largest(space))
    for one, other in zip(before.parameters(), supernet.parameters(), strict=True):
        assert torch.equal(one, other)


def test_grouped_convolutions_are_left_alone():
    grouped = replace(INVERTED, groups=2)
    for space in (
        space_of([[grouped]], [channels(4, 8)]),
        space_of(
            [[replace(RESIDUAL, stride=2, group_width=2)]], [choice("kernel", "stages.0.block.kernel", 3, 5)]
        ),
    ):
        supernet = grown(space).double().eval()
        names = {spot.name for axis in axes_of(supernet) for spot in axis.spots}
        assert not {name for name in names if name.startswith(("expand", "reduce", "spatial"))}
        before = copy.deepcopy(supernet)
        sort_channels(supernet, narrower=only_largest(space))
        assert_same(before, supernet, networks=[space.largest()])


def test_members_with_and_without_groups_share_what_is_sorted_for_the_largest():
    space = find_space("fbnet")
    supernet = grown(space).double().eval()
    before = copy.deepcopy(supernet)
    sort_channels(supernet, narrower=only_largest(space))
    assert_same(before, supernet, networks=[space.largest()], channels_in=3)


def test_cells_are_sorted_by_their_graphs_whatever_their_nodes_are_named():
    cell = RESIDUAL.cell(8)
    assert isinstance(cell, Cell)
    reversed_names = {"reduce": "restore", "restore": "reduce"}
    nodes = tuple(
        replace(
            node,
            name=reversed_names.get(node.name, node.name),
            inputs=tuple(reversed_names.get(name, name) for name in node.inputs),
        )
        for node in cell.nodes
    )
    last = replace(INVERTED, channels=12)
    space = space_of([[replace(cell, nodes=nodes)], [last]], [channels(8, 12, stages=(1,))])
    supernet = grown(space).double().eval()
    sorted_in_cells = [axis for axis in axes_of(supernet) if any("cell" in spot.host for spot in axis.spots)]
    readers = {spot.name for axis in sorted_in_cells for spot in axis.readers if "cell" in spot.host}
    assert readers >= {"spatial.0.weight", "reduce.0.weight"}
    before = copy.deepcopy(supernet)
    sort_channels(supernet, narrower=only_largest(space))
    assert_same(before, supernet, networks=[space.largest()])


def test_without_open_channels_only_what_is_inside_blocks_is_sorted():
    widths = mbconv_space(get("efficientnet-lite0"), expand_ratios=(3, 6), widths=(0.5, 1.0))
    plain = mbconv_space(get("efficientnet-lite0"), expand_ratios=(3, 6))
    inner = [axes_of(grown(space)) for space in (plain, widths)]
    assert all("expand" not in spot.name for axis in inner[0] for spot in axis.readers)
    assert inner[1][: len(inner[0])] == inner[0]
    # The stem's channels and those of seven stages, each one's.
    assert len(inner[1]) == len(inner[0]) + 1 + 7
