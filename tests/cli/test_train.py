"""`allometry train` and what it can do besides: plans, parts of a batch, teachers, boards, several processes."""

import json
import os
import subprocess
import sys

import pytest

from allometry.base.files import read_json, read_lines
from allometry.training import load_weights
from tests.images import write_photos
from tests.training.test_loop import same

SHORT = ("--set", "epochs=2", "--set", "batch_size=8")


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """A network so small that training it takes a second."""
    from allometry.arch import Head, MBConv, Network, Stage, Stem, save

    tiny = Network(
        stem=Stem(channels=8),
        stages=(Stage(block=MBConv(channels=8, expand_ratio=2, stride=2), repeats=2),),
        head=Head(channels=16, classes=3),
        resolution=24,
    )
    path = tmp_path_factory.mktemp("networks") / "tiny.json"
    save(tiny, path)
    return path


def weights(folder):
    return load_weights(folder / "checkpoints" / "final.safetensors")


def test_a_dry_run_shows_the_plan_and_leaves_nothing(call, network, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ["train", network, "--data", photos, "--recipe", "efficientnetv2", "--dry-run"]
    asked += ["--set", "epochs=8", "--set", "batch_size=8"]
    planned = call(*asked, "--json").json
    assert [phase["resolution"] for phase in planned["phases"]] == [8, 12, 15, 19]
    assert [phase["epochs"] for phase in planned["phases"]] == [2, 2, 2, 2]
    assert [phase["magnitude"] for phase in planned["phases"]] == pytest.approx([5, 5, 5, 5])
    assert planned["epochs"] == 8
    assert planned["steps"] == sum(phase["epochs"] * phase["steps"] for phase in planned["phases"])
    assert planned["memory"] > 0
    assert planned["seconds"] > 0
    shown = call(*asked)
    assert shown.status == 0
    assert "randaugment 5" in shown.out
    assert "in 8 epochs" in shown.out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_shows_the_networks_of_a_training_that_grows(call, network, photos):
    asked = ["train", network, "--data", photos, *SHORT, "--grow", "3x@2", "--law", "width", "--dry-run"]
    small, large = call(*asked, "--json").json["phases"]
    assert 2 * small["macs"] < large["macs"] <= 3 * small["macs"]
    assert "MACs" in call(*asked).out
    assert call(*asked[:-2], "--grow", "3x").status == 2


def test_a_trained_run_grows(call, network, photos, tmp_path):
    call("train", network, "--data", photos, *SHORT, "--out", tmp_path / "small")
    asked = ["grow", tmp_path / "small", "--budget", "2x", "--method", "pairs"]
    grown = call(*asked, "--out", tmp_path / "large", "--json").json
    assert grown["command"] == "grow"
    assert "MACs" in call(*asked, "--out", tmp_path / "large").out
    again = call(*asked, "--data", photos, "--epochs", "1", "--set", "batch_size=8", "--out", tmp_path / "on")
    assert "test accuracy" in again.out
    assert call(*asked, "--epochs", "1").status == 2  # nothing is trained


def test_memory_is_a_limit_that_a_resumed_training_keeps(call, network, photos, tmp_path):
    out = tmp_path / "run"
    asked = ["train", network, "--data", photos, "--out", out, "--memory", "600kB", *SHORT]
    first = call(*asked)
    assert first.status == 0, first.err
    assert "images of a step pass" in first.err
    size = read_json(out / "recipe.json")["execution.micro_batch"]
    assert 2 <= size < 8
    assert call(*asked).status == 0
    too_little = call(
        "train", network, "--data", photos, "--out", tmp_path / "other", "--memory", "1kB", *SHORT
    )
    assert too_little.status == 2
    assert "even two images at a time" in too_little.err
    wrong = call("train", network, "--data", photos, "--out", tmp_path / "other", "--memory", "much")
    assert wrong.status == 2
    assert "a size such as 4GB" in wrong.err


def test_a_student_of_another_run(call, network, photos, tmp_path):
    teacher = tmp_path / "teacher"
    assert call("train", network, "--data", photos, "--out", teacher, *SHORT).status == 0
    out = tmp_path / "student"
    asked = ["train", network, "--data", photos, "--out", out, *SHORT]
    taught = call(*asked, "--teacher", teacher)
    assert taught.status == 0, taught.err
    assert not same(weights(teacher), weights(out))
    assert call(*asked).status == 2  # the same folder without the teacher is another training
    others = write_photos(tmp_path / "others", per_class=8)
    next(path for path in sorted(others.iterdir()) if path.is_dir()).rename(others / "renamed")
    refused = call("train", network, "--data", others, "--out", tmp_path / "no", "--teacher", teacher, *SHORT)
    assert refused.status == 2
    assert "are not in both" in refused.err
    missing = call("train", network, "--data", photos, "--out", tmp_path / "no2", "--teacher", "nowhere")
    assert missing.status == 2
    assert "no run folder nowhere" in missing.err


def test_the_board_has_every_epoch_once(call, network, photos, tmp_path):
    board = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "run"
    assert (
        call("train", network, "--data", photos, "--out", out, "--callback", "tensorboard", *SHORT).status
        == 0
    )
    found = board.EventAccumulator(str(out / "tensorboard"))
    found.Reload()
    records = read_lines(out / "metrics.jsonl")
    events = found.Scalars("accuracy/val")
    assert [event.step for event in events] == [record["step"] for record in records]
    assert [event.value for event in events] == pytest.approx([record["val_accuracy"] for record in records])


def test_without_tensorboard_the_extra_is_named(call, network, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    result = call(
        "train", network, "--data", photos, "--out", tmp_path / "run", "--callback", "tensorboard", *SHORT
    )
    assert result.status == 2
    assert "allometry[tensorboard]" in result.err


@pytest.mark.slow
def test_torchrun_trains_with_two_processes(network, photos, tmp_path):
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--standalone",
        "-m",
        "allometry",
    ]
    command += ["train", str(network), "--data", str(photos), "--out", str(out), "--json", *SHORT]
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    for _ in range(2):  # the second time it only shows the result
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=environment, timeout=240
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert json.loads(done.stdout)["folder"] == str(out)
    assert len(read_lines(out / "metrics.jsonl")) == 2
    assert (out / "report.html").exists()
