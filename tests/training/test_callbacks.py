"""Callbacks are told of every training, change none, and end one when they fail."""

from __future__ import annotations

import random
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
import torch

from allometry.base import CallbackError, InputError, Stopped
from allometry.base.files import read_lines
from allometry.training import Callback, join, run_task
from tests.joining import together
from tests.watching import Recorder

from .tasks import EACH_TASK, EPOCH, STEPS, StopAfter, is_same, task_in, train, weights


@pytest.mark.parametrize("name", EACH_TASK)
def test_everything_is_told_in_order_whatever_is_trained(name, tmp_path):
    recorder = Recorder()
    result = train(tmp_path, name, callbacks=(recorder,))
    (start,), (end,) = recorder.starts, recorder.ends
    assert (start.folder, start.step, start.history) == (tmp_path, 0, ())
    assert (start.steps, start.epochs) == (STEPS[name], len(result.history))
    assert (start.network is not None) == (name == "classification")
    assert [step.step for step in recorder.steps] == list(range(1, STEPS[name] + 1))
    assert {step.steps for step in recorder.steps} == {STEPS[name]}
    assert recorder.records == list(result.history)
    ends = list(range(EPOCH[name], STEPS[name] + 1, EPOCH[name]))
    assert [epoch.step for epoch in recorder.epochs] == ends
    losses = [step.loss for step in recorder.steps if step.step in ends]
    assert losses == pytest.approx([record.train_loss for record in result.history])
    assert [step.loss for step in recorder.steps if step.step not in ends] == [None] * (
        STEPS[name] - len(ends)
    )
    assert (end.outcome, end.history) == ("finished", tuple(recorder.epochs))
    train(tmp_path, name, callbacks=(recorder,))  # it is finished
    assert len(recorder.starts) == 1


@pytest.mark.parametrize("name", EACH_TASK)
def test_a_training_that_goes_on_tells_what_was_before(name, tmp_path):
    first, second = Recorder(), Recorder()
    stop = EPOCH[name] + 2
    with pytest.raises(Stopped):
        train(tmp_path, name, callbacks=(first,), should_stop=StopAfter(stop))
    assert first.ends[0].outcome == "stopped"
    train(tmp_path, name, callbacks=(second,))
    (start,) = second.starts
    assert start.history == tuple(first.epochs) == first.ends[0].history
    assert start.step == len(first.steps) > EPOCH[name]
    assert second.steps[0].step == start.step + 1
    assert second.ends[0].history == (*first.epochs, *second.epochs)


class Meddler(Callback):
    """Does what it can to disturb: it draws, and would change what it is given."""

    def on_train_start(self, start) -> None:
        with pytest.raises(FrozenInstanceError):
            start.seed = 7

    def on_step_end(self, step) -> None:
        torch.manual_seed(step.step)
        torch.randn(3)
        np.random.seed(1)
        random.seed(1)

    on_epoch_end = on_step_end


@pytest.mark.parametrize("name", EACH_TASK)
def test_a_training_ends_with_the_same_weights_whoever_watches(name, tmp_path):
    train(tmp_path / "alone", name)
    train(tmp_path / "watched", name, callbacks=(Meddler(), Recorder()))
    assert is_same(weights(tmp_path / "alone", name), weights(tmp_path / "watched", name))


class Failing(Callback):
    def __init__(self, method: str, error: Exception) -> None:
        def fail(_told) -> None:
            raise error

        setattr(self, method, fail)


@pytest.mark.parametrize("method", ["on_train_start", "on_step_end", "on_epoch_end", "on_train_end"])
def test_a_callback_that_fails_ends_the_training_in_one_sentence_and_it_goes_on(method, tmp_path):
    recorder = Recorder()
    failing = Failing(method, KeyError("board"))
    with pytest.raises(
        CallbackError, match=rf"The callback Failing failed in {method}: KeyError: 'board'\. The"
    ):
        train(tmp_path / "parts", "classification", callbacks=(recorder, failing))
    assert [end.outcome for end in recorder.ends] == ["finished" if method == "on_train_end" else "failed"]
    if method == "on_epoch_end":  # the epoch's checkpoint is there
        assert len(read_lines(tmp_path / "parts" / "metrics.jsonl")) == 1
        assert next((tmp_path / "parts" / "checkpoints").glob("step-*"))
    train(tmp_path / "parts", "classification")
    train(tmp_path / "whole", "classification")
    assert is_same(
        weights(tmp_path / "whole", "classification"), weights(tmp_path / "parts", "classification")
    )


def test_errors_of_ours_stay_as_they_are(tmp_path):
    with pytest.raises(InputError, match="no such board"):
        train(tmp_path, "classification", callbacks=(Failing("on_train_start", InputError("no such board")),))


def test_what_fails_after_a_failure_is_told_beside_it(tmp_path):
    class Told:
        def __init__(self) -> None:
            self.said = []

        def say(self, text: str) -> None:
            self.said.append(text)

        def start(self, *_arguments: object) -> None: ...

        advance = stop = start

    def crash() -> bool:
        raise ZeroDivisionError

    told, recorder = Told(), Recorder()
    with pytest.raises(ZeroDivisionError):
        train(
            tmp_path,
            "classification",
            callbacks=(Failing("on_train_end", OSError("gone")), recorder),
            progress=told,
            should_stop=crash,
        )
    assert recorder.ends[0].outcome == "failed"
    assert any("failed in on_train_end: OSError: gone" in text for text in told.said)


def work(folder: Path) -> None:
    with join(torch.device("cpu")) as dist:
        recorder = Recorder()
        place = folder if dist.is_main else folder / "nowhere"
        run_task(task_in(place, "classification", dist=dist, callbacks=(recorder,)))
        assert bool(recorder.starts) == bool(recorder.epochs) == bool(recorder.ends) == dist.is_main


@pytest.mark.slow
def test_of_several_processes_the_main_one_tells(tmp_path):
    together(work, tmp_path, count=2)
