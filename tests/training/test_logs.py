"""TensorBoard and MLflow, with the real packages where they are installed."""

from __future__ import annotations

import sys

import pytest

from allometry.base import MissingExtraError, Stopped
from allometry.training.callbacks import MLflow, TensorBoard
from tests.watching import Recorder

from .tasks import EPOCH, StopAfter, train


def scalars(folder, tag):
    board = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = board.EventAccumulator(str(folder))
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


@pytest.mark.parametrize("name", ["classification", "supernet"])
def test_the_board_goes_on_where_the_training_does(name, tmp_path):
    pytest.importorskip("tensorboard")
    board, recorder = TensorBoard(), Recorder()
    with pytest.raises(Stopped):
        train(tmp_path, name, callbacks=(board, recorder), should_stop=StopAfter(EPOCH[name] + 2))
    train(tmp_path, name, callbacks=(board, recorder))
    expected = [(epoch.step, pytest.approx(epoch.record.train_loss)) for epoch in recorder.epochs]
    assert scalars(tmp_path / "tensorboard", "loss/train") == expected


def test_epochs_that_nobody_wrote_down_are_added_to_the_board(tmp_path):
    pytest.importorskip("tensorboard")
    with pytest.raises(Stopped):
        train(tmp_path / "run", "classification", should_stop=StopAfter(6))
    result = train(tmp_path / "run", "classification", callbacks=(TensorBoard(tmp_path / "board"),))
    assert [step for step, _ in scalars(tmp_path / "board", "accuracy/val")] == [4, 8]
    assert len(result.history) == 2


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A folder for MLflow's database, whose making takes seconds."""
    pytest.importorskip("mlflow.tracking")
    return tmp_path_factory.mktemp("log")


@pytest.fixture
def client(log, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking = pytest.importorskip("mlflow.tracking")
    return lambda: tracking.MlflowClient(tracking_uri=f"sqlite:///{log / 'mlflow.db'}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own, of its database
def test_mlflow_has_one_run_of_a_training_however_often_it_stopped(log, client, tmp_path):
    mlflow, recorder = MLflow(log, experiment="shapes"), Recorder()
    for name in ("other", "run"):
        with pytest.raises(Stopped):
            train(tmp_path / name, "supernet", callbacks=(mlflow, recorder), should_stop=StopAfter(8))
    experiment = client().get_experiment_by_name("shapes").experiment_id
    assert {run.info.status for run in client().search_runs([experiment])} == {"KILLED"}
    train(tmp_path / "run", "supernet", callbacks=(mlflow, recorder))
    runs = client().search_runs([experiment])
    assert len(runs) == 2
    run = next(run for run in runs if run.info.run_name == "run")
    assert run.info.status == "FINISHED"
    assert run.data.params["batch_size"] == str(recorder.starts[-1].recipe.batch_size)
    values = client().get_metric_history(run.info.run_id, "train_loss")
    whole = recorder.ends[-1].history
    assert [(value.step, value.value) for value in values] == [
        (epoch.step, epoch.record.train_loss) for epoch in whole
    ]
    assert {"largest", "smallest", "learning_rate"} <= run.data.metrics.keys()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_begins_anew_where_its_run_is_gone_and_takes_over_what_was_before(log, client, tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path / "run", "classification", should_stop=StopAfter(6))
    (tmp_path / "run" / "mlflow.json").write_text('{"run_id": "0123456789abcdef0123456789abcdef"}')
    train(tmp_path / "run", "classification", callbacks=(MLflow(log),))
    experiment = client().get_experiment_by_name("allometry").experiment_id
    (run,) = client().search_runs([experiment])
    assert [value.step for value in client().get_metric_history(run.info.run_id, "val_loss")] == [4, 8]


@pytest.mark.parametrize(
    ("callback", "module", "extra"),
    [(TensorBoard(), "tensorboard", "tensorboard"), (MLflow(), "mlflow.tracking", "mlflow")],
)
def test_a_missing_library_is_named_with_its_extra(callback, module, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"allometry\[{extra}\]"):
        train(tmp_path, "classification", callbacks=(callback,))
