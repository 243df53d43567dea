import json
import sys
import types

import pytest
import torch

from allometry.arch import load
from allometry.catalog import get, names
from allometry.cost import count


def test_scale_prints_the_contracts_fields(call):
    result = call("scale", "efficientnet-b0", "--phi", 3, "--json")
    assert result.status == 0
    assert result.err == ""
    assert result.json.keys() >= {
        "name",
        "resolution",
        "params",
        "macs",
        "activations",
        "depth",
        "width",
        "phi",
    }
    expected = get("efficientnet-b3-formula")
    assert (result.json["params"], result.json["macs"]) == (count(expected).params, count(expected).macs)
    assert result.json["depth"] == pytest.approx(1.2**3)
    assert result.json["phi"] == 3


def test_info_prints_the_stages_too(call):
    result = call("info", "efficientnet-b0", "--json")
    assert result.json["params"] == 5288548
    assert len(result.json["stages"]) == 9
    assert sum(stage["macs"] for stage in result.json["stages"]) == result.json["macs"]
    assert (result.json["depth"], result.json["width"], result.json["phi"]) == (1, 1, 0)
    assert call("info", "efficientnet-b4", "--json").json["depth"] == 1.8
    assert call("info", "efficientnet-b4-formula", "--json").json["phi"] == 4
    text = call("info", "efficientnet-b0").out
    assert "MBConv6 5x5 /2, SE" in text
    assert "385,814,752" in text


def test_scale_by_budget_law_and_hand_and_save(call, tmp_path):
    path = tmp_path / "grown.json"
    result = call(
        "scale",
        "efficientnet-b0",
        "--budget",
        "macs<=1G,params<=10M",
        "--law",
        "fast",
        "--save",
        path,
        "--json",
    )
    network = load(path)
    assert result.json["macs"] == count(network).macs <= 10**9
    assert count(network).params <= 10**7
    info = call("info", path, "--json").json
    assert (info["macs"], info["phi"]) == (count(network).macs, None)
    by_hand = call(
        "scale", "efficientnet-b0", "--depth", 1.4, "--width", 1.2, "--resolution", 300 / 224, "--json"
    )
    assert by_hand.json["params"] == count(get("efficientnet-b3")).params
    assert by_hand.json["phi"] is None
    four = call("scale", path, "--budget", "4x", "--json").json["macs"]
    assert 3.9 < four / count(network).macs <= 4


def test_scale_counts_a_backbone_without_its_head(call, tmp_path):
    command = ("scale", "resnet-18", "--budget", "500M", "--features-only")
    made = call(*command, "--save", tmp_path / "backbone.json", "--json").json
    cost = count(load(tmp_path / "backbone.json"), features_only=True)
    assert made["macs"] == cost.macs <= 500_000_000
    table = call(*command).out
    assert "stage 4" in table
    assert "head" not in table
    assert f"{cost.params:,}" in table


def test_scale_shrinks_with_a_negative_phi(call):
    assert call("scale", "efficientnet-b0", "--phi", "-2.5", "--json").json["macs"] < 385814752 / 3


def test_zoo_by_family_budget_and_text(call):
    rows = call("zoo", "v3", "--family", "mobilenet", "--within", "macs<=100M", "--json").json["networks"]
    assert [row["name"] for row in rows] == ["mobilenetv3-small"]
    assert rows[0]["note"].startswith("a later version has 2.5M")
    assert rows[0]["published_params"] == 2.9
    for arguments, words in (
        (("zoo", "--family", "mobilnet"), "mobilenet"),
        (("zoo", "mobilenetv9"), "mobilenetv2"),
        (("zoo", "--within", "macs<=1k"), "raise the budget"),
        (("zoo", "--within", "speed<=1"), "speed"),
    ):
        result = call(*arguments)
        assert result.status == 2
        assert words in result.err
        assert result.err.count("\n") == 1


def test_info_takes_another_size_and_torch_modules(call, monkeypatch):
    assert call("info", "mobilenetv2", "--resolution", 448, "--json").json["macs"] == 1199257088
    module = types.ModuleType("mynets")
    module.make = lambda: torch.nn.Conv2d(3, 8, 3)
    monkeypatch.setitem(sys.modules, "mynets", module)
    result = call("info", "mynets:make", "--resolution", 10, "--json")
    assert result.json["params"] == 8 * 28
    assert result.json["macs"] == 8 * 27 * 64
    assert "10,645,344" in call("info", "mynets:make").out
    assert "No factory of mynets is named 'other'" in call("info", "mynets:other").err


