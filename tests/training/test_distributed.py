"""Several processes train together, as torchrun starts them: networks, supernets and searches by gradient."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from allometry.base import InputError, Stopped
from allometry.base.files import read_lines
from allometry.training import Execution, join, load_weights, run_task
from tests.joining import together

from .tasks import TASKS, StopAfter, is_same, task_in, train, weights

QUIET = {"stochastic_depth": 0.0, "dropout": 0.0, "ema": 0.9, "learning_rate": 0.002}
"""A shift before a batch norm has no gradient but rounding, of which AdamW makes whole steps: RMSProp does not."""
CURVE = ("train_loss", "train_accuracy", "val_loss", "largest", "smallest", "held_loss", "expected_cost")


def work(folder: Path, name: str, changes: dict, stop: int) -> None:
    """What each process does; the others need no folder of the main one's."""
    with join(torch.device("cpu")) as dist:
        place = folder if dist.is_main else folder / "nowhere" / str(dist.rank)
        recipe = QUIET | {"optimizer": "rmsprop", **changes}
        options = {"recipe": recipe, "dist": dist, "should_stop": StopAfter(stop)}
        try:
            first = run_task(task_in(place, name, **options))
        except Stopped:
            assert stop
            return
        assert not stop
        again = run_task(task_in(place, name, **options))  # finished: also for those who have no folder
        assert again.history == first.history
        assert dist.is_main or not place.exists()


def train_together(folder: Path, name: str, *, count: int, stop: int = 0, **changes: object) -> None:
    together(work, folder, name, changes, stop, count=count)


def curve(folder: Path) -> list[list[float]]:
    return [
        [record[name] for name in CURVE if record.get(name) is not None]
        for record in read_lines(folder / "metrics.jsonl")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_several_processes_give_the_curve_of_one(name, tmp_path):
    """Batch norms look at the images of all: so nothing depends on how they are shared out."""
    for count in (1, 3) if name == "classification" else (1, 2):
        train_together(tmp_path / str(count), name, count=count, execution=Execution(synchronize=True))
        several = curve(tmp_path / str(count))
        assert len(several) == (3 if name == "supernet" else 2)
        for one, other in zip(curve(tmp_path / "1"), several, strict=True):
            assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_frozen_statistics_need_no_exchange_and_micro_batches_go_with_processes(name, tmp_path):
    for count, micro_batch in ((1, 0), (2, 3)):
        execution = Execution(micro_batch=micro_batch)
        train_together(tmp_path / str(count), name, count=count, batch_norm="frozen", execution=execution)
    for one, other in zip(curve(tmp_path / "1"), curve(tmp_path / "2"), strict=True):
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_processes_stop_together_and_go_on_exactly(name, tmp_path):
    train_together(tmp_path / "whole", name, count=2)
    train_together(tmp_path / "parts", name, count=2, stop=1)
    assert not task_in(tmp_path / "parts", name).final.exists()
    train_together(tmp_path / "parts", name, count=2)
    whole, parts = (load_weights(task_in(tmp_path / kind, name).final) for kind in ("whole", "parts"))
    assert is_same(whole, parts)
    assert curve(tmp_path / "whole") == curve(tmp_path / "parts")


SCRIPT = """
    import json, sys
    sys.path[:0] = {paths!r}
    import torch
    from pathlib import Path
    from allometry.training import join, run_task
    from tests.training.tasks import task_in
    with join(torch.device("cpu")) as dist:
        folder = Path(sys.argv[1]) if dist.is_main else Path(sys.argv[1]) / "nowhere"
        run_task(task_in(folder, "classification", dist=dist))
        print(json.dumps([dist.rank, dist.world_size]))
"""


@pytest.mark.slow
def test_torchrun_starts_them(tmp_path):
    script = tmp_path / "together.py"
    script.write_text(textwrap.dedent(SCRIPT.format(paths=[path for path in sys.path if path])))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    result = subprocess.run(
        [*command, str(script), str(tmp_path / "run")],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        timeout=240,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert sorted(json.loads(line) for line in result.stdout.split("\n") if line) == [[0, 2], [1, 2]]
    assert task_in(tmp_path / "run", "classification").final.exists()


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        (
            {"WORLD_SIZE": "two"},
            "WORLD_SIZE, which `torchrun` sets, must be an integer of at least 1, not 'two'",
        ),
        ({"WORLD_SIZE": "0"}, "at least 1, not '0'"),
        ({"WORLD_SIZE": 5000 * "9"}, "at least 1, not '9"),
        ({"WORLD_SIZE": "2", "RANK": "-1", "LOCAL_RANK": "0"}, "RANK, which `torchrun` sets"),
        (
            {"WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0"},
            "RANK must be below WORLD_SIZE, which is 2, not 2",
        ),
        ({"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": ""}, "LOCAL_RANK, which `torchrun` sets"),
    ],
)
def test_variables_that_are_no_numbers_are_refused(environment, says):
    with pytest.raises(InputError) as refused, join(torch.device("cpu"), environment):
        pass
    assert says in str(refused.value)


def test_without_torchrun_a_process_is_alone():
    with join(torch.device("cpu"), {}) as dist:
        assert dist.alone
        assert dist.is_main
    with pytest.raises(InputError, match="'RANK' is not"), join(torch.device("cpu"), {"WORLD_SIZE": "2"}):
        pass


def test_one_process_of_torchruns_is_like_none(tmp_path):
    with join(torch.device("cpu"), {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}) as dist:
        train(tmp_path / "one", "classification", dist=dist)
    train(tmp_path / "plain", "classification")
    assert is_same(weights(tmp_path / "one", "classification"), weights(tmp_path / "plain", "classification"))
