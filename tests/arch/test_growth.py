"""Multiplied depths, widths and resolutions, beside the released code's own rounding written down again."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.arch import (
    BasicBlock,
    Bottleneck,
    Cell,
    Head,
    MBConv,
    Network,
    SeparableConv,
    SqueezeExcite,
    Stage,
    Stem,
    apply_multipliers,
    depth_exponents,
    lite,
    round_channels,
)
from allometry.arch.rounding import widen
from allometry.base import NetworkError
from tests.strategies import basic, blocks, bottlenecks, networks, separable

multipliers = st.floats(0.2, 4)


def round_filters(filters: int, width: float, divisor: int = 8) -> int:
    """Source: `efficientnet_model.py` of the released code, line by line."""
    filters *= width
    new_filters = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    if new_filters < 0.9 * filters:
        new_filters += divisor
    return int(new_filters)


def in_eights(network: Network) -> Network:
    """The network with channels that are multiples of eight, as those of the released code are."""

    def eight(channels: int) -> int:
        return 8 * max(1, channels // 8)

    return replace(
        network,
        stem=replace(network.stem, channels=eight(network.stem.channels)),
        stages=tuple(
            replace(stage, block=stage.block.with_channels(eight(stage.block.channels)))
            for stage in network.stages
        ),
        head=replace(network.head, channels=network.head.channels and eight(network.head.channels)),
    )


@given(networks(), multipliers, multipliers, st.floats(0.5, 3))
def test_growth_is_that_of_the_released_code(network, depth, width, resolution):
    network = in_eights(network)
    grown = apply_multipliers(network, depth=depth, width=width, resolution=resolution)
    repeats = [math.ceil(stage.repeats * depth - 1e-9) for stage in network.stages]
    assert [stage.repeats for stage in grown.stages] == [max(1, each) for each in repeats]
    channels = [stage.block.channels for stage in network.stages]
    expected = channels if width == 1 else [round_filters(each, width) for each in channels]
    assert [stage.block.channels for stage in grown.stages] == expected
    assert grown.resolution == max(1, round(network.resolution * resolution))
    assert grown.head.classes == network.head.classes
    # Nothing else of a block changes.
    for before, after in zip(network.stages, grown.stages, strict=True):
        assert after.block.with_channels(before.block.channels) == before.block


@given(networks(blocks=separable | basic | bottlenecks), multipliers, multipliers)
def test_more_of_a_multiplier_is_never_less_of_a_network(network, one, other):
    low, high = sorted((one, other))
    for dimension in ("depth", "width", "resolution"):
        smaller, larger = (apply_multipliers(network, **{dimension: each}) for each in (low, high))
        assert smaller.depth <= larger.depth
        assert smaller.resolution <= larger.resolution
        assert smaller.stem.channels <= larger.stem.channels
        if all(getattr(stage.block, "group_width", None) is None for stage in network.stages):
            pairs = zip(smaller.stages, larger.stages, strict=True)
            assert all(before.block.channels <= after.block.channels for before, after in pairs)


@given(networks(), multipliers, multipliers)
def test_what_is_fixed_stays(network, depth, width):
    fixed = replace(
        network,
        stem=replace(network.stem, fixed=True),
        head=replace(network.head, fixed=True),
        stages=tuple(replace(stage, fixed=True) for stage in network.stages),
    )
    grown = apply_multipliers(fixed, depth=depth, width=width)
    assert grown.stem == fixed.stem
    assert grown.head == fixed.head
    assert [stage.repeats for stage in grown.stages] == [stage.repeats for stage in fixed.stages]


@given(networks(), st.floats(0, 0.99), st.floats(1, 4))
def test_late_stages_grow_more_and_the_mean_exponent_is_one(network, late, depth):
    exponents = depth_exponents(network, late)
    assert len(exponents) == len(network.groups)
    assert list(exponents) == sorted(exponents)
    assert sum(exponents) == pytest.approx(len(exponents))
    if len(exponents) > 1:
        assert (exponents[0], exponents[-1]) == (pytest.approx(1 - late), pytest.approx(1 + late))
    grown = apply_multipliers(network, depth=depth, late_stage_bias=late)
    for stage, after, exponent in zip(network.stages, grown.stages, exponents, strict=True):
        assert after.repeats == math.ceil(stage.repeats * depth**exponent - 1e-9)


def test_stages_that_continue_one_another_get_and_lose_layers_at_their_end():
    first, second = MBConv(channels=16, stride=2), MBConv(channels=16, kernel=5)
    stages = (Stage(block=first, repeats=2), Stage(block=second, repeats=2, continues=True))
    network = Network(stages=(*stages, Stage(block=first)), resolution=32)
    for depth, expected in (
        (0.1, [(3, 1), (3, 1)]),
        (0.75, [(3, 2), (5, 1), (3, 1)]),
        (1.25, [(3, 2), (5, 3), (3, 2)]),
        (2, [(3, 2), (5, 6), (3, 2)]),
    ):
        grown = apply_multipliers(network, depth=depth)
        assert [(stage.block.kernel, stage.repeats) for stage in grown.stages] == expected


@pytest.mark.parametrize("late", [-0.1, 1, float("nan")])
def test_unevenness_has_a_range(late):
    with pytest.raises(NetworkError, match="late_stage_bias must be a number from 0 to below 1"):
        apply_multipliers(Network(stages=(Stage(block=MBConv(channels=8)),)), late_stage_bias=late)


def test_the_label_and_hidden_layers_grow_too():
    network = Network(
        stages=(Stage(block=MBConv(channels=16)),), head=Head(channels=64, hidden=128), name="one"
    )
    grown = apply_multipliers(network, width=2, name="two")
    assert (grown.name, grown.head.channels, grown.head.hidden) == ("two", 128, 256)
    assert apply_multipliers(network, width=2).name == "one"
    bare = replace(network, head=Head(channels=None))
    assert apply_multipliers(bare, width=2).head.channels is None


@given(st.integers(1, 500), st.floats(0.1, 10), st.sampled_from([1, 4, 8, 16]))
def test_widened_channels_never_turn_around(channels, width, multiple):
    wide = widen(channels, width, multiple)
    assert wide >= channels if width > 1 else wide <= channels
    assert (
        wide == channels
        if width == 1
        else wide in (channels, round_channels(channels * width, multiple=multiple))
    )


@given(bottlenecks, st.floats(0.25, 4))
def test_a_bottlenecks_middle_stays_whole_groups(block, width):
    wide = block.widened(width, 8, 0.9)
    assert wide.middle % (wide.group_width or 1) == 0
    assert wide.ratio == block.ratio
    assert block.channel_step % 8 == 0
    assert block.with_channels(block.channels + block.channel_step).middle % (block.group_width or 1) == 0


def test_groups_of_eight_and_more_grow_with_the_width():
    """Source: Dollar et al. 2021, section 4."""
    block = Bottleneck(channels=256, ratio=1, group_width=32)
    assert block.widened(2, 8, 0.9).group_width == 64
    assert block.widened(0.5, 8, 0.9).group_width == 16
    narrow = replace(block, group_width=4)
    assert narrow.widened(2, 8, 0.9).group_width == 4
    assert block.widened(1, 8, 0.9) == block


@pytest.mark.parametrize(
    ("block", "source", "names"),
    [
        (SeparableConv(channels=16), 8, ["depthwise", "project"]),
        (BasicBlock(channels=8), 8, ["first", "second", "drop_path", "output"]),
        (BasicBlock(channels=16), 8, ["first", "second", "drop_path", "shortcut", "output"]),
        (BasicBlock(channels=8, stride=2), 8, ["first", "second", "drop_path", "shortcut", "output"]),
        (Bottleneck(channels=16), 16, ["reduce", "spatial", "restore", "drop_path", "output"]),
        (Bottleneck(channels=32), 16, ["reduce", "spatial", "restore", "drop_path", "shortcut", "output"]),
    ],
)
def test_older_blocks_are_graphs_with_a_shortcut_where_shapes_differ(block, source, names):
    cell = block.cell(source)
    assert [node.name for node in cell.nodes] == names
    excited = Bottleneck(channels=16, se_ratio=0.25).cell(64).nodes[2].layers[-1]
    assert isinstance(excited, SqueezeExcite)
    assert excited.squeezed(4) == 16  # a share of the block's input, not of its middle


@settings(max_examples=50)
@given(networks(blocks))
def test_lite_is_for_integer_hardware_and_done_once(network):
    light = lite(network, name="light")
    assert lite(light, name="light") == light
    assert light.name == "light"
    assert lite(replace(network, name="mine")).name == "mine-lite"
    assert light.stem.fixed
    assert light.head.fixed
    assert light.stem.activation in (None, "relu6")
    assert light.head.activation == "relu6"
    assert (light.stem.activation is None) == (network.stem.activation is None)
    assert [stage.repeats for stage in light.stages] == [stage.repeats for stage in network.stages]
    assert light.shapes() == network.shapes()
    ends = [group[0] for group in (light.groups[0], light.groups[-1])]
    assert all(stage.fixed for stage in ends)
    for stage in light.stages:
        if isinstance(stage.block, Cell):
            layers = [layer for node in stage.block.nodes for layer in node.layers]
            assert not any(isinstance(layer, SqueezeExcite) for layer in layers)
        else:
            assert stage.block.activation == "relu6"
            assert not getattr(stage.block, "se_ratio", 0)


def test_a_stem_alone_rounds_to_the_multiple_that_is_asked_for():
    network = Network(stem=Stem(channels=30), stages=(Stage(block=MBConv(channels=20)),))
    found = {
        multiple: apply_multipliers(network, width=1.5, channel_multiple=multiple).stem.channels
        for multiple in (1, 4, 8, 16)
    }
    assert found == {1: 45, 4: 44, 8: 48, 16: 48}
    loose = apply_multipliers(network, width=1.18, channel_multiple=16, min_fraction=0)
    assert loose.stem.channels == 32
