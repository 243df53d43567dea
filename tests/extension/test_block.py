"""A block is one object: one from outside goes through everything that takes a network."""

import json
import sys
from pathlib import Path

import pytest
import torch

import allometry as al
from allometry.arch import (
    BLOCKS,
    Choice,
    Head,
    Network,
    Space,
    Stage,
    Stem,
    from_json,
    save,
    save_space,
    to_json,
)
from allometry.base import NetworkError, plugins
from allometry.cli import main
from allometry.nn import count_module
from tests.images import CLASSES, shapes

PLUGIN = Path(__file__).with_name("block_plugin.py")
pytestmark = pytest.mark.usefixtures("no_plugins")
RECIPE = al.recipes.small(epochs=1, batch_size=8)


@pytest.fixture
def ghost():
    """The class of the block from outside."""
    plugins.add_plugins([str(PLUGIN)])
    return sys.modules[PLUGIN.stem].GhostBlock


@pytest.fixture
def network(ghost):
    return Network(
        name="ghosts",
        stem=Stem(channels=8, activation="relu"),
        stages=(Stage(block=ghost(channels=8, stride=2)), Stage(block=ghost(channels=16), repeats=2)),
        head=Head(channels=16, classes=len(CLASSES), activation="relu"),
        resolution=24,
        in_channels=1,
    )


def images():
    return shapes(8, size=24, seed=0)


def test_it_is_counted_scaled_and_written(network):
    module = al.build(network, seed=0)
    watched = count_module(module, resolution=24, in_channels=1)
    assert (al.count(network).params, al.count(network).macs) == (watched.params, watched.macs)
    assert [row.layer for row in al.info(network).stages][1:3] == ["half cheap 3x3 /2", "half cheap 3x3"]
    grown = al.scale(network, budget="4x")
    assert 0.9 < al.count(grown).macs / (4 * al.count(network).macs) <= 1
    assert from_json(to_json(grown)) == grown


def test_it_is_trained_evaluated_and_exported(network, tmp_path):
    run = al.train(network, data=images(), recipe=RECIPE, out=tmp_path / "run", progress=False)
    assert run.network.stages[1].block.kind == "half_cheap"
    assert 0 <= run.evaluation.accuracy <= 1
    assert len(run.predict(images()[0][:2])) == 2
    assert al.export(run, to="onnx", progress=False).verification.agreement == 1


def test_it_is_searched_and_put_into_a_supernet(network, tmp_path):
    kernels = [
        Choice(name=f"kernel {stage}", paths=(f"stages.{stage}.block.kernel",), options=(3, 5))
        for stage in range(2)
    ]
    space = Space(template=network, choices=tuple(kernels), name="ghosts")
    searched = al.search(
        space,
        data=images(),
        budget="macs<=1M",
        trials=2,
        settings=["epochs=1", "batch_size=8"],
        out=tmp_path / "search",
        progress=False,
    )
    assert space.contains(searched.network)
    supernet = al.supernet.train(
        space, data=images(), settings=["epochs=1", "batch_size=8"], out=tmp_path / "supernet", progress=False
    )
    taken = al.supernet.extract(supernet, space.smallest(), out=tmp_path / "subnet", progress=False)
    assert {stage.block.kernel for stage in taken.network.stages} == {3}


def test_the_command_line_knows_it_by_its_plugin(network, tmp_path, capfd, monkeypatch):
    path = tmp_path / "ghosts.json"
    save(network, path)
    monkeypatch.setenv(plugins.VARIABLE, "")
    plugins._loaded.clear()
    del BLOCKS._items["half_cheap"]
    sys.modules.pop(PLUGIN.stem)
    assert main(["info", str(path)]) == 2
    assert "must be one of 'cell'" in capfd.readouterr().err
    assert main(["--plugin", str(PLUGIN), "info", str(path), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["params"] == al.count(network).params


def test_spaces_around_it_are_opened_by_what_it_says(network, tmp_path):
    from allometry.catalog import mbconv_space

    with pytest.raises(NetworkError, match="Nothing is open"):
        mbconv_space(network, kernels=(3, 5))  # it does not expand
    space = Space(
        template=network,
        choices=(Choice(name="block", paths=("stages.0.block",), options=(network.stages[0].block,)),),
    )
    save_space(space, tmp_path / "space.json")
    assert torch.equal(*(al.build(net, seed=0).classifier.weight for net in (space.largest(), network)))
