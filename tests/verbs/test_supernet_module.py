"""`supernet` of a torch module: trained, searched, taken out, made again without a supernet; and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import allometry as al
from allometry.base import BudgetError, InputError, RunFolderError, Stopped, WeightsError
from allometry.base.files import read_lines
from allometry.cli.app import app
from allometry.nas.module_costs import ModuleCosts
from allometry.nn import ModuleElasticity, ModulePlan, apply_plan, cost_of_module, read_weights
from allometry.runs.records import MemberLatency
from allometry.supernets import module_latency
from tests.images import CLASSES, shapes

SOURCE = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, 1, 1), nn.BatchNorm2d(2 * channels), nn.ReLU())
        self.two = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x):
        return x + self.two(self.one(x))

class Net(nn.Module):
    def __init__(self, classes=3, channels=1):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(8, classes))

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)))

make = Net

def of_four():
    return Net(classes=4)

def of_colors():
    return Net(channels=3)

def fixed():
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 3))
"""
FEW = ModuleElasticity(widths=(0.5,), depths=(0.5,), resolutions=(0.75,))
QUICK = {
    "module": "users_nets:make",
    "resolution": 16,
    "elasticity": FEW,
    "epochs": 2,
    "settings": ("batch_size=16", "precision=float32"),
    "progress": False,
}


@pytest.fixture(scope="module")
def data():
    return shapes(16, size=16, seed=0)


