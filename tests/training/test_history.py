"""The epochs of a training outlive damage to `metrics.jsonl`, and a place that no training comes to is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from allometry.base import RunFolderError, SilentProgress, Stopped
from allometry.base.files import file_digest, read_json, read_lines, write_json
from allometry.training import train

from .conftest import RECIPE, job_in
from .tasks import StopAfter, without_time

SHORT = replace(RECIPE, epochs=2)
DAMAGE = {
    "a bad first line": lambda text: "{" + text,
    "a bad last line": lambda text: text[:-9],
    "zeros": lambda text: "\x00" * len(text),
    "a line of another number": lambda text: text.replace('"train_loss": ', '"train_loss": 1', 1),
    "no text": lambda _: "",
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, dataset):
    """A training that was stopped in its second epoch, and what an uninterrupted one comes to."""
    folder = tmp_path_factory.mktemp("stopped")
    expected = train(job_in(folder / "whole", recipe=SHORT, dataset=dataset))
    job = job_in(folder / "stopped", recipe=SHORT, dataset=dataset)
    with pytest.raises(Stopped):
        train(replace(job, should_stop=StopAfter(7)))
    return job, expected


@pytest.fixture
def copy(stopped, tmp_path):
    job, _ = stopped
    shutil.copytree(job.folder, tmp_path / "run")
    return replace(job, folder=tmp_path / "run")


class Said(SilentProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_to_the_metrics_costs_no_epoch(damage, stopped, copy):
    file, said = copy.folder / "metrics.jsonl", Said()
    before = file.read_text()
    file.write_text(damage(before))
    trained = train(replace(copy, progress=said))
    assert without_time(trained.history) == without_time(stopped[1].history)
    assert file.read_text().startswith(before)
    assert said.lines == [
        "The metrics.jsonl of training was damaged; it has the epochs of the checkpoint again."
    ]


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_to_the_metrics_of_a_finished_training_costs_no_more_than_its_times(damage, copy):
    trained, file, said = train(copy), copy.folder / "metrics.jsonl", Said()
    file.write_text(damage(file.read_text()))
    again = train(replace(copy, progress=said))
    assert without_time(again.history) == without_time(trained.history)
    assert (again.accuracy, again.loss, again.images) == (trained.accuracy, trained.loss, trained.images)
    assert len(read_lines(file)) == 2
    assert len(said.lines) == 1


def test_metrics_that_have_gone_are_told(copy):
    train(copy)
    (copy.folder / "metrics.jsonl").unlink()
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl of training is missing"):
        train(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"recorded": 100},
        {"recorded": -1},
        {"recorded": 0},
        {"recorded": "1"},
        {"phase": 1},
        {"phase": -1},
        {"step": 10**9},
        {"step": 3},
        {"best": [7, 0.5, 1.0]},
        {"best": [1]},
        {"seconds": float("nan")},
        {"seconds": -1.0},
        {"history": []},
        {"history": [{}]},
        {"history": None},
        {"optimizer": {}},
        {"sums": None},
    ],
    ids=str,
)
def test_a_place_that_no_training_comes_to_is_refused(change, copy):
    *_, place = sorted((copy.folder / "checkpoints").glob("step-*"))
    state = torch.load(place / "state.pt", weights_only=True)
    torch.save(state | change, place / "state.pt")
    manifest = read_json(place / "checkpoint.json")
    manifest["files"]["state.pt"] = file_digest(place / "state.pt")
    write_json(place / "checkpoint.json", manifest)
    with pytest.raises(RunFolderError, match=r"The checkpoint of step \d+ .* remove") as refused:
        train(copy)
    assert "\n" not in str(refused.value)
