"""Torch modules that others made: a user's factory, and timm's."""

import sys
import types

import pytest
import torch
from torch import nn

from allometry.base import InputError, MissingExtraError, UnknownNameError
from allometry.catalog import get, names_module
from allometry.cost import count
from allometry.nn import build, count_module, open_module, timm_config, watch_module


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.classifier = nn.Linear(8, 5)

    def forward(self, x):
        return self.classifier(self.body(x).mean((2, 3)))


class GivesDict(nn.Module):
    def forward(self, x):
        return {"image": x}


def fails():
    raise RuntimeError("no disk")


@pytest.fixture
def mine(monkeypatch, tmp_path):
    module = types.ModuleType("mynets")
    module.make, module.text, module.needs = Tiny, lambda: "no module", nn.Linear
    module.number, module.fails = 5, fails
    monkeypatch.setitem(sys.modules, "mynets", module)
    (tmp_path / "broken_nets.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    return module


@pytest.mark.parametrize(
    "name", ["efficientnet-b0", "efficientnetv2-b0", "mobilenetv3-small", "regnety-200mf"]
)
def test_watching_a_module_counts_what_the_data_counts(name):
    network = get(name)
    cost = count(network)
    watched = count_module(build(network), resolution=network.resolution)
    assert watched == (cost.params, cost.macs, cost.activations)


def test_a_backbone_is_counted_by_watching_too():
    network = get("mobilenetv3-small")
    report = watch_module(build(network, features_only=True))
    cost = count(network, features_only=True)
    assert report.cost == (cost.params, cost.macs, cost.activations)
    assert report.outputs is None
    with pytest.raises(InputError, match="The module gives a dict for an image"):
        watch_module(GivesDict(), resolution=8)


def test_parts_sum_to_the_whole_and_the_module_stays_as_it_was():
    module = Tiny().train()
    module.body.eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    cost, parts, outputs = watch_module(module, resolution=32)
    assert outputs == 5
    assert cost == (3 * 8 * 9 + 8 + 16 + 45, 3 * 8 * 9 * 16 * 16 + 40, 8 * 16 * 16)
    assert (sum(part.params for part in parts), sum(part.macs for part in parts)) == cost[:2]
    assert module.training
    assert not module.body.training
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_a_factory_by_name(mine):
    assert isinstance(open_module("mynets:make"), Tiny)
    assert names_module("mynets:make")
    for text, message in (
        ("mynets", "is named as package.module:factory, not 'mynets'"),
        ("mynets:mak", "No factory of mynets is named 'mak'. Did you mean 'make'"),
        ("mynets:number", "No factory of mynets is named 'number'"),
        ("mynets:fails", "mynets:fails gives no module: it raises RuntimeError: no disk"),
        ("broken_nets:make", "Cannot import broken_nets: its code raises ZeroDivisionError"),
        ("", "is named as package.module:factory"),
        ("no_such_package.nets:make", "Cannot import no_such_package"),
        ("mynets:text", "gives a str, not a torch module"),
        ("mynets:needs", "cannot be called without arguments"),
    ):
        with pytest.raises(InputError, match=message):
            open_module(text)


def test_a_module_that_does_not_take_the_input_is_told_in_one_sentence():
    with pytest.raises(InputError, match="does not run on one image of 1 x 32 x 32"):
        count_module(Tiny(), resolution=32, in_channels=1)


def test_timm_by_name(monkeypatch):
    made = Tiny()
    made.pretrained_cfg = {"input_size": (3, 288, 288)}

    def create_model(name, pretrained):
        assert not pretrained
        if name != "tiny":
            raise RuntimeError("Unknown model")
        return made

    fake = types.ModuleType("timm")
    fake.create_model, fake.list_models = create_model, lambda: ["tiny", "tinier"]
    monkeypatch.setitem(sys.modules, "timm", fake)
    assert open_module("timm:tiny") is made
    assert timm_config(made) == {"resolution": 288}
    with pytest.raises(UnknownNameError, match="'tiny'"):
        open_module("timm:tinny")


def test_without_timm_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"allometry\[timm\]"):
        open_module("timm:resnet50")


def test_the_real_timm_where_it_can_be_imported():
    pytest.importorskip("timm", reason="timm needs torchvision, which this torch has no build for")
    cost = count_module(open_module("timm:efficientnet_b0"))
    assert cost[:2] == (5288548, 385814752)
