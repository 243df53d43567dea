from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

import allometry as al
from allometry.arch import ConvBlock, Stage, save
from allometry.base import InputError, RecipeError, RunFolderError, SilentProgress, Stopped, UnknownNameError
from allometry.base.files import read_json
from allometry.data import as_dataset
from allometry.training import Recipe
from allometry.training.images import open_images
from allometry.verbs.train import forecast_train
from tests.images import write_photos
from tests.verbs.conftest import FAST


def weights(run):
    return {name: tensor.clone() for name, tensor in run.module().state_dict().items()}


def same(one, other):
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def stop_after(steps: int):
    calls = iter(range(10_000))
    return lambda: next(calls) >= steps


def test_a_network_and_arrays_give_a_run(trained, tiny, arrays):
    assert trained.finished
    assert trained.command == "train"
    assert trained.network.name == "tiny"
    assert (trained.network.head.classes, trained.network.in_channels) == (3, 1)
    assert trained.network.stages == tiny.stages
    assert [epoch.epoch for epoch in trained.history] == [1, 2]
    assert trained.evaluation.accuracy == trained.result.test_accuracy
    assert trained.cost == al.count(trained.network)
    assert trained.report.exists()
    assert trained.dataset.fingerprint == as_dataset(arrays).fingerprint
    assert trained.to_dict()["test_accuracy"] == trained.evaluation.accuracy
    images, _ = arrays
    assert len(trained.predict(images[:5])) == 5
    assert "tiny" in trained._repr_html_()


def test_values_are_remembered_by_name_and_digest(trained, arrays):
    arguments = read_json(trained.folder / "run.json")["arguments"]
    assert arguments["data"] == f"arrays@{as_dataset(arrays).fingerprint}"
    assert arguments["network"].startswith("tiny@")
    assert (arguments["recipe"], arguments["settings"]) == ("small", ["epochs=2", "batch_size=8"])


def test_opened_again_it_is_the_same_run_without_the_data(trained):
    again = al.open(trained.folder)
    assert again.dataset is None
    # Other tests may have exported the run in the meantime; what was trained and evaluated stays.
    assert (again.network, again.result, again.history, again.evaluation) == (
        trained.network,
        trained.result,
        trained.history,
        trained.evaluation,
    )
    assert same(again, trained)


def test_a_name_a_file_and_a_value_train_the_same_network(trained, tiny, arrays, tmp_path):
    save(tiny, tmp_path / "tiny.json")
    images, labels = arrays
    np.savez(tmp_path / "arrays.npz", images=images, labels=labels)
    settings = ["epochs=2", "batch_size=8"]
    by_name = al.train(
        tmp_path / "tiny.json",
        data=tmp_path / "arrays.npz",
        recipe="small",
        settings=settings,
        out=tmp_path / "run",
        progress=False,
    )
    assert same(by_name, trained)
    full = open_images(trained.dataset, seed=0).resolve(FAST, trained.network)
    by_recipe = al.train(tiny, data=arrays, recipe=full, out=tmp_path / "full", progress=False)
    assert same(by_recipe, trained)
    assert read_json(by_recipe.folder / "run.json")["arguments"]["recipe"].startswith("recipe@")


def test_a_torch_data_set_trains_too(tiny, arrays, trained, tmp_path):
    images, labels = arrays
    tensors = TensorDataset(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels))
    run = al.train(tiny, data=tensors, recipe=FAST, out=tmp_path / "run", progress=False)
    assert run.data.name == "tensordataset"
    assert run.data.images == trained.data.images
    assert al.evaluate(run, progress=False).accuracy == run.evaluation.accuracy


def test_stopped_and_called_again_it_ends_with_the_same_weights(trained, tiny, arrays, tmp_path):
    options = {"data": arrays, "recipe": FAST, "out": tmp_path / "run", "progress": False}
    with pytest.raises(Stopped):
        al.train(tiny, should_stop=stop_after(3), **options)
    begun = al.open(tmp_path / "run")
    assert not begun.finished
    assert "not finished" in repr(begun)
    assert same(al.train(tiny, **options), trained)
    assert same(al.train(tiny, **options), trained)  # shows what is there


def test_other_values_in_the_same_folder_are_refused(tiny, arrays, tmp_path):
    options = {"recipe": FAST, "out": tmp_path / "run", "progress": False}
    with pytest.raises(Stopped):
        al.train(tiny, data=arrays, should_stop=stop_after(3), **options)
    images, labels = arrays
    with pytest.raises(RunFolderError, match=r"was made with data arrays@.*, not arrays@"):
        al.train(tiny, data=(255 - images, labels), **options)
    wider = replace(tiny, stem=replace(tiny.stem, channels=16))
    with pytest.raises(RunFolderError, match=r"was made with network tiny@.*, not tiny@"):
        al.train(wider, data=arrays, **options)
    with pytest.raises(RunFolderError, match="was made with recipe small, not transfer"):
        al.train(tiny, data=arrays, **(options | {"recipe": al.recipes.transfer(epochs=2, batch_size=8)}))


