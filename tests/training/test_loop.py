import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from allometry.base import RunFolderError, Stopped, StorageError
from allometry.base.files import file_digest, read_lines
from allometry.runs import EpochMetrics
from allometry.training import ClassificationTask, latest_checkpoint, load_weights, loop, train
from allometry.training.checkpoint import Checkpoint
from allometry.training.task import FINAL
from tests.killing import is_killed, kill_myself

from .conftest import RECIPE, job_in
from .tasks import StopAfter


def final(job):
    return load_weights(job.folder / "checkpoints" / FINAL)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def without_time(history):
    return [replace(record, seconds=0.0, images_per_second=0.0) for record in history]


def written(job):
    """The records in the folder."""
    return tuple(EpochMetrics.from_dict(line) for line in read_lines(job.folder / "metrics.jsonl"))


def test_a_tiny_network_learns_shapes(make_job):
    job = make_job(recipe=replace(RECIPE, epochs=12))
    trained = train(job)
    assert trained.accuracy > 0.9
    assert [record.epoch for record in trained.history] == list(range(1, 13))
    assert trained.images == 12 * 64
    assert not trained.module.training
    assert written(job) == trained.history
    assert sorted(path.name for path in (job.folder / "checkpoints").iterdir()) == [FINAL]


class CrashError(Exception):
    """A fault that nobody foresees."""


def test_checkpoints_become_rare_where_writing_takes_long(make_job, monkeypatch):
    now, written = [0.0], []

    def slow(self, folder):
        now[0] += 5
        written.append(self.step)

    def second() -> bool:
        now[0] += 1  # a step
        return False

    monkeypatch.setattr(Checkpoint, "write", slow)
    recipe = replace(RECIPE, epochs=1, batch_size=1)
    train(make_job(recipe=recipe, clock=lambda: now[0], save_every=10.0, should_stop=second))
    # After ten steps; then a hundred seconds later, and none more in 72 steps; and at the end of the epoch.
    assert written == [10, 72]


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_fault_in_validation_does_not_cost_the_epoch(make_job, monkeypatch, keep):
    recipe, validate = replace(RECIPE, keep=keep), ClassificationTask.validate
    whole = make_job("whole", recipe=recipe)
    history = train(whole).history
    job = make_job(recipe=recipe, save_every=0.0, clock=lambda: 0.0)
    for epoch in (1, 4):  # the first one and the last

        def fail(task, planned, epoch=epoch):
            if planned.number + 1 == epoch:
                raise CrashError
            return validate(task, planned)

        monkeypatch.setattr(ClassificationTask, "validate", fail)
        with pytest.raises(CrashError):
            train(job)
        assert latest_checkpoint(job.folder / "checkpoints").step == 4 * epoch
    monkeypatch.undo()
    monkeypatch.setattr(loop, "take_step", lambda *_: pytest.fail("trained again"))
    again = train(job).history
    assert same(final(job), final(whole))
    assert without_time(again) == without_time(history)


def train_until_write(folder: Path, number: int) -> None:
    """Die in the middle of writing, before or after the file takes its place."""
    left, replace_file = [number], Path.replace

    def counted(self, target):
        left[0] -= 1
        if left[0] == 0:
            kill_myself()
        result = replace_file(self, target)
        if left[0] == 1 and number % 2:
            kill_myself()
        return result

    Path.replace = counted
    train(job_in(folder))


@pytest.mark.slow
def test_killed_while_writing_and_resumed_equals_uninterrupted(make_job):
    torch.set_num_threads(1)
    whole = make_job("whole")
    train(whole)
    for write in (1, 2, 3, 4, 5, 6, 7, 12, 20):
        job = make_job(f"killed {write}")
        assert is_killed(train_until_write, job.folder, write)
        train(job)
        assert same(final(job), final(whole)), write
        # What the kill left half-written is gone.
        assert [path.name for path in (job.folder / "checkpoints").iterdir() if path.name != FINAL] == []


LONG = replace(RECIPE, epochs=20, keep="best")


def train_for(folder: Path, seconds: float) -> None:
    def kill() -> None:
        time.sleep(seconds)
        kill_myself()

    threading.Thread(target=kill, daemon=True).start()
    train(job_in(folder, recipe=LONG))


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_with_the_same_weights(make_job):
    torch.set_num_threads(1)
    whole = make_job("whole", recipe=LONG)
    before = time.monotonic()
    train(whole)
    # Ten times about a fifth of what the whole takes: most begin in the middle, and some may find it finished.
    longest = 2 * (time.monotonic() - before) / 5
    job, random = make_job("killed", recipe=LONG), Random(0)
    killed, reached = 0, list[int]()
    for _ in range(10):
        killed += is_killed(train_for, job.folder, random.uniform(0, longest))
        kept = latest_checkpoint(job.folder / "checkpoints")
        done = (job.folder / "checkpoints" / FINAL).exists()
        reached.append(80 if done else kept.step if kept else 0)
    assert killed
    assert reached == sorted(reached)
    train(job)
    assert same(final(job), final(whole))


def test_a_pickle_with_code_is_not_executed(make_job, tmp_path):
    import pickle

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    job = make_job()
    with pytest.raises(Stopped):
        train(replace(job, should_stop=StopAfter(6)))
    for folder in (job.folder / "checkpoints").glob("step-*"):
        (folder / "state.pt").write_bytes(pickle.dumps(Attack()))
        manifest = json.loads((folder / "checkpoint.json").read_text())
        manifest["files"]["state.pt"] = file_digest(folder / "state.pt")  # whoever attacks can reckon, too
        (folder / "checkpoint.json").write_text(json.dumps(manifest))
    with pytest.raises(RunFolderError, match=r"damaged \(\w+\), and there is no other"):
        train(job)
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("number", ["ENOSPC", "EROFS", "EDQUOT"])
def test_a_disk_that_refuses_keeps_the_old_checkpoint(make_job, monkeypatch, number):
    import errno

    job = make_job()
    with pytest.raises(Stopped):
        train(replace(job, should_stop=StopAfter(6)))
    before = latest_checkpoint(job.folder / "checkpoints").step

    def refuse(_handle):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    monkeypatch.setattr(os, "fsync", refuse)
    says = {"ENOSPC": "the disk is full", "EROFS": "read-only", "EDQUOT": "quota"}[number]
    with pytest.raises(StorageError, match=says):
        train(job)
    monkeypatch.undo()
    assert latest_checkpoint(job.folder / "checkpoints").step == before
    assert not list((job.folder / "checkpoints").glob(".*"))
    whole = make_job("whole")
    train(whole)
    train(job)
    assert same(final(job), final(whole))


def test_bfloat16_trains_too(make_job):
    job = make_job(recipe=replace(RECIPE, precision="bfloat16", epochs=3))
    trained = train(job)
    assert trained.accuracy > 0.3
    assert {tensor.dtype for tensor in final(job).values()} == {torch.float32, torch.int64}


def test_without_average_the_weights_themselves_are_kept(make_job):
    trained = train(make_job(recipe=replace(RECIPE, ema=0.0, epochs=10)))
    assert trained.accuracy > 0.7


def test_fewer_images_than_a_batch_still_train(make_job):
    job = make_job(recipe=replace(RECIPE, batch_size=500, epochs=2))
    assert train(job).images == 2 * 72
