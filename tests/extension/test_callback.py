"""A callback is one object: one from outside is told of the training of every verb that takes one."""

import sys
from pathlib import Path

import numpy as np
import pytest

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem, save
from allometry.base import InputError, UnknownNameError, plugins
from allometry.cli import main
from allometry.training import CALLBACKS, Callback, register_callback
from tests.images import shapes

PLUGIN = Path(__file__).with_name("diary_plugin.py")
STAGES = tuple(Stage(block=MBConv(channels=8, expand_ratio=2, stride=2), repeats=2) for _ in range(2))
NETWORK = Network(stem=Stem(channels=8), stages=STAGES, head=Head(channels=16, classes=7), resolution=24)
SHORT = ("--set", "batch_size=16")


@pytest.fixture
def call(tmp_path, monkeypatch, capfd):
    """The command line in a folder with images and a network, where no plugin has been imported."""
    monkeypatch.setattr(CALLBACKS, "_items", {callback.name: callback for callback in CALLBACKS})
    monkeypatch.setattr(plugins, "_loaded", set(plugins._loaded))
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.delitem(sys.modules, PLUGIN.stem, raising=False)
    monkeypatch.chdir(tmp_path)
    images, labels = shapes(12, size=24, seed=0)
    np.savez("shapes.npz", images=images, labels=labels)
    save(NETWORK, Path("network.json"))

    def run(*arguments):
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        return status, capfd.readouterr().err

    yield run
    sys.modules.pop(PLUGIN.stem, None)


def written(folder):
    return (Path(folder) / "diary.txt").read_text().splitlines()


OWN = ("--data", "shapes.npz", *SHORT, "--callback", "diary", "--plugin", PLUGIN, "--out")


def test_it_is_told_of_a_training(call):
    assert call("train", "network.json", "--set", "epochs=2", *OWN, "trained")[0] == 0
    lines = written("trained")
    assert lines[0] == "start training 2"
    assert [line.split()[0] for line in lines] == ["start", "epoch", "epoch", "finished"]


def test_without_its_plugin_nobody_knows_it(call):
    status, err = call(
        "train", "network.json", "--data", "shapes.npz", "--callback", "diary", "--out", "unknown"
    )
    assert status == 2
    assert "No callback is named 'diary'" in err
    assert not Path("unknown").exists()


@pytest.mark.slow
def test_it_is_told_of_the_training_of_every_other_verb(call):
    growth = ("--baseline", "network.json", "--law", "compound", "--budget", "60k", "--set", "epochs=1")
    assert call("run", *growth, *OWN, "grown")[0] == 0
    assert [line.split()[0] for line in written("grown")] == ["start", "epoch", "finished"]

    assert (
        call("supernet", "train", "network.json", "--budget", "200k", "--epochs", 1, *OWN, "family")[0] == 0
    )
    assert len(written("family")) == 3
    subnet = ("--epochs", 1, *SHORT, "--callback", "diary", "--out", "subnet")
    status, err = call("supernet", "extract", "family", "family/network.json", *subnet)
    assert status == 0, err
    assert written("subnet")[0] == "start fine-tuning 1"


@pytest.mark.slow
def test_trials_are_not_watched(call, tmp_path):
    class Told(Callback):
        def __init__(self):
            self.labels = []

        def on_train_start(self, start):
            self.labels.append(start.label)

    told = Told()
    al.run(
        data="shapes.npz",
        baseline=NETWORK,
        budget="150k",
        settings=["epochs=1", "batch_size=16"],
        callbacks=[told],
        out=tmp_path / "run",
        progress=False,
    )
    assert told.labels == ["training"]


def test_names_are_given_once(call):
    class Other(Callback):
        name = "tensorboard"

    with pytest.raises(InputError, match="There is a callback 'tensorboard' already"):
        register_callback(Other())
    with pytest.raises(UnknownNameError, match="Did you mean 'tensorboard'"):
        al.train(NETWORK, data="shapes.npz", callbacks=["tensorbord"], out="no", progress=False)
    assert not Path("no").exists()
