"""What the training loop promises, whatever it trains: networks, supernets and searches by gradient."""

from __future__ import annotations

import inspect
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from allometry.base import DataError, NonFiniteLossError, OutOfMemoryError, RunFolderError, Stopped
from allometry.base.files import read_lines
from allometry.data import ArraySplit
from allometry.training import Execution, Progressive, latest_checkpoint, run_task
from allometry.training.state import TrainingState
from tests.killing import is_killed, kill_myself
from tests.watching import Recorder

from .tasks import (
    EACH_TASK,
    EPOCH,
    STEPS,
    TASKS,
    TWO_TASKS,
    StopAfter,
    is_same,
    task_in,
    train,
    weights,
    without_time,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Trainings that nothing interrupts: by name, folder and result."""
    done = {}

    def of(name: str):
        if name not in done:
            folder = tmp_path_factory.mktemp("whole")
            done[name] = folder, train(folder, name)
        return done[name]

    return of


@pytest.fixture(params=TWO_TASKS)
def name(request):
    return request.param


def checkpoint(folder: Path):
    return latest_checkpoint(folder / "checkpoints")


# Going on


@pytest.mark.slow
def test_stopped_after_every_single_step_it_ends_with_the_same_weights(whole, name, tmp_path):
    folder, expected = whole(name)
    sessions = 0
    while not task_in(tmp_path, name).final.exists():
        try:
            result = train(tmp_path, name, should_stop=lambda: True)
        except Stopped as stopped:
            sessions += 1
            assert "the same command goes on from there" in str(stopped)  # noqa: PT017 - each time
    assert sessions == STEPS[name] - 1  # after the last step there is nothing left to stop
    assert is_same(weights(tmp_path, name), weights(folder, name))
    assert without_time(result.history) == without_time(expected.history)


@pytest.mark.slow
def test_an_optimizer_that_remembers_and_images_that_grow_resume_exactly(name, tmp_path):
    changes = {
        "optimizer": "rmsprop",
        "learning_rate": 0.002,
        "keep": "best",
        "progressive": Progressive(stages=2, resolution=0.7, early=0.5, larger_batches=True),
        "execution": Execution(micro_batch=7),
    }
    train(tmp_path / "whole", name, recipe=changes)
    for asks in (1, 3):
        folder = tmp_path / str(asks)
        with pytest.raises(Stopped):
            train(folder, name, recipe=changes, should_stop=StopAfter(asks))
        train(folder, name, recipe=changes)
        assert is_same(weights(folder, name), weights(tmp_path / "whole", name))


class CrashError(Exception):
    """A fault that nobody foresees."""


@pytest.mark.slow
@pytest.mark.parametrize("often", [False, True])
def test_a_fault_in_a_long_epoch_costs_no_more_than_is_allowed(whole, name, tmp_path, often):
    steps, last = itertools.count(1), EPOCH[name] + 2

    def crash() -> bool:
        if next(steps) == last:
            raise CrashError
        return False

    with pytest.raises(CrashError):
        train(tmp_path, name, should_stop=crash, save_every=0.0 if often else 120.0)
    # Asked after each step but the last of an epoch, and between epochs.
    assert checkpoint(tmp_path).step == (last - 1 if often else EPOCH[name])
    train(tmp_path, name)
    assert is_same(weights(tmp_path, name), weights(whole(name)[0], name))


def train_until_step(folder: Path, name: str, step: int) -> None:
    steps = itertools.count(1)

    def kill() -> bool:
        return kill_myself() if next(steps) == step else False

    train(folder, name, should_stop=kill, save_every=0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("classification", "supernet") else pytest.mark.slow)
        for name in TASKS
    ],
)
def test_killed_in_an_epoch_it_ends_with_the_same_weights(whole, name, tmp_path):
    torch.set_num_threads(1)
    assert is_killed(train_until_step, tmp_path, name, EPOCH[name] + 2)
    assert checkpoint(tmp_path).step == EPOCH[name] + 1
    train(tmp_path, name)
    assert is_same(weights(tmp_path, name), weights(whole(name)[0], name))


@pytest.mark.parametrize("name", EACH_TASK)
def test_records_behind_the_checkpoint_are_dropped_and_torn_lines_too(whole, name, tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path, name, should_stop=StopAfter(EPOCH[name] + 2))
    file = tmp_path / "metrics.jsonl"
    record = read_lines(file)[-1]
    file.write_text(file.read_text() + json.dumps({**record, "epoch": 2}) + '\n{"epoch": 3, "st')
    recorder = Recorder()
    result = train(tmp_path, name, callbacks=(recorder,))
    assert without_time(result.history) == without_time(whole(name)[1].history)
    kind = type(result.history[0])
    assert tuple(kind.from_dict(line) for line in read_lines(file)) == result.history
    assert recorder.records == list(result.history[1:])


# What is finished, and what is not its own


def test_a_finished_training_is_not_repeated(whole, name):
    folder, first = whole(name)
    final = task_in(folder, name).final
    before = final.stat().st_mtime_ns
    again = train(folder, name, should_stop=lambda: pytest.fail("trained again"))
    assert again.history == first.history
    assert again.images == first.images
    assert final.stat().st_mtime_ns == before
    assert not [*(folder / "checkpoints").glob("step-*"), *(folder / "checkpoints").glob("best-*")]


def test_another_training_in_the_folder_is_refused(whole, name, tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path, name, should_stop=StopAfter(1))
    for folder in (tmp_path, whole(name)[0]):
        for options in ({"seed": 3}, {"recipe": {"learning_rate": 0.0123}}):
            with pytest.raises(RunFolderError, match=r"holds .* (an)?other .* Give another folder"):
                train(folder, name, **options)


CHECKPOINT = ("state.pt", "weights.safetensors", "average.safetensors")


@pytest.mark.parametrize(
    ("name", "files"),
    [
        (TASKS[0], CHECKPOINT),
        (TASKS[1], CHECKPOINT[:1]),
        *(pytest.param(name, CHECKPOINT, marks=pytest.mark.slow) for name in TASKS[1:]),
    ],
)
def test_a_damaged_checkpoint_is_told_in_one_sentence(name, files, tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path, name, should_stop=StopAfter(2))
    step = next((tmp_path / "checkpoints").glob("step-*"))
    for file in files:
        kept = (step / file).read_bytes()
        for damaged in (kept[:100], b""):
            (step / file).write_bytes(damaged)
            with pytest.raises(RunFolderError, match=r"damaged|missing") as refused:
                train(tmp_path, name)
            assert "\n" not in str(refused.value)
        (step / file).write_bytes(kept)
    train(tmp_path, name)


# What goes wrong


def spoiled(task, *, after: int, error: Exception | None = None):
    """The task, which from a step on gives losses that are no numbers, or fails."""
    steps, learn = itertools.count(), task.learn

    def spoil(batch, epoch):
        if next(steps) < after:
            return learn(batch, epoch)
        if error is not None:
            raise error
        return learn(batch, epoch) * float("nan")

    task.learn = spoil
    return task


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(name, tmp_path):
    with pytest.raises(NonFiniteLossError, match=r"The checkpoint of step \d+ is kept\. Try a lower"):
        run_task(spoiled(task_in(tmp_path, name), after=EPOCH[name] + 1))
    kept = checkpoint(tmp_path)
    assert kept.step == EPOCH[name]
    assert all(value.isfinite().all() for value in kept.weights.values())
    assert not task_in(tmp_path, name).final.exists()


def test_weights_that_are_no_numbers_are_not_written(name, tmp_path):
    """A rate so high that a step makes such weights of a loss that was a number."""
    changes = {"learning_rate": 1000.0, "weight_decay": 1000.0, "clip": 0.0, "warmup": 0.0}
    with pytest.raises(NonFiniteLossError, match="Try a lower"):
        train(
            tmp_path, name, recipe=changes | {"epochs": 20} if name != "supernet" else changes, save_every=0.0
        )
    kept = checkpoint(tmp_path)
    assert kept is None or all(value.isfinite().all() for value in kept.weights.values())


TOO_LARGE = (
    torch.OutOfMemoryError("CUDA out of memory."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] not enough memory: you tried"),
)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        *itertools.product(TASKS[:1], TOO_LARGE),
        (TASKS[1], TOO_LARGE[0]),
        *(pytest.param(name, TOO_LARGE[0], marks=pytest.mark.slow) for name in TASKS[2:]),
    ],
)
def test_a_step_that_does_not_fit_is_one_sentence(name, tmp_path, error):
    with pytest.raises(
        OutOfMemoryError, match=r"with 16 images of \d+ px. The checkpoint of step \d is kept"
    ):
        run_task(spoiled(task_in(tmp_path, name), after=EPOCH[name], error=error))
    assert checkpoint(tmp_path).step == EPOCH[name]


def test_an_image_that_goes_during_training_loses_nothing(whole, name, tmp_path, monkeypatch):
    image, gone, steps = ArraySplit.image, [False], itertools.count(1)

    def vanishing(self, index, **options):
        if gone[0]:
            raise DataError("Cannot read cat/3.jpg: there is no such file.")
        return image(self, index, **options)

    def later() -> bool:
        gone[0] = next(steps) >= EPOCH[name]
        return False

    monkeypatch.setattr(ArraySplit, "image", vanishing)
    with pytest.raises(DataError, match=r"cat/3\.jpg"):
        train(tmp_path, name, should_stop=later)
    assert checkpoint(tmp_path).step >= EPOCH[name]
    monkeypatch.undo()
    train(tmp_path, name)
    assert is_same(weights(tmp_path, name), weights(whole(name)[0], name))


# What it leaves alone, and tells


def test_the_callers_random_state_stays_and_the_seed_decides(whole, name, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(tmp_path / "again", name, workers=2)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(Stopped):
        train(tmp_path / "other", name, seed=1, should_stop=StopAfter(EPOCH[name] + 1))
    folder, expected = whole(name)
    assert is_same(weights(tmp_path / "again", name), weights(folder, name))
    other = read_lines(tmp_path / "other" / "metrics.jsonl")[0]
    assert other["train_loss"] != expected.history[0].train_loss


def test_progress_counts_images_over_sessions(name, tmp_path):
    class Recorder:
        def __init__(self):
            self.total = self.done = 0
            self.depth = 0

        def say(self, text):
            raise AssertionError(text)

        def start(self, label, total, done=0, unit="images"):  # noqa: ARG002
            if not self.depth:
                self.total, self.done = total, done
            self.depth += 1

        def advance(self, images, info=""):  # noqa: ARG002
            self.done += images

        def stop(self):
            self.depth -= 1

    first, second = Recorder(), Recorder()
    with pytest.raises(Stopped):
        train(tmp_path, name, progress=first, should_stop=StopAfter(EPOCH[name] + 2))
    train(tmp_path, name, progress=second)
    assert first.total == second.total == second.done == 16 * STEPS[name]
    assert first.done == 16 * (EPOCH[name] + 2)


# What a recipe asks for


def test_micro_batches_add_up_to_the_gradient_of_the_batch_where_statistics_are_frozen(name, tmp_path):
    changes = {"batch_norm": "frozen", "optimizer": "rmsprop", "learning_rate": 0.001}
    changes |= {"dropout": 0.0, "stochastic_depth": 0.0}
    result = train(tmp_path / "whole", name, recipe=changes)
    assert all(math.isfinite(record.train_loss) for record in result.history)
    train(tmp_path / "parts", name, recipe=changes | {"execution": Execution(micro_batch=5)})
    parts = weights(tmp_path / "parts", name)
    for key, tensor in weights(tmp_path / "whole", name).items():
        assert torch.allclose(tensor, parts[key], atol=1e-5), key
        if "running" in key:  # as they began
            assert torch.equal(tensor, torch.full_like(tensor, float(key.endswith("var")))), key


@pytest.mark.slow
def test_recomputing_changes_nothing_but_memory(whole, name, tmp_path):
    result = train(tmp_path, name, recipe={"execution": Execution(recompute=True)})
    assert is_same(weights(tmp_path, name), weights(whole(name)[0], name))
    assert without_time(result.history) == without_time(whole(name)[1].history)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # that torch hides itself
def test_what_is_compiled_learns_the_same(whole, name, tmp_path, monkeypatch):
    """By a backend that runs the traced operations as they are, which takes seconds and not minutes."""
    traced = []

    def backend(graph, _inputs):
        traced.append(graph)
        return graph

    compile_plain = torch.compile

    def compiled(model=None, **options):
        return compile_plain(model, **{**options, "backend": backend})

    compiled.__signature__ = inspect.signature(compile_plain)
    monkeypatch.setattr(torch, "compile", compiled)
    train(tmp_path, name, recipe={"execution": Execution(compile=True)})
    assert traced
    expected = weights(whole(name)[0], name)
    for key, tensor in weights(tmp_path, name).items():
        assert torch.allclose(tensor, expected[key], atol=1e-5), key


def test_in_the_head_epochs_only_the_classifier_learns(name, tmp_path):
    changes = {"recipe": {"epochs": 2, "head_epochs": 1, "ema": 0.0}}
    if name == "supernet":  # every phase begins with such an epoch
        changes["phases"] = task_in(tmp_path, name).job.phases[:1]
    untrained = task_in(tmp_path, name, **changes)
    untrained.build()
    start = dict(untrained.module.named_parameters())
    learning = {id(weight) for weight in untrained.classifier.parameters()}
    with pytest.raises(Stopped):
        train(tmp_path, name, **changes, should_stop=StopAfter(EPOCH[name]))
    kept = checkpoint(tmp_path)
    assert kept.step == EPOCH[name]
    for key, weight in start.items():
        assert torch.equal(kept.weights[key], weight) == (id(weight) not in learning), key
    train(tmp_path, name, **changes)
    final = weights(tmp_path, name)
    assert any(
        not torch.equal(final[key], weight) for key, weight in start.items() if id(weight) not in learning
    )


def test_layers_learn_at_their_share_of_the_rate(name, tmp_path):
    task = task_in(tmp_path, name, recipe={"layer_decay": 0.5})
    state = TrainingState(task)
    scales = {
        id(weight): group["scale"] for group in state.optimizer.param_groups for weight in group["params"]
    }
    named = {key: scales[id(weight)] for key, weight in task.module.named_parameters()}
    classifier = {id(weight) for weight in task.classifier.parameters()}
    assert {scales[each] for each in classifier} == {1.0}
    lowest = {key for key, scale in named.items() if scale == min(named.values())}
    assert lowest == {key for key in named if key.startswith(("stem", "hosts.stem", "frame.stem"))}
    assert set(named.values()) == {0.5**place for place in range(len(set(named.values())))}


def test_the_best_epoch_is_kept_and_patience_ends_a_training(name, tmp_path):
    """The measures of the epochs are made up: the second one is the best."""
    changes = {"keep": "best", "patience": 2, "ema": 0.0}
    options = {"recipe": changes | {"epochs": 9}}
    if name == "supernet":
        phases = task_in(tmp_path, name).job.phases
        options = {"recipe": changes, "phases": tuple(replace(phase, epochs=9) for phase in phases)}
    kept = []

    def judged(task):
        validate = task.validate

        def judge(epoch):
            real = validate(epoch)
            if epoch.number == 1:
                kept.append({key: value.clone() for key, value in task.kept_weights().items()})
            accuracy = (0.5, 0.75, 0.25)[min(epoch.number, 2)]
            return replace(real, score=real.score._replace(accuracy=accuracy))

        task.validate = judge
        return task

    asks = 2 * EPOCH[name] + 1
    with pytest.raises(Stopped):
        run_task(judged(task_in(tmp_path, name, **options, should_stop=StopAfter(asks))))
    result = run_task(judged(task_in(tmp_path, name, **options)))
    phases = 2 if name == "supernet" else 1
    assert len(result.history) == 4 * phases  # two after the best one
    final = weights(tmp_path, name)
    for key, value in kept[-1].items():
        if "running" not in key:  # of a supernet the largest network's
            assert torch.equal(final[key], value), key


def test_images_may_be_smaller_than_the_network_and_grow(name, tmp_path):
    changes = {"train_resolution": 0.75, "progressive": Progressive(stages=2, early=0.5, resolution=0.5)}
    task, seen = task_in(tmp_path, name, recipe=changes), []
    learn = task.learn

    def watched(batch, epoch):
        seen.append((epoch.number, batch.images.shape[1]))
        return learn(batch, epoch)

    task.learn = watched
    run_task(task)
    side = task.job.preprocessing.resolution
    assert max(size for number, size in seen if number == 0) in (side // 2, round(side * 0.75))
    assert max(size for _, size in seen) == round(side * 0.75)
    assert min(size for _, size in seen) < round(side * 0.75)


def test_stochastic_depth_drops_what_a_recipe_says(whole, name, tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path, name, recipe={"stochastic_depth": 0.5}, should_stop=StopAfter(EPOCH[name] + 1))
    dropped = read_lines(tmp_path / "metrics.jsonl")[0]
    assert dropped["train_loss"] != whole(name)[1].history[0].train_loss
