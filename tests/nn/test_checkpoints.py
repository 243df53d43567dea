"""Weights in the checkpoints that others' trainings write: wrapped, prefixed, averaged, without a head."""

import argparse
import pathlib
from collections import OrderedDict

import pytest
import torch
from torch import nn

from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.base import WeightsError
from allometry.nn import build, load_pretrained, save_weights
from allometry.nn.pretrained.layouts import LAYOUTS
from allometry.nn.pretrained.matching import names_in
from allometry.training.pretrained import open_pretrained

NETWORK = Network(
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=8, expand_ratio=2)),),
    head=Head(channels=16, classes=3),
    resolution=16,
)
PREFIXES = [
    "_orig_mod.",
    "model.",
    "net.",
    "backbone.",
    "module.",
    "module._orig_mod.model.",
    "model.model.",
    "_orig_mod.module.backbone.",
]


@pytest.fixture(scope="module")
def state():
    return build(NETWORK, seed=1).state_dict()


def same(loaded, state, factor=1.0):
    own = loaded.module.state_dict()
    return all(
        torch.equal(own[name], state[name]) for name in state if name != "stem.0.weight"
    ) and torch.equal(own["stem.0.weight"], state["stem.0.weight"] * factor)


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_stands_before_all_names_is_no_part_of_them(state, tmp_path, prefix, suffix):
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(prefixed(state, prefix), path)
    else:
        save_weights(path, prefixed(state, prefix))
    loaded = load_pretrained(NETWORK, path)
    assert same(loaded, state)
    assert loaded.changes == ()


def checkpoints(state):
    other = {name: tensor * 2 if name == "stem.0.weight" else tensor for name, tensor in state.items()}
    arguments = argparse.Namespace(lr=0.1, model="x", tags=["a"], nested=argparse.Namespace(deep=1))
    averaged = {"n_averaged": torch.tensor(7), **prefixed(other, "module.")}
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1, momentum=0.9).state_dict()
    timm = {
        "epoch": 3,
        "arch": "x",
        "state_dict": state,
        "optimizer": optimizer,
        "version": 2,
        "args": arguments,
    }
    lightning = {
        "state_dict": OrderedDict({**prefixed(state, "model."), "criterion.weight": torch.ones(3)}),
        "hyper_parameters": {"lr": 0.1},
        "pytorch-lightning_version": "2.5",
        "callbacks": {"ModelCheckpoint{}": {"best_model_score": torch.tensor(0.5)}},
    }
    vision = {"model": state, "optimizer": optimizer, "args": arguments}
    return {
        "timm": (timm, 1, ""),
        "timm with averages": (
            {**timm, "state_dict_ema": other, "metric": 0.5},
            2,
            "averaged weights (state_dict_ema)",
        ),
        "timm without averages": ({**timm, "state_dict_ema": None}, 1, ""),
        "torchvision": (vision, 1, ""),
        "torchvision with averages": ({**vision, "model_ema": averaged}, 2, "averaged weights (model_ema)"),
        "AveragedModel": (averaged, 2, ""),
        "Lightning": (lightning, 1, "Left out of the file: criterion.weight"),
        "net": ({"net": prefixed(state, "module."), "acc": 90.0, "epoch": 3}, 1, ""),
        "two deep": ({"state": 1, "model": {"state_dict": state}}, 1, ""),
        "model_state_dict": ({"model_state_dict": state, "loss": 0.1}, 1, ""),
    }


@pytest.mark.parametrize("name", checkpoints({}))
def test_checkpoints_of_others_trainings_are_read(state, tmp_path, name):
    held, factor, note = checkpoints(state)[name]
    torch.save(held, tmp_path / "w.pth")
    loaded = load_pretrained(NETWORK, tmp_path / "w.pth")
    assert same(loaded, state, factor)
    assert note in " ".join(loaded.changes)
    assert bool(loaded.changes) == bool(note)


class Runs:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("never"),)


@pytest.mark.parametrize("value", [Runs(), pathlib.PurePosixPath("a"), nn.Linear(1, 1)])
def test_arguments_may_hold_values_and_nothing_that_runs(state, tmp_path, value):
    torch.save({"model": state, "args": argparse.Namespace(value=value)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds more than tensors"):
        load_pretrained(NETWORK, tmp_path / "w.pth")


@pytest.mark.parametrize("layers", [("classifier.",), ("classifier.", "head.")])
def test_a_file_without_a_head_is_taken_for_a_training(state, tmp_path, layers):
    path = tmp_path / "w.safetensors"
    save_weights(path, {name: tensor for name, tensor in state.items() if not name.startswith(layers)})
    loaded = load_pretrained(NETWORK, path, classes=5)
    assert loaded.changes == ("The head is new, since the file has none: 5 classes.",)
    assert loaded.network.head.classes == len(loaded.module.classifier.bias) == 5
    assert torch.equal(loaded.module.stem[0].weight, state["stem.0.weight"])
    assert load_pretrained(NETWORK, path, classes=3).changes
    with pytest.raises(WeightsError, match="has no head, but a backbone alone"):
        load_pretrained(NETWORK, path)


def test_a_part_of_a_head_is_damage(state, tmp_path):
    for part in ("classifier.bias", "head.0.weight"):
        torch.save({name: tensor for name, tensor in state.items() if name != part}, tmp_path / "w.pth")
        with pytest.raises(WeightsError, match=f"1 tensors are missing \\({part}"):
            load_pretrained(NETWORK, tmp_path / "w.pth", classes=3)


def test_prefixes_of_a_layout_of_others(state, tmp_path):
    layout = next(layout for layout in LAYOUTS if layout.name == "timm")
    names = names_in(layout, NETWORK, state)
    torch.save({f"module.model.{theirs}": state[ours] for ours, theirs in names.items()}, tmp_path / "w.pth")
    loaded = load_pretrained(NETWORK, tmp_path / "w.pth")
    assert loaded.layout == "timm"
    assert torch.equal(loaded.module.stem[0].weight, state["stem.0.weight"])


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x):
        return self.model(x)


def test_a_module_of_ones_own_keeps_a_name_that_looks_like_a_prefix(tmp_path):
    own = Wrapped().state_dict()
    for prefix in ("", "module.", "_orig_mod."):
        torch.save(prefixed(own, prefix), tmp_path / "w.pth")
        opened = open_pretrained("tests.nn.test_checkpoints:Wrapped", str(tmp_path / "w.pth"))
        assert torch.equal(opened.module.model[0].weight, own["model.0.weight"])