@pytest.fixture(scope="module", autouse=True)
def users_nets(tmp_path_factory):
    """A file of a user's own on the path."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "users_nets.py").write_text(SOURCE)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("users_nets", None)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return al.supernet.train(data=data, out=tmp_path_factory.mktemp("runs") / "supernet", **QUICK)


@pytest.fixture(scope="module")
def subnet(run):
    return al.supernet.search(run, budget=middle(run), progress=False)


def middle(run):
    return f"macs<={(run.result.smallest.cost.macs + run.result.largest.cost.macs) // 2}"


def made(name="make"):
    import users_nets  # type: ignore[import-not-found]

    return getattr(users_nets, name)()


def test_a_factory_and_arrays_give_a_run(run):
    assert run.result.size == 2**4 == run.supernet.size
    assert run.result.largest.cost == cost_of_module(made(), torch.zeros(1, 1, 16, 16))
    assert run.arguments["module"] == "users_nets:make"
    assert [choice.name for choice in run.supernet.space.choices] == [
        "resolution",
        "blocks 0-1 depth",
        "stem.0 channels",
        "blocks 0-1 width",
    ]
    assert al.open(run.folder).supernet == run.supernet
    assert "16 networks" in run.report.read_text()
    with pytest.raises(RunFolderError, match="holds a supernet, no single network"):
        al.evaluate(run, progress=False)


def test_few_subnets_are_all_measured(run, subnet):
    assert subnet.tau is None
    most = int(middle(run).removeprefix("macs<="))
    assert subnet.cost.macs <= most
    measured = al.open(run.folder).supernet.measured
    assert subnet.examined == len([each for each in measured if each.cost.macs <= most]) > 1
    assert subnet.validation_accuracy == max(each.accuracy for each in measured if each.cost.macs <= most)
    front = al.supernet.front(run, cost="params", points=3, progress=False)
    assert front.tau is None
    costs = [each.cost.params for each in front.subnets]
    assert costs == sorted(costs)


@pytest.mark.parametrize("way", ["value", "file"])
def test_a_subnet_is_made_again_by_its_plan_and_its_weights(run, subnet, tmp_path, way, data):
    ways = {"value": subnet, "file": subnet.folder / "network.json"}
    taken = al.supernet.extract(run, ways[way], out=tmp_path / "taken", progress=False)
    module = apply_plan(made(), ModulePlan.load(taken.folder / "module-plan.json"))
    module.load_state_dict(read_weights(str(taken.folder / "weights.safetensors")).tensors)
    cost = cost_of_module(module, torch.zeros(1, 1, subnet.resolution, subnet.resolution))
    assert (cost.macs, cost.params) == (subnet.cost.macs, subnet.cost.params)
    assert taken.evaluation.accuracy == taken.result.test_accuracy == subnet.test_accuracy
    assert taken.result.cost.macs == subnet.cost.macs
    with pytest.raises(RunFolderError, match="apply_plan"):
        al.evaluate(taken, progress=False)


def test_a_training_that_is_stopped_ends_with_the_same_bytes(run, data, tmp_path):
    asked = iter([False, False, True])
    with pytest.raises(Stopped):
        al.supernet.train(data=data, out=tmp_path / "own", should_stop=lambda: next(asked, False), **QUICK)
    again = al.supernet.train(data=data, out=tmp_path / "own", **QUICK)
    names = ("supernet.safetensors", "space.json")
    assert all((again.folder / name).read_bytes() == (run.folder / name).read_bytes() for name in names)


def test_it_starts_from_weights_that_are_sorted(run, data, tmp_path):
    torch.manual_seed(5)
    torch.save(made().state_dict(), tmp_path / "best.pt")
    still = {**QUICK, "epochs": 1, "settings": ("batch_size=16", "learning_rate=0", "weight_decay=0")}
    started = al.supernet.train(data=data, out=tmp_path / "own", start=tmp_path / "best.pt", **still)
    (tmp_path / "best.pt").unlink()  # the folder has its own copy
    weights = read_weights(str(started.folder / "supernet.safetensors")).tensors
    torch.manual_seed(5)
    before = made()
    own = weights["module.stem.0.weight"]
    assert not torch.equal(own, before.stem[0].weight)
    assert torch.equal(own.flatten().sort().values, before.stem[0].weight.flatten().sort().values)
    assert al.supernet.train(data=data, out=tmp_path / "own", start=tmp_path / "best.pt", **still) == started


def test_a_module_by_value_starts_from_its_own_weights_and_needs_no_name(data, tmp_path):
    still = {**QUICK, "epochs": 1}
    torch.manual_seed(5)
    own = made()
    torch.save(own.state_dict(), tmp_path / "best.pt")
    by_name = al.supernet.train(data=data, out=tmp_path / "name", start=tmp_path / "best.pt", **still)
    still["module"] = own
    by_value = al.supernet.train(data=data, out=tmp_path / "value", **still)
    one, other = (
        read_weights(str(run.folder / "supernet.safetensors")).tensors for run in (by_name, by_value)
    )
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert by_value.arguments["module"].startswith("Net@")
    smallest = by_value.supernet.space.smallest()
    taken = al.supernet.extract(by_value, smallest, out=tmp_path / "taken", progress=False)
    module = apply_plan(own, ModulePlan.load(taken.folder / "module-plan.json"))
    module.load_state_dict(read_weights(str(taken.folder / "weights.safetensors")).tensors)
    with pytest.raises(InputError, match="which a folder cannot name: give the run"):
        al.supernet.search(replace(by_value, original=None), budget="macs<=1M", progress=False)
    again = al.supernet.train(data=data, out=tmp_path / "value", **still)
    assert again == by_value
    assert again.original is not None
    torch.nn.init.zeros_(own.stem[0].weight)
    with pytest.raises(RunFolderError, match="was made with module Net@"):
        al.supernet.train(data=data, out=tmp_path / "value", **still)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space": "efficientnet-b0"}, "not both"),
        ({"module": None, "space": "efficientnet-b0"}, "resolution is for torch modules"),
        ({"module": None, "resolution": None, "elasticity": None}, "Give a space or a network"),
        ({"module": "make"}, "package.module:factory"),
        ({"module": "users_nets:maek"}, "named 'maek'. Did you mean 'make'"),
        ({"module": "users_nets:of_four"}, "tells 4 classes apart, and the images have 3"),
        ({"module": "users_nets:of_colors"}, "takes images of 3 channels, and these have 1"),
        ({"module": "users_nets:fixed"}, "Nothing of users_nets:fixed can be left open"),
        ({"module": 5}, "module is a torch module or package.module:factory, not 5"),
        ({"budget": "10M"}, "takes no budget"),
        ({"coupled": True}, "leave out coupled"),
        ({"resolution": 0}, "resolution must be at least 1"),
        ({"settings": ("dropout=0.3",)}, "The setting dropout is of networks that are data"),
        ({"settings": ("head_epochs=1",)}, "The setting head_epochs"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(data, tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        al.supernet.train(**{"data": data, "out": tmp_path / "own", **QUICK, **changes})


def test_a_name_and_a_member_are_the_same_subnet(run, subnet, tmp_path):
    by_name = al.supernet.extract(run, subnet.name, out=tmp_path / "own", progress=False)
    again = al.supernet.extract(run, subnet, out=tmp_path / "own", progress=False)
    assert replace(again, started=by_name.started, finished=by_name.finished) == by_name
    with pytest.raises(InputError, match="No subnet is named 'other'"):
        al.supernet.extract(run, "other", progress=False)


def test_limits_and_weights_that_fit_nothing_are_one_sentence(run, data, tmp_path):
    with pytest.raises(BudgetError, match="No subnet keeps macs <= 10: the least macs of any is"):
        al.supernet.search(run, budget="macs<=10", progress=False)
    with pytest.raises(BudgetError, match="activations is not counted"):
        al.supernet.search(run, budget="activations<=10k", progress=False)
    with pytest.raises(BudgetError, match="memory is not counted"):
        al.supernet.front(run, cost="memory", progress=False)
    torch.save({"other": torch.zeros(1)}, tmp_path / "best.pt")
    with pytest.raises(WeightsError, match="does not hold the weights of users_nets:make"):
        al.supernet.train(data=data, out=tmp_path / "own", start=tmp_path / "best.pt", **QUICK)
    with pytest.raises(InputError, match="not from the folder"):
        al.supernet.train(data=data, out=tmp_path / "own", start=run, **QUICK)
    with pytest.raises(InputError, match="fine-tuned by the module's own training code"):
        al.supernet.extract(
            run, run.supernet.space.smallest(), epochs=1, out=tmp_path / "two", progress=False
        )


def test_a_latency_is_predicted_by_some_that_were_measured_and_confirmed(run, monkeypatch, tmp_path):
    own = replace(run, folder=shutil.copytree(run.folder, tmp_path / "own"))
    read: list[tuple[int, ...]] = []

    def measured(opened, space, encodings, runtime_config):
        read.extend(tuple(encoding.tolist()) for encoding in encodings)
        macs = ModuleCosts(space)(np.array(encodings))["macs"]
        return [
            MemberLatency(
                encoding=tuple(encoding.tolist()), runtime_config=runtime_config, ratio=each, reference=1e-9
            )
            for encoding, each in zip(encodings, macs.tolist(), strict=True)
        ]

    monkeypatch.setattr(module_latency, "_measured", measured)
    most = int(middle(run).removeprefix("macs<="))
    quick = {"runtime": "torch", "progress": False}
    found = al.supernet.search(own, budget=f"latency<={most * 1e-6}ms", **quick)
    assert found.cost.latency == pytest.approx(found.cost.macs * 1e-9)
    assert found.predicted_latency == pytest.approx(found.cost.latency, rel=0.01)
    assert found.cost.macs <= most
    assert found.measured.runtime == "torch"
    assert len(read) == len(set(read)) <= 16
    known = len(read)
    al.supernet.front(own, cost="latency", points=3, **quick)
    assert len(read) == known  # nothing is measured again
    with pytest.raises(BudgetError, match="the least latency of any is"):
        al.supernet.search(own, budget="latency<=0.001us", **quick)


@pytest.mark.slow
def test_the_command_line_goes_the_whole_way(users_nets, tmp_path, monkeypatch):
    from PIL import Image

    pictures, labels = shapes(16, size=16, seed=0)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        folder = tmp_path / "photos" / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> dict[str, object]:
        done = CliRunner().invoke(app, [*map(str, words), "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout[done.stdout.index("{") :])

    open_ = ("--widths", "0.5", "--depths", "0.5", "--resolutions", "0.75", "--resolution", 16)
    quick = ("--epochs", 1, "--set", "batch_size=16", "--phases", "sandwich", *open_)
    train = ("supernet", "train", "--module", "users_nets:make", "--data", "photos", *quick)
    assert int(call(*train, "--dry-run")["size"]) == 16
    assert call(*train)["phases"] == 1
    found = call("supernet", "search", "runs/supernet-make-photos", "--budget", "params<=900")
    assert found["params"] <= 900
    taken = call("supernet", "extract", "runs/supernet-make-photos", found["name"])
    assert (Path(taken["folder"]) / "weights.safetensors").exists()
    assert [line["phase"] for line in read_lines(Path(taken["folder"]) / "costs.jsonl")] == ["evaluate"]
    done = CliRunner().invoke(app, [*map(str, train), "--widths", "0.5,x"])
    assert "--widths takes fractions joined by commas" in str(done.exception)
