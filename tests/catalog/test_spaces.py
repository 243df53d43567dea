"""The published spaces: their sizes, their members, and the space around a network of one's own."""

from dataclasses import replace
from random import Random

import pytest

from allometry.arch import (
    Choice,
    Head,
    MBConv,
    cross,
    distinct_blocks,
    encode,
    mutate,
    sample,
    save_space,
    space_from_json,
    space_to_json,
)
from allometry.base import NetworkError, UnknownNameError
from allometry.catalog import entries, find_space, get, mbconv_space, spaces
from allometry.cost import count

UNIT = 9**2 + 9**3 + 9**4
# Source: the papers' own counts, or what follows from their tables for networks that differ.
SIZES = {
    "ofa-mobilenetv3-1.0": 25 * UNIT**5,
    "ofa-mobilenetv3-1.2": 25 * UNIT**5,
    "ofa-proxylessnas-1.3": 25 * UNIT**5 * 9,
    "mnasnet": 432**5,
    "efficientnetv2": 12**6 * (4 * 8 * 8 * 12 * 12 * 16) * (1 + 12 * 4),
    "fbnet": (1 + 8) * (8 + 8**2 + 8**3 + 8**4) ** 5 * 8,
    "proxylessnas": (6 + 6**2 + 6**3 + 6**4) ** 5 * 6,
}
every_space = pytest.mark.parametrize("name", SIZES)


def test_the_sizes_are_those_of_the_papers():
    assert UNIT == 7371
    assert {entry.name: entry.make().size for entry in spaces()} == SIZES


@every_space
def test_spaces_hold_together(name):
    space, random = find_space(name), Random(0)
    assert space.name == name
    assert space_from_json(space_to_json(space)) == space
    pieces = set(distinct_blocks(space))
    parents = [sample(space, random, by=by) for by in ("network", "choice")]
    for network in (
        *parents,
        mutate(space, parents[0], 0.1, random),
        cross(space, *parents, random),
        space.smallest(),
        space.largest(),
    ):
        assert space.network(space.decisions_of(network)) == network
        assert sum(encode(space, network)) == len(space.decisions_of(network))
        assert count(network).macs > 0
        assert {(placed.block, placed.source, None) for placed in network.blocks()} <= pieces


# Source: counts of the instantiated supernets, at 224 pixels: parameters, and millions of MACs.
@pytest.mark.parametrize(
    ("name", "largest", "smallest"),
    [
        ("ofa-mobilenetv3-1.0", (7_664_760, 566.17), (3_410_792, 121.28)),
        ("ofa-mobilenetv3-1.2", (10_701_632, 843.10), (4_602_456, 193.08)),
        ("ofa-proxylessnas-1.3", (7_942_056, 1004.91), (3_718_832, 265.53)),
    ],
)
def test_the_extremes_cost_what_the_supernets_do(name, largest, smallest):
    space = find_space(name)
    for network, (params, macs) in ((space.largest(), largest), (space.smallest(), smallest)):
        cost = count(replace(network, resolution=224))
        assert cost.params == params
        assert round(cost.macs / 1e6, 2) == macs


@pytest.mark.slow
def test_every_released_network_is_a_member_of_one_space():
    ignore = {"once-for-all": ("resolution",), "fbnet": ("head.channels",)}
    published = {name: find_space(name) for name in SIZES}
    members = {
        entry.name: [
            name
            for name, space in published.items()
            if space.contains(entry.make(), ignore=ignore.get(entry.family, ()))
        ]
        for entry in entries()
        if entry.family in ("once-for-all", "fbnet") or entry.name == "proxylessnas-mobile"
    }
    assert {len(found) for found in members.values()} == {1}
    assert members["ofa-595m"] == ["ofa-mobilenetv3-1.2"]
    assert members["ofa-cpu-17"] == ["ofa-proxylessnas-1.3"]
    assert members["fbnet-a"] == ["fbnet"]
    assert sum(name.startswith("ofa-") for name in members) == 50
    within = [
        entry.name
        for entry in entries()
        if entry.family == "once-for-all" and find_space(members[entry.name][0]).contains(entry.make())
    ]
    assert set(members) - set(within) >= {"ofa-595m", "ofa-note10-64", "ofa-pixel1-143"}
    assert {"ofa-482m", "ofa-lg-24", "ofa-cpu-17"} <= set(within)


