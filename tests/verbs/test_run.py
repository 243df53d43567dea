"""`run` as a function of values: the whole path on arrays, that it goes on, what it refuses."""

from dataclasses import replace

import pytest

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.base import BudgetError, InputError, RunFolderError, Stopped, UnknownNameError
from allometry.training import load_weights
from allometry.verbs.run import forecast_run

BASELINE = Network(
    name="two-stages",
    stem=Stem(channels=8),
    stages=tuple(Stage(block=MBConv(channels=channels, stride=2)) for channels in (8, 16)),
    head=Head(channels=16),
    resolution=24,
)
QUICK = {"settings": ("epochs=1", "batch_size=8"), "progress": False}


@pytest.fixture(scope="module")
def finished(arrays, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    return al.run(data=arrays, baseline=BASELINE, budget="200k", law=al.COMPOUND, out=out, **QUICK)


def test_arrays_and_a_network_give_a_run(finished):
    assert isinstance(finished, al.Run)
    assert finished.cost.macs <= 200_000
    assert finished.law == finished.result.law == al.COMPOUND
    assert finished.result.trials == len(finished.law_trials) == 0
    assert finished.evaluation.accuracy == finished.result.test_accuracy
    assert finished.export.verification.agreement == 1
    assert (finished.folder / "model.onnx").exists()
    assert finished.report.exists()
    assert finished.arguments["baseline"].startswith("two-stages@")


def test_called_again_it_is_the_same_run(finished, arrays):
    arguments = {"data": arrays, "baseline": BASELINE, "budget": al.parse_budget("macs<=200k")}
    again = al.run(**arguments, law="compound", out=finished.folder, **QUICK)
    assert again == finished
    with pytest.raises(RunFolderError, match="was made with baseline two-stages@"):
        al.run(
            **{**arguments, "baseline": replace(BASELINE, resolution=32)},
            law="compound",
            out=finished.folder,
            **QUICK,
        )


@pytest.mark.slow
def test_it_goes_on_after_a_stop_to_the_same_weights(finished, arrays, tmp_path):
    calls = iter(range(1000))
    arguments = {"data": arrays, "baseline": BASELINE, "budget": "200k", "law": "1.2,1.1,1.15"}
    with pytest.raises(Stopped):
        al.run(**arguments, out=tmp_path / "run", should_stop=lambda: next(calls) > 2, **QUICK)
    again = al.run(**arguments, out=tmp_path / "run", **QUICK)
    ours, theirs = (
        load_weights(run.folder / "checkpoints" / "final.safetensors") for run in (again, finished)
    )
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_a_forecast_trains_nothing(arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned = forecast_run(data=arrays, budget="300k", **QUICK)
    assert planned.macs <= 300_000
    assert planned.laws > 0
    assert planned.seconds > planned.trial_seconds
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"budget": "macs<=1"}, BudgetError, "quarter of the budget|smallest"),
        ({"budget": 3}, BudgetError, "A budget or its text"),
        ({"baseline": "efficientnet-bo"}, UnknownNameError, "efficientnet-b0"),
        ({"law": "compuond"}, UnknownNameError, "compound"),
        ({"runtime": "torch"}, BudgetError, "limits none of them"),
        ({"settings": ["epochs=ten"]}, InputError, "must be an integer"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(arrays, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        al.run(**{"data": arrays, **QUICK, **arguments}, out=tmp_path / "run")
    assert not list(tmp_path.glob("run/checkpoints"))


@pytest.mark.slow
def test_it_starts_from_weights_at_the_size_of_the_budget(trained, arrays, tmp_path):
    short = {"settings": ("epochs=2", "batch_size=8"), "progress": False}  # the first one is the classifier's
    options = {"data": arrays, "budget": "2x", "pretrained": trained, **short}
    planned = forecast_run(**options)
    assert (planned.laws, planned.baseline_macs) == (0, trained.cost.macs)
    run = al.run(out=tmp_path / "larger", **options)
    assert trained.cost.macs < run.cost.macs == planned.macs <= 2 * trained.cost.macs
    assert run.result.trials == 0
    assert run.export.verification.agreement == 1
    assert run.arguments["pretrained"] == str(trained.folder)
    assert "baseline" not in run.arguments
    assert (
        run.arguments["budget"] == f"macs<={2 * trained.cost.macs}"
    )  # not of a baseline that nothing begins from
    assert f"You asked to bring the network of {trained.folder} to macs" in run.report.read_text()
    assert al.run(out=tmp_path / "larger", **options) == run


def test_a_run_has_its_network_so_that_another_baseline_is_refused(trained, arrays, tmp_path):
    with pytest.raises(InputError, match="is a run, whose network is the baseline"):
        al.run(data=arrays, budget="2x", pretrained=trained, baseline=BASELINE, out=tmp_path, **QUICK)


def test_weights_of_another_network_are_refused(trained, arrays, tmp_path):
    file = trained.folder / "checkpoints" / "final.safetensors"
    with pytest.raises(InputError, match="does not hold the weights"):
        al.run(data=arrays, budget="200k", pretrained=file, baseline=BASELINE, out=tmp_path, **QUICK)