def test_a_run_is_a_source_of_weights_and_a_teacher(trained, tiny, arrays, tmp_path):
    still = ["epochs=2", "learning_rate=1e-12", "weight_decay=0", "batch_size=8"]
    on = al.train(tiny, data=arrays, pretrained=trained, settings=still, out=tmp_path / "on", progress=False)
    assert on.arguments["recipe"] == "transfer"
    assert on.arguments["pretrained"] == str(trained.folder)
    ours, theirs = weights(on), weights(trained)
    assert torch.allclose(ours["classifier.weight"], theirs["classifier.weight"], atol=1e-5)
    student = al.train(
        tiny, data=arrays, teacher=trained, recipe=FAST, out=tmp_path / "student", progress=False
    )
    assert student.arguments["teacher"] == str(trained.folder)
    assert not same(student, trained)
    other = write_photos(tmp_path / "photos", per_class=8)
    with pytest.raises(InputError, match="trained on other classes or channels"):
        al.train(tiny, data=other, teacher=trained, recipe=FAST, out=tmp_path / "no", progress=False)


def test_the_folder_is_called_by_network_and_data(tiny, arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Stopped):
        al.train(replace(tiny, name="my net, wide"), data=arrays, progress=False, should_stop=lambda: True)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["my-net-wide-arrays"]


def test_a_forecast_trains_nothing(tiny, arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned = forecast_train(tiny, data=arrays, recipe=FAST, progress=False)
    assert planned.epochs == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"network": "efficientnet-b9"}, UnknownNameError, "efficientnet-b"),
        ({"network": 7}, InputError, "not a int"),
        ({"recipe": "smal"}, UnknownNameError, "'small'"),
        ({"recipe": Recipe}, RecipeError, "not a type"),
        ({"settings": ["epoch=1"]}, UnknownNameError, "'epochs'"),
        ({"data": "no-such-folder"}, InputError, "no-such-folder"),
        ({"data": (np.zeros((9, 8, 8)), np.arange(9) % 3)}, InputError, "must be uint8"),
        ({"device": "tpu"}, InputError, "device"),
        ({"teacher": "nowhere"}, RunFolderError, "no run folder nowhere"),
        ({"pretrained": "nowhere.pth"}, InputError, "nowhere"),
    ],
)
def test_mistakes(tiny, arrays, tmp_path, changes, error, says):
    options = {"network": tiny, "data": arrays, "out": tmp_path / "run", "progress": False, **changes}
    with pytest.raises(error, match=says):
        al.train(options.pop("network"), **options)


@pytest.fixture(scope="module")
def grown(tiny, arrays, tmp_path_factory):
    """A run whose network grew in its training, and what was told of it."""
    heard, recipe = Sayings(), al.recipes.small(epochs=3, batch_size=8)
    out = tmp_path_factory.mktemp("runs") / "grown"
    options = {"data": arrays, "recipe": recipe, "out": out, "grow": "1.5x@2, 3x@3", "law": "compound"}
    return al.train(tiny, **options, progress=heard), heard.told


class Sayings(SilentProgress):
    """Remembers what it is told."""

    def __init__(self):
        self.told = []

    def say(self, text):
        self.told.append(text)


def test_a_network_grows_in_its_training_and_the_run_is_that_of_the_last_one(grown, tiny, arrays):
    run, told = grown
    phases = run.growth.phases
    assert [(phase.first_epoch, phase.last_epoch) for phase in phases] == [(1, 1), (2, 2), (3, 3)]
    assert phases[0].network.stages == tiny.stages
    assert phases[-1].network == run.network
    assert [phase.cost.macs for phase in phases] == sorted({al.count(phase.network).macs for phase in phases})
    assert run.cost == run.result.cost == phases[-1].cost
    assert [epoch.epoch for epoch in run.history] == [1, 2, 3]
    assert [epoch.phase for epoch in run.history] == [1, 2, 3]
    assert len(run.predict(arrays[0][:5])) == 5
    assert sum("MACs" in text and text.startswith("epochs ") for text in told) == 3
    assert "3 to 3" in run.report.read_text()
    assert read_json(run.folder / "run.json")["arguments"]["grow"] == "1.5x@2, 3x@3"


def test_steps_of_growth_that_cannot_be_are_one_sentence(tiny, arrays, tmp_path):
    recipe = al.recipes.small(epochs=3, batch_size=8)
    for grow, why in (
        ("2x@4", "the training ends with epoch 3"),
        ("2x", "has no epoch"),
        ("0.5x@2", "raise the budget"),
    ):
        with pytest.raises(InputError, match=why):
            forecast_train(tiny, data=arrays, recipe=recipe, grow=grow, progress=False)
    with pytest.raises(InputError, match="give the steps, too"):
        forecast_train(tiny, data=arrays, recipe=recipe, law="depth", progress=False)
    silu = replace(tiny, stages=(Stage(block=ConvBlock(channels=8, activation="silu")),))
    with pytest.raises(InputError, match="cannot begin as one that changes nothing"):
        forecast_train(silu, data=arrays, recipe=recipe, grow="4x@2", law="depth", progress=False)
    assert list(tmp_path.iterdir()) == []
