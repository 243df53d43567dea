import json
from pathlib import Path

import pytest

from allometry.arch import from_json, multiply, save, to_json
from allometry.base import UnknownNameError
from allometry.cost import count
from allometry.zoo import entries, entry_of, find, get, names

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "zoo.json").read_text())["networks"]
PARAMS = [5288548, 7794184, 9109994, 12233232, 19341616, 30389784, 43040704, 66347960]
RELEASED = [f"efficientnet-b{number}" for number in range(8)]


def test_the_golden_file_covers_the_zoo():
    assert set(GOLDEN) == set(names())


@pytest.mark.parametrize("name", names())
def test_counts_equal_the_golden_file(name):
    network, golden = get(name), GOLDEN[name]
    cost = count(network)
    assert (cost.params, cost.macs, cost.activations) == (
        golden["params"],
        golden["macs"],
        golden["activations"],
    )
    assert network.resolution == golden["resolution"]
    assert network.name == name
    assert from_json(to_json(network)) == network


@pytest.mark.parametrize(
    ("name", "params"),
    list(zip(RELEASED, PARAMS, strict=True)),
)
def test_params_of_the_released_family(name, params):
    assert count(get(name)).params == params


@pytest.mark.parametrize("name", RELEASED)
def test_stages_equal_the_independent_tables(name):
    network, golden = get(name), GOLDEN[name]
    sizes = {placed.stage: placed.out.size for placed in network.blocks()}
    ours = [
        [s.block.kernel, s.block.stride, s.block.expand_ratio, s.block.channels, s.repeats, sizes[index]]
        for index, s in enumerate(network.stages)
    ]
    assert ours == golden["stages"]
    assert network.depth == golden["blocks"]
    assert (network.stem.channels, network.head.channels) == (golden["stem"], golden["head"])
    assert network.head.dropout == golden["dropout"]


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_published_figures_are_met_within_their_rounding(entry):
    if entry.published is None:
        return
    cost = count(entry.make())
    assert cost.params / 1e6 == pytest.approx(entry.published.params, rel=0.02)
    # The paper's MACs of B4 and B5 are about 4 % under the count of the released definitions.
    assert cost.macs / 1e9 == pytest.approx(entry.published.macs, rel=0.05)
    golden = GOLDEN[entry.name]["published"]
    assert (entry.published.params, entry.published.macs, entry.published.top1) == (
        golden["params_M"],
        golden["macs_B"],
        golden["top1"],
    )


def test_names_are_forgiving_and_mistakes_get_the_nearest():
    assert get("EfficientNet_B3") == get("efficientnet-b3")
    with pytest.raises(UnknownNameError, match="efficientnet-b3"):
        get("eficientnet-b3")
    with pytest.raises(UnknownNameError, match="Possible: efficientnet-b0"):
        get("zzz")


def test_find_takes_names_and_files(tmp_path):
    path = tmp_path / "mine.json"
    save(get("efficientnet-b1"), path)
    assert find(str(path)) == find("efficientnet-b1")


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_growth_is_what_made_the_network(entry):
    grown = multiply(get("efficientnet-b0"), depth=entry.growth.depth, width=entry.growth.width)
    assert grown.stages == entry.make().stages
    assert entry_of(entry.name).about == entry.about
