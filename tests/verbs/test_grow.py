"""Trained networks made larger or smaller, to a budget."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import allometry as al
from allometry.base import InputError, RunFolderError, Stopped, UnknownNameError
from allometry.base.files import read_json
from allometry.cli.app import app
from allometry.nn.growing import output_difference
from allometry.training import Teacher
from allometry.verbs.grow_forecast import forecast_grow

from .conftest import FAST
from .test_grouped_data import Told
from .test_train import same, stop_after

SHORT = {"recipe": FAST, "settings": ["epochs=1"], "progress": False}


@pytest.fixture(scope="module")
def larger(trained, tmp_path_factory):
    """Without data: the larger network with its weights."""
    return al.grow(trained, budget="3x", out=tmp_path_factory.mktemp("grown") / "larger", progress=False)


def test_without_data_the_run_holds_the_larger_network_that_computes_the_same(larger, trained, arrays):
    assert larger.finished
    assert larger.command == "grow"
    assert larger.history == ()
    assert 2 * trained.cost.macs < larger.cost.macs <= 3 * trained.cost.macs
    assert output_difference(trained.module(), larger.module()) < 1e-4
    assert larger.report.exists()
    assert len(larger.predict(arrays[0][:5])) == 5
    assert al.open(larger.folder).network == larger.network


def test_called_again_it_is_the_same_run_and_another_budget_is_refused(larger, trained):
    again = al.grow(trained, budget="3x", out=larger.folder, progress=False)
    assert same(again, larger)
    with pytest.raises(RunFolderError):
        al.grow(trained, budget="2x", out=larger.folder, progress=False)


def test_without_data_it_knows_those_of_its_origin(larger, trained):
    arguments = read_json(larger.folder / "run.json")["arguments"]
    assert arguments["data"] == read_json(trained.folder / "run.json")["arguments"]["data"]
    assert arguments["seed"] == trained.seed
    assert larger.data == trained.data
    assert larger.network.name == f"tiny within macs <= {larger.network.name.rsplit(' ', 1)[1]}"


def test_the_page_tells_what_grew_and_by_which_command(larger, trained):
    page = larger.report.read_text()
    assert f"allometry grow {trained.folder} --budget" in page
    assert "--trained" not in page
    assert "with what it has learned." in page
    assert larger.baseline == trained.network


def test_with_data_it_trains_on_from_there(trained, arrays, tmp_path):
    arguments = {"budget": "2x", "data": arrays, "out": tmp_path / "run", **SHORT}
    with pytest.raises(Stopped):
        al.grow(trained, **arguments, should_stop=stop_after(2))
    run = al.grow(trained, **arguments)
    assert [epoch.epoch for epoch in run.history] == [1]
    assert run.evaluation.accuracy == run.result.test_accuracy
    assert run.cost.macs > trained.cost.macs
    assert run.result.cost.macs == run.cost.macs
    whole = al.grow(trained, **{**arguments, "out": tmp_path / "whole"})
    assert same(run, whole)


def test_a_smaller_one_learns_from_the_trained_one(trained, arrays, tmp_path, monkeypatch):
    asked = []
    logits = Teacher.logits
    monkeypatch.setattr(Teacher, "logits", lambda self, pixels: asked.append(1) or logits(self, pixels))
    options = {"importance": "taylor", "data": arrays, "out": tmp_path / "half", **SHORT}
    run = al.grow(trained, budget="0.5x", **options)
    assert run.cost.macs <= trained.cost.macs / 2
    assert asked
    assert len(run.history) == 1


def test_other_classes_get_a_classifier_of_their_own_and_no_teacher(trained, tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (60, 24, 24), np.uint8)
    options = {"data": (images, np.arange(60) % 2), "settings": ["epochs=2"], "progress": False}
    run = al.grow(trained, budget="0.5x", out=tmp_path, **options)
    assert run.network.head.classes == 2
    assert read_json(run.folder / "recipe.json")["head_epochs"] == 1  # it is `transfer`


def test_weights_of_a_file_need_their_network(trained, tmp_path):
    weights = tmp_path / "weights.pt"
    torch.save(trained.module().state_dict(), weights)
    with pytest.raises(InputError, match="give the network, too"):
        al.grow(weights, budget="2x", progress=False)
    run = al.grow(weights, network=trained.network, budget="2x", out=tmp_path / "run", progress=False)
    assert output_difference(trained.module(), run.module()) < 1e-4
    with pytest.raises(InputError, match="does not hold the weights"):
        al.grow(weights, network="efficientnet-b0", budget="2x", out=tmp_path / "other", progress=False)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"budget": "many"}, "Cannot read the budget"),
        ({"budget": "1x"}, "is the largest of this law within"),
        ({"budget": "1"}, "No network of this law meets"),
        ({"budget": "2x", "method": "clones"}, "method of growth"),
        ({"budget": "2x", "importance": "looks"}, "importance of channels"),
        ({"budget": "2x", "importance": "taylor"}, "give data"),
        ({"budget": "2x", "settings": ["epochs=2"]}, "nothing is trained"),
        ({"budget": "2x", "recipe": "grown"}, "nothing is trained"),
        ({"budget": "2x", "law": "up"}, "law"),
    ],
)
def test_what_cannot_be_is_one_sentence(trained, options, why, tmp_path):
    with pytest.raises((InputError, UnknownNameError), match=why) as refused:
        al.grow(trained, out=tmp_path / "run", progress=False, **options)
    assert "\n" not in str(refused.value)


def test_an_unfinished_run_does_not_grow(tmp_path):
    with pytest.raises(RunFolderError):
        al.grow(tmp_path / "none", budget="2x", progress=False)


def test_a_call_that_trained_nothing_leaves_nothing_that_the_next_one_takes_up(trained, larger, tmp_path):
    out = tmp_path / "grown"
    with pytest.raises(InputError, match="is the largest of this law"):
        al.grow(trained, budget="1x", out=out, progress=False)
    assert not list(out.glob("*.safetensors"))
    with pytest.raises(Stopped):
        al.grow(trained, budget="2x", out=out, progress=False, should_stop=lambda: True)
    assert al.grow(trained, budget="3x", out=out, progress=False).cost == larger.cost


def test_a_dry_run_tells_what_grow_would_do_and_writes_nothing(
    trained, larger, arrays, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    planned = forecast_grow(trained, budget="3x", progress=False)
    assert planned.network == larger.network
    assert planned.after.macs == larger.cost.macs
    assert (planned.method, planned.importance, planned.training) == ("new", None, None)
    sizes = {(place, size): (before, after) for place, size, before, after in planned.changes}
    assert all(before < after for before, after in sizes.values())
    assert sizes["input", "resolution"] == (trained.network.resolution, larger.network.resolution)
    told = Told()
    smaller = forecast_grow(trained, budget="0.5x", data=arrays, **SHORT | {"progress": told})
    assert any(line.startswith("shrunk by") for line in told.lines)
    assert not any("safetensors" in line for line in told.lines)  # which would be in a folder that is gone
    assert smaller.importance == "magnitude"
    assert smaller.training.epochs == 1
    shown = CliRunner().invoke(app, ["grow", str(trained.folder), "--budget", "3x", "--dry-run"])
    assert shown.exit_code == 0
    assert f"{trained.cost.macs:,} -> {larger.cost.macs:,}" in shown.output
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="is the largest of this law"):
        forecast_grow(trained, budget="1x", progress=False)


def test_weights_that_are_not_there_are_called_a_file(tmp_path):
    with pytest.raises(RunFolderError, match=r"There is no file .*best.pt, and no run folder"):
        al.grow(tmp_path / "best.pt", budget="2x")