def test_zoo_lists_every_network(call):
    rows = call("zoo", "--json").json["networks"]
    assert [row["name"] for row in rows] == list(names())
    text = call("zoo").out
    assert all(name in text for name in names())
    assert "77.1 %" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["info", "efficientnet-b9"], "No network is named 'efficientnet-b9'. Did you mean 'efficientnet-b"),
        (["info", "missing.json"], "Cannot read the network file missing.json"),
        (["scale", "efficientnet-b0"], "Give one of phi, budget, or multipliers"),
        (["scale", "efficientnet-b0", "--phi", "1", "--budget", "4x"], "Give one of"),
        (["scale", "efficientnet-b0", "--phi", "three"], "phi"),
        (["scale", "efficientnet-b0", "--budget", "1k"], "the smallest has macs"),
        (["scale", "efficientnet-b0", "--budget", "latency<=20"], "needs a unit: s, ms or us"),
        (["scale", "efficientnet-b0", "--budget", "accuracy<=1"], "possible: params, macs, activations, mem"),
        (["scale", "efficientnet-b0", "--budget", "1G", "--runtime", "torch"], "leave the runtime out"),
        (
            ["scale", "efficientnet-b0", "--phi", "1", "--runtime", "torch"],
            "give a budget, such as",
        ),
        (["scale", "efficientnet-b0", "--budget", "latency<=1ms", "--runtime", "tensorrt"], "'tensorrt'"),
        (["scale", "efficientnet-b0", "--phi", "1", "--threads", "2"], "give a budget, such as"),
        (
            ["scale", "efficientnet-b0", "--budget", "1G", "--threads", "2"],
            "threads and precision mean nothing",
        ),
        (["zoo", "--within", "latency<=20ms"], "not counted but measured on a device"),
        (["run", "--budget", "1M", "--runtime", "torch", "--out", "{tmp}"], "leave the runtime out"),
        (["scale", "efficientnet-b0", "--phi", "1", "--law", "compond"], "Did you mean 'compound'"),
        (["scale", "efficientnet-b0", "--width", "-1"], "must be a positive number"),
        (["scale", "efficientnet-b0", "--width", "2", "--law", "fast"], "and so do depth, width"),
        (["scal"], "Did you mean 'scale'"),
        (["info"], "Missing argument"),
        (["info", "efficientnet-b0", "--jsn"], "--jsn"),
        (["run", "--set", "epoch=1", "--data", "icons", "--out", "{tmp}"], "'epochs'"),
        (["run", "--data", "no-such-folder", "--out", "{tmp}"], "no-such-folder"),
        (["run", "--budget", "1k", "--out", "{tmp}"], "the smallest has macs"),
        pytest.param(
            ["run", "--budget", "memory<=1TB", "--out", "{tmp}"],
            "even two images at a time",
            marks=pytest.mark.slow,  # a network of a terabyte is solved for
        ),
        (["run", "--baseline", "b0", "--out", "{tmp}"], "No network is named 'b0'"),
        (["train", "efficientnet-b0", "--recipe", "smal", "--out", "{tmp}"], "Did you mean 'small'"),
        (["train", "efficientnet-b0", "--device", "tpu", "--out", "{tmp}"], "device"),
        (["evaluate", "{tmp}"], "is no run folder"),
        (["predict", "{tmp}", "x.png"], "is no run folder"),
        (["report", "{tmp}"], "no run folder"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_status_two(call, tmp_path, arguments, says):
    result = call(*(argument.replace("{tmp}", str(tmp_path / "run")) for argument in arguments))
    assert result.status == 2
    assert says in result.err.replace("\n", " ")
    assert result.err.splitlines()[-1].startswith("allometry: ")
    assert "Traceback" not in result.err
    assert result.out == ""


def test_debug_shows_where_an_error_came_from(call):
    with pytest.raises(KeyError, match="efficientnet-b9"):
        call("info", "efficientnet-b9", "--debug")


def test_version_and_bare_call(call):
    assert call("--version").out.startswith("allometry 0.")
    assert call().out == call("--help").out


def test_json_is_one_object_without_anything_else(call):
    for arguments in (["zoo"], ["info", "efficientnet-b1"], ["scale", "efficientnet-b1", "--phi", "1"]):
        json.loads(call(*arguments, "--json").out)


def test_lite_gives_the_form_for_integer_hardware(call, tmp_path):
    plain = call("scale", "efficientnet-b0", "--lite", "--json").json
    assert plain["params"] == 4652008
    grown = call(
        "scale", "efficientnet-b0", "--lite", "--budget", "100M", "--save", tmp_path / "n.json", "--json"
    )
    assert grown.json["macs"] <= 10**8
    assert call("info", tmp_path / "n.json", "--json").json["params"] == grown.json["params"]
