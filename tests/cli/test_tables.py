import json

import pytest

from allometry.arch import Head, MBConv, Network, Stage, Stem, save_space
from allometry.catalog import mbconv_space

TINY = Network(
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=8, expand_ratio=3), repeats=2),),
    head=Head(channels=16, classes=3),
    resolution=16,
)


@pytest.mark.slow
def test_build_and_check_a_table_of_a_space_of_ones_own(call, tmp_path):
    space, table = tmp_path / "space.json", tmp_path / "cpu.json"
    save_space(mbconv_space(TINY, kernels=(3, 5), expand_ratios=(2, 3), depths=(1, 2), name="mine"), space)
    asked = ("table", "build", table, "--space", space, "--runtime", "torch", "--networks", 2)
    built = call(*asked, "--json")
    assert built.status == 0, built.err
    assert built.json["lines"] == len(json.loads(table.read_text())["lines"])
    checked = call("table", "check", table, "--space", space, "--networks", 2, "--json")
    assert checked.status == 0, checked.err
    assert len(checked.json["measured"]) == 2
    text = call(*asked)
    assert "fitted to 2 networks" in text.out


def test_mistakes_are_told(call, tmp_path):
    assert "Possible: efficientnetv2" in call("table", "build", tmp_path / "t.json", "--space", "nope").err
    missing = call("table", "check", tmp_path / "t.json")
    assert missing.status == 2
    assert "There is no latency table" in missing.err
    alone = call("table")
    assert alone.status == 0
    assert "build" in alone.out
