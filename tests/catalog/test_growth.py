"""The laws and the Lite transform on networks of every family."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.arch import Cell, SqueezeExcite, apply_multipliers, from_json, lite, to_json
from allometry.base import NetworkError
from allometry.catalog import choose, families, get
from allometry.catalog.entry import Entry
from allometry.cost import count
from allometry.scaling import COMPOUND, DEPTH, FAST, LAWS, RESOLUTION, scale, solve

# The first four of each family: the others differ in numbers only.
every_kind = pytest.mark.parametrize(
    "entry",
    [entry for family in families() for entry in choose(family=family)[:4]],
    ids=lambda entry: entry.name,
)
BASELINES = [
    "efficientnet-lite0",
    "efficientnetv2-b0",
    "efficientnetv2-s",
    "mobilenetv1",
    "mobilenetv2",
    "mobilenetv3-large",
    "mnasnet-a1",
    "proxylessnas-cpu",
    "fbnet-a",
    "ofa-lg-8",
    "resnet-18",
    "resnet-50",
    "resnext-50-32x4d",
    "regnety-8.0gf",
    "regnetx-200mf",
]


def of_cells(network) -> bool:
    return any(isinstance(stage.block, Cell) for stage in network.stages)


@every_kind
def test_every_network_grows_and_shrinks_where_it_can(entry: Entry):
    network = entry.make()
    if of_cells(network):
        with pytest.raises(NetworkError, match="fixed channels"):
            scale(network, 1, law=FAST)
        assert count(scale(network, 1, law=RESOLUTION)).macs > count(network).macs
        return
    smaller, larger = scale(network, -0.5), scale(network, 0.5)
    assert count(smaller).macs < count(network).macs < count(larger).macs
    for grown in (smaller, larger):
        assert from_json(to_json(grown)) == grown
        assert len(grown.groups) == len(network.groups)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("law", ["compound", "fast", "v2"])
@pytest.mark.parametrize("budget", ["0.5x", "2x"])
def test_budgets_are_met_from_other_baselines(name, law, budget):
    network = get(name)
    solution = solve(network, budget, law=LAWS[law])
    assert 0.93 < solution.use <= 1
    assert count(solution.network) == solution.cost
    # Growing on from the multipliers that were found gives no larger a network than what was found.
    again = apply_multipliers(
        network, **solution.multipliers._asdict(), late_stage_bias=LAWS[law].late_stage_bias
    )
    layers = [[sum(s.repeats for s in group) for group in each.groups] for each in (again, solution.network)]
    assert all(regrown <= found for regrown, found in zip(*layers, strict=True))


def test_depth_of_a_stage_with_several_blocks_grows_at_its_end():
    network = get("ofa-lg-8")
    deeper = apply_multipliers(network, depth=2)
    assert deeper.depth == 2 * network.depth
    for before, after in zip(network.groups, deeper.groups, strict=True):
        assert [stage.block for stage in after] == [stage.block for stage in before]
    shallow = apply_multipliers(network, depth=0.01)
    assert shallow.depth == len(network.groups)
    assert [group[0].block for group in shallow.groups] == [group[0].block for group in network.groups]


@given(st.floats(0.3, 3))
def test_groups_stay_whole_at_every_width(width):
    for name in ("resnext-50-32x4d", "regnety-8.0gf", "regnetx-3.2gf"):
        network = get(name)
        grown = apply_multipliers(network, width=width)
        for before, after in zip(network.stages, grown.stages, strict=True):
            assert after.block.middle % after.block.group_width == 0
            growth = after.block.channels - before.block.channels
            assert (
                growth >= 0 if width > 1 else growth <= 0 or after.block.channels == after.block.channel_step
            )


@every_kind
def test_lite_takes_out_squeeze_excite_and_leaves_relu6(entry: Entry):
    network = entry.make()
    light = lite(network)
    assert lite(light, name=light.name) == light
    assert light.stem.fixed
    assert light.head.fixed
    assert count(light).params <= count(network).params
    for stage in light.stages:
        if not isinstance(stage.block, Cell):
            assert stage.block.activation == "relu6"
            assert getattr(stage.block, "se_ratio", 0) == 0
            continue
        layers = [layer for node in stage.block.nodes for layer in node.layers]
        assert not any(isinstance(layer, SqueezeExcite) for layer in layers)
        assert {getattr(layer, "activation", None) for layer in layers} <= {None, "relu6"}
    if not of_cells(network):
        grown = scale(light, 2, law=COMPOUND)
        assert (grown.stem.channels, grown.head.channels) == (network.stem.channels, network.head.channels)
        assert grown.groups[0][0].repeats == light.groups[0][0].repeats


def test_a_network_of_cells_grows_in_depth():
    for name in ("densenet-121", "nasnet-a-mobile", "inception-resnet-v2", "senet-154"):
        network = get(name)
        deeper = scale(network, 1, law=DEPTH)
        assert count(deeper).params > count(network).params
        assert deeper.shapes()[-1].size == network.shapes()[-1].size
    network = get("densenet-121")
    smaller = solve(replace(network, resolution=224), "0.5x", law=RESOLUTION)
    assert smaller.use <= 1
