import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from allometry.arch import MBConv, Network, apply_multipliers, from_json, save, to_json
from allometry.base import NetworkError, UnknownNameError
from allometry.catalog import as_network, entries, entry_of, families, get, names
from allometry.catalog.entry import Entry
from allometry.cost import count

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "zoo.json").read_text())["networks"]
every_entry = pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)


def test_the_golden_file_covers_the_zoo():
    assert set(GOLDEN) == set(names())


@every_entry
def test_counts_equal_the_golden_file(entry: Entry):
    network, golden = entry.make(), GOLDEN[entry.name]
    cost = count(network)
    ours = (network.resolution, cost.params, cost.macs, cost.activations)
    assert ours == tuple(golden[field] for field in ("resolution", "params", "macs", "activations"))
    assert network.name == entry.name
    for resolution, macs in [golden["macs_elsewhere"]] if "macs_elsewhere" in golden else []:
        assert count(replace(network, resolution=resolution)).macs == macs


@every_entry
def test_networks_survive_json(entry: Entry):
    network = entry.make()
    assert from_json(to_json(network)) == network


@every_entry
def test_published_figures_are_met_or_the_entry_says_why_not(entry: Entry):
    if entry.published is None:
        return
    cost = count(entry.make())
    for printed, ours in (
        (entry.published.params, cost.params / 1e6),
        (entry.published.macs, cost.macs / 1e9),
    ):
        if printed is not None and not rounds_to(ours, printed):
            assert entry.published.note, (
                f"{entry.name}: {printed} is printed, {ours} counted, and no note says why"
            )


def rounds_to(ours: float, printed: float) -> bool:
    """Whether the printed figure is ours to its last digit; half a digit more for those who cut it off."""
    digits = len(f"{printed}".partition(".")[2]) if printed != int(printed) else 0
    return abs(ours - printed) <= 10**-digits


@pytest.mark.parametrize("name", [name for name in GOLDEN if "stages" in GOLDEN[name]])
def test_stages_equal_the_independent_tables(name):
    network, golden = get(name), GOLDEN[name]
    sizes = {placed.stage: placed.out.size for placed in network.blocks()}
    blocks = [stage.block for stage in network.stages]
    assert all(isinstance(block, MBConv) for block in blocks)
    ours = [
        [s.block.kernel, s.block.stride, s.block.expand_ratio, s.block.channels, s.repeats, sizes[index]]
        for index, s in enumerate(network.stages)
    ]
    assert ours == golden["stages"]
    assert network.depth == golden["blocks"]
    assert (network.stem.channels, network.head.channels) == (golden["stem"], golden["head"])
    assert network.head.dropout == golden["dropout"]


def test_names_are_forgiving_and_mistakes_get_the_nearest():
    assert get("EfficientNet_B3") == get("efficientnet-b3")
    with pytest.raises(UnknownNameError, match="efficientnet-b3"):
        get("eficientnet-b3")
    with pytest.raises(UnknownNameError, match="allometry zoo"):
        get("zzz")


def test_a_network_is_itself_a_name_or_a_file(tmp_path):
    path = tmp_path / "mine.json"
    network = get("efficientnet-b1")
    save(network, path)
    assert as_network(network) is network
    assert as_network("efficientnet-b1") == as_network(str(path)) == as_network(path) == network
    with pytest.raises(NetworkError, match="expected, not a int"):
        as_network(3)


def test_names_are_unique_and_families_together():
    assert len(names()) == len(set(names()))
    listed = [entry.family for entry in entries()]
    assert [family for place, family in enumerate(listed) if listed.index(family) == place] == list(
        families()
    )
    changes = sum(before != after for before, after in itertools.pairwise(listed))
    assert changes == len(families()) - 1


@every_entry
def test_growth_is_what_made_the_network(entry: Entry):
    if entry.growth is None:
        return
    min_fraction = 0 if entry.family == "efficientnetv2" else 0.9
    baseline: Network = get(entry.growth.baseline)
    grown = apply_multipliers(
        baseline, depth=entry.growth.depth, width=entry.growth.width, min_fraction=min_fraction
    )
    assert grown.stages == entry.make().stages
    if entry.growth.resolution is not None:
        assert entry.make().resolution == round(baseline.resolution * entry.growth.resolution)
    assert entry_of(entry.name) == entry
