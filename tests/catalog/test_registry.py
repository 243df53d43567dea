"""Looking networks up: names, families, files and values; what an entry says; whose weights fit."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.arch import Head, MBConv, Network, Stage, apply_multipliers, save, weight_signature
from allometry.base import NetworkError, UnknownNameError
from allometry.catalog import (
    as_network,
    choose,
    entries,
    entry_of,
    families,
    get,
    has_own_resolution,
    names,
    names_module,
    recognize,
    spaces,
)
from allometry.catalog.rows import mbconv_stages

FAMILIES = {
    "efficientnet": 10,
    "efficientnet-formula": 8,
    "efficientnet-lite": 5,
    "efficientnetv2": 8,
    "mobilenet": 8,
    "mnasnet": 7,
    "proxylessnas": 4,
    "fbnet": 3,
    "once-for-all": 50,
    "resnet": 7,
    "regnet": 24,
    "densenet": 4,
    "inception": 3,
    "xception": 1,
    "senet": 4,
    "nasnet": 2,
    "pnasnet": 1,
    "amoebanet": 4,
    "scaled": 15,
}
# Millions of parameters, billions of MACs, top-1. Source: EfficientNet, arXiv:1905.11946v5, Table 2.
TABLE_2 = {
    "efficientnet-b0": (5.3, 0.39, 77.1),
    "resnet-50": (26, 4.1, 76.0),
    "densenet-169": (14, 3.5, 76.2),
    "efficientnet-b1": (7.8, 0.70, 79.1),
    "resnet-152": (60, 11, 77.8),
    "densenet-264": (34, 6.0, 77.9),
    "inception-v3": (24, 5.7, 78.8),
    "xception": (23, 8.4, 79.0),
    "efficientnet-b2": (9.2, 1.0, 80.1),
    "inception-v4": (48, 13, 80.0),
    "inception-resnet-v2": (56, 13, 80.1),
    "efficientnet-b3": (12, 1.8, 81.6),
    "resnext-101-64x4d": (84, 32, 80.9),
    "efficientnet-b4": (19, 4.2, 82.9),
    "senet-154": (146, 42, 82.7),
    "nasnet-a-large": (89, 24, 82.7),
    "efficientnet-b5": (30, 9.9, 83.6),
    "amoebanet-c-6-228": (155, 41, 83.5),
    "efficientnet-b6": (43, 19, 84.0),
    "efficientnet-b7": (66, 37, 84.3),
}
# Source: EfficientNetV2, arXiv:2104.00298, Table 7.
TABLE_7 = {
    "efficientnetv2-s": (22, 8.8, 83.9),
    "efficientnetv2-m": (54, 24, 85.1),
    "efficientnetv2-l": (120, 53, 85.7),
    "efficientnetv2-xl": (208, 94, 87.3),
}
# Source: RegNet, arXiv:2003.13678, Tables 3 and 4: parameters in millions, top-1 error.
REGNETS = {
    "regnetx-200mf": (2.7, 31.1),
    "regnetx-800mf": (7.3, 24.8),
    "regnetx-3.2gf": (15.3, 21.7),
    "regnetx-32gf": (107.8, 19.5),
    "regnety-400mf": (4.3, 25.9),
    "regnety-1.6gf": (11.2, 22.0),
    "regnety-8.0gf": (39.2, 20.1),
    "regnety-32gf": (145.0, 19.0),
}


def test_the_catalog_has_so_many_networks_of_each_family():
    found = {family: len(choose(family=family)) for family in families()}
    assert found == FAMILIES
    assert sum(found.values()) == len(entries()) == len(names())


@pytest.mark.parametrize("name", [*TABLE_2, *TABLE_7])
def test_the_printed_figures_are_those_of_the_tables(name):
    published = entry_of(name).published
    assert (published.params, published.macs, published.top1) == {**TABLE_2, **TABLE_7}[name]
    assert ("1905.11946" if name in TABLE_2 else "2104.00298") in published.source


@pytest.mark.parametrize("name", REGNETS)
def test_the_printed_errors_of_regnets_are_accuracies_here(name):
    params, error = REGNETS[name]
    published = entry_of(name).published
    assert published.params == params
    assert published.top1 == pytest.approx(100 - error)


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_an_entry_says_in_a_line_what_the_network_is_and_where_its_figures_come_from(entry):
    assert entry.about
    assert "\n" not in entry.about
    assert not entry.about.endswith(".")
    assert entry.name == entry.name.lower()
    if entry.published:
        assert entry.published.source
        assert 50 < entry.published.top1 < 90
    if entry.growth:
        assert entry.growth.baseline in names()
    assert entry.make() == entry.make()


@given(st.sampled_from(names()), st.sampled_from([str.upper, str.title, lambda text: text.replace("-", "_")]))
def test_names_may_be_written_otherwise(name, spelling):
    assert entry_of(f" {spelling(name)} ").name == name


def test_choosing_is_by_a_part_of_the_name_and_by_family():
    assert [entry.name for entry in choose("V2-B0")] == ["efficientnetv2-b0"]
    assert {entry.family for entry in choose("b0")} >= {"efficientnet", "efficientnetv2", "scaled"}
    assert choose() == entries()
    assert [entry.name for entry in choose("50", family="resnet")] == ["resnet-50", "resnext-50-32x4d"]
    with pytest.raises(UnknownNameError, match=r"No family is named 'resnets'\. Did you mean 'resnet'"):
        choose(family="resnets")
    with pytest.raises(UnknownNameError, match="`allometry zoo` lists them all"):
        choose("b9", family="resnet")


def test_a_network_is_taken_as_a_value_a_name_or_a_file(tmp_path):
    network = get("mobilenetv2")
    assert as_network(network) is network
    assert as_network("MobileNetV2") == network
    path = tmp_path / "mine.json"
    save(network, path)
    assert as_network(path) == as_network(str(path)) == network
    bare = path.rename(tmp_path / "mine")
    assert as_network(bare) == network
    for value, error, says in (
        (tmp_path / "none.json", NetworkError, "No such file"),
        ("mobilenetv9", UnknownNameError, "mobilenetv2"),
        (3, NetworkError, "not a int|not an int"),
        (None, NetworkError, "NoneType"),
        ([network], NetworkError, "list"),
    ):
        with pytest.raises(error, match=says):
            as_network(value)


def test_modules_of_others_are_told_apart_from_names_and_files(tmp_path, monkeypatch):
    assert names_module("timm:resnet50")
    assert names_module("my.package:make")
    for other in ("efficientnet-b0", "timm:", ":x", "1a:b", "mine.json"):
        assert not names_module(other), other
    monkeypatch.chdir(tmp_path)
    Path("a:b").write_text("")
    assert not names_module("a:b")


@given(st.sampled_from(["efficientnet-b0", "resnet-18", "mobilenetv3-small"]), st.integers(32, 320))
def test_weights_fit_at_every_resolution_and_for_every_number_of_classes(name, resolution):
    network = get(name)
    other = replace(
        network, resolution=resolution, head=replace(network.head, classes=resolution), name="mine"
    )
    assert recognize(other).name == name
    assert has_own_resolution(other) == (resolution != network.resolution)
    assert weight_signature(other) == weight_signature(network)


def test_nobodys_weights_fit_a_network_of_ones_own():
    mine = apply_multipliers(get("efficientnet-b0"), width=3, depth=2)
    assert recognize(mine) is None
    assert has_own_resolution(mine)
    strided = get("resnet-18")
    first = replace(strided.stages[0], block=replace(strided.stages[0].block, stride=2))
    assert recognize(replace(strided, stages=(first, *strided.stages[1:]))) is None


def test_every_network_is_recognized_as_itself_or_as_one_with_the_same_layers():
    for entry in entries():
        found = recognize(entry.make())
        assert weight_signature(found.make()) == weight_signature(entry.make())


def test_released_subnets_are_of_the_kinds_that_were_searched():
    """Source: Once-for-All, arXiv:1908.09791, section 4.1: depth 2 to 4, expand ratio 3, 4, 6, kernel 3, 5, 7."""
    for entry in choose(family="once-for-all"):
        network = entry.make()
        first, *groups = network.groups
        assert sum(stage.repeats for stage in first) == 1
        assert first[0].block.expand_ratio == 1
        searched = groups[:5]
        assert all(2 <= sum(stage.repeats for stage in group) <= 4 for group in searched), entry.name
        kinds = {(s.block.kernel, s.block.expand_ratio) for group in groups for s in group}
        assert kinds <= {(kernel, expand) for kernel in (3, 5, 7) for expand in (3, 4, 6)}, entry.name
        strides = [group[0].block.stride for group in groups[:5]]
        assert strides == [2, 2, 2, 1, 2]
        assert network.resolution % 4 == 0
        assert all(stage.block.expand_multiple == 8 for stage in network.stages)


def test_spaces_say_where_they_come_from():
    for entry in spaces():
        assert entry.about
        assert "arXiv" in entry.source
        assert entry.make().name == entry.name


@pytest.mark.parametrize(
    ("text", "kernels", "ratios", "repeats"),
    [
        ("k3e1", [3], [1], [1]),
        ("k5e6 k5e6 k3e3", [5, 5, 3], [6, 6, 3], [1, 1, 1]),
        ("k3e3 k3e3 k3e3", [3], [3], [3]),
        ("k7e6 k3e3 k3e3", [7, 3], [6, 3], [1, 2]),
    ],
)
def test_rows_of_blocks_are_written_in_words(text, kernels, ratios, repeats):
    stages = mbconv_stages(16, 1, text, activation="relu")
    assert sum(stage.repeats for stage in stages) == len(text.split())
    blocks = [stage.block for stage in stages for _ in range(stage.repeats)]
    assert [f"k{block.kernel}e{block.expand_ratio:g}" for block in blocks] == text.split()
    assert {stage.block.activation for stage in stages} == {"relu"}
    assert [stage.continues for stage in stages] == [False] + [True] * (len(stages) - 1)
    assert set(kernels) == {block.kernel for block in blocks}
    assert set(ratios) == {block.expand_ratio for block in blocks}
    assert sum(repeats) == len(blocks)


def test_only_the_first_block_of_a_row_has_its_stride_and_groups_are_its_own():
    stages = mbconv_stages(16, 2, "k3e6g2 k3e6g2 k5e3")
    assert [(stage.block.stride, stage.block.groups, stage.repeats) for stage in stages] == [
        (2, 2, 2),
        (1, 1, 1),
    ]
    assert mbconv_stages(16, 2, "") == ()
    for wrong in ("k3", "e3k3", "k3e6 k4x", "k3e6g"):
        with pytest.raises(NetworkError, match="is not a block such as k5e6 or k3e1g2"):
            mbconv_stages(16, 1, wrong)


def test_a_network_without_a_name_is_not_mistaken():
    network = Network(stages=(Stage(block=MBConv(channels=8)),), head=Head(classes=3))
    assert recognize(network) is None