def test_efficientnetv2_is_searched_around_its_backbone():
    space = find_space("efficientnetv2")
    assert space.contains(get("efficientnet-b4"))
    shorter = replace(get("efficientnet-b4"), stages=get("efficientnet-b4").stages[:-1])
    assert space.decisions_of(shorter)["stage 6 depth"] == 0


def test_mnasnet_has_regular_and_separable_convolutions():
    space = find_space("mnasnet")
    kinds = {type(option).__name__ for option in space.choices[1].options}
    assert kinds == {"MBConv", "FusedMBConv"}
    # Its 112 channels are no multiple of MobileNetV2's 96 that the paper names.
    assert not space.contains(get("mnasnet-a1"))


def test_names_are_forgiving_and_files_work(tmp_path):
    assert find_space("FBNet") == find_space("fbnet")
    with pytest.raises(UnknownNameError, match=r"No space is named 'fbnett'\. Did you mean 'fbnet'"):
        find_space("fbnett")
    path = tmp_path / "mine.json"
    save_space(find_space("mnasnet"), path)
    assert find_space(str(path)) == find_space("mnasnet")
    with pytest.raises(NetworkError, match="No such file"):
        find_space(str(tmp_path / "none.json"))


def test_a_space_around_a_network_of_ones_own():
    mine = replace(get("efficientnet-lite0"), head=Head(classes=7), name="mine")
    space = mbconv_space(
        mine, kernels=(3, 5), expand_ratios=(4, 6), depths=(1, 2, 3), resolutions=(96, 128, 224)
    )
    # The last stage is fixed and has one layer, the first does not expand.
    assert space.size == 3 * (4 + 4**2 + 4**3) ** 5 * 4
    assert space.contains(mbconv_space(mine, depths=(1, 2, 3)).smallest())
    assert not space.contains(mine)  # it has a stage of four layers
    assert mbconv_space(mine, kernels=(3, 5)).contains(mine)
    assert mbconv_space(mine, resolutions=(96, 224)).size == 2
    assert {network.head.classes for network in (space.smallest(), space.largest())} == {7}
    assert space.smallest().name == "mine"
    assert mbconv_space(mine, kernels=(3, 5), name="other").name == "other"


def test_layers_that_are_laid_out_repeat_the_last():
    network = get("efficientnet-b0")
    deep = mbconv_space(network, depths=(2, 5)).largest()
    assert [stage.repeats for stage in deep.stages] == [1, 5, 5, 5, 5, 5, 1]
    assert {stage.block for stage in deep.stages} == {stage.block for stage in network.stages}


def test_spaces_where_nothing_can_be_open_are_refused():
    for make, says in (
        (
            lambda: mbconv_space(get("resnet-18"), kernels=(3, 5)),
            "Nothing is open in a space around resnet-18",
        ),
        (
            lambda: mbconv_space(get("efficientnet-b0")),
            "kernels, expand_ratios, depths, widths or resolutions",
        ),
        (
            lambda: mbconv_space(get("efficientnet-b0"), kernels=(3, 4)),
            "cannot be 4: MBConv.kernel must be odd",
        ),
        (lambda: mbconv_space(get("efficientnet-b0"), depths=(0, 1)), "at least 1, not 0"),
        (lambda: mbconv_space(get("efficientnet-b0"), resolutions=(0,)), "Network.resolution"),
    ):
        with pytest.raises(NetworkError, match=says):
            make()


def test_channels_are_open_for_a_whole_stage():
    space = mbconv_space(get("efficientnet-b0"), depths=(1, 2), widths=(0.75, 1.0, 1.25))
    choices = {choice.name: choice for choice in space.choices if choice.name.endswith("channels")}
    assert choices["stage 2 channels"].options == (32, 40, 48)
    assert len(choices) == 6  # the first stage does not expand and stays as it is
    network = space.network({choice.name: choice.options[-1] for choice in space.choices})
    assert [stage.block.channels for stage in network.stages] == [16, 32, 48, 104, 144, 240, 400]
    assert space.contains(network)


def test_a_space_is_data_and_can_be_changed():
    space = find_space("ofa-mobilenetv3-1.0")
    sizes = Choice(name="resolution", paths=("resolution",), options=(128, 160))
    smaller = replace(space, choices=(sizes, *space.choices[1:]))
    assert smaller.size == 2 * UNIT**5
    first = space.template.stages[0].block
    assert isinstance(first, MBConv)
    assert {choice.name for choice in space.choices if choice.name.startswith("stage 0")} == set()
