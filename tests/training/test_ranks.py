"""Several processes train one network, as torchrun starts them."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
import torch

from allometry.base import InputError
from allometry.base.files import read_lines
from allometry.training import join, load_weights, train
from allometry.training.task import FINAL

from .test_loop import final, same

TOGETHER = """
    import json, sys
    sys.path[:0] = {paths!r}
    import torch
    torch.set_num_threads(1)
    from dataclasses import replace
    from pathlib import Path
    from tests.images import CLASSES, shapes_dataset
    from tests.training.conftest import NETWORK, RECIPE
    from allometry.base import Stopped
    from allometry.training import Execution, Preprocessing, Progressive, join, train
    from allometry.training.classification import ClassificationJob

    folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    execution = Execution(synchronize=options["synchronize"], micro_batch=options.get("micro_batch", 0))
    # A shift before a batch norm has no gradient but rounding, of which AdamW makes whole steps: RMSProp does not.
    recipe = replace(
        RECIPE, stochastic_depth=0.0, dropout=0.0, optimizer="rmsprop", execution=execution,
        batch_norm=options["batch_norm"],
    )
    class StopAfter:
        left = options.get("stop", 10**9)
        def __call__(self):
            self.left -= 1
            return self.left < 0
    device = torch.device("cpu")
    with join(device) as dist:
        # Followers need no folder of the leader's.
        place = folder if dist.is_main else folder / "nowhere" / str(dist.rank)
        preprocessing = Preprocessing(
            channels=1, resolution=24, crop=1.0, mean=(0.2,), std=(0.3,), classes=CLASSES
        )
        job = ClassificationJob(network=NETWORK, dataset=shapes_dataset(), preprocessing=preprocessing, recipe=recipe,
                  folder=place, dist=dist, should_stop=StopAfter())
        try:
            trained = train(job)
        except Stopped as stopped:
            print(stopped)
            sys.exit(0)
        if not dist.is_main:
            assert not place.exists(), list(place.iterdir())
"""


def together(folder, tmp_path, *, count, **options):
    script = tmp_path / "together.py"
    script.write_text(textwrap.dedent(TOGETHER.format(paths=[path for path in sys.path if path])))
    options = {"synchronize": True, "batch_norm": "train", **options}
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}", "--standalone"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    result = subprocess.run(
        [*command, str(script), str(folder), json.dumps(options)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,  # processes that wait for each other for ever are a failure, too
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def curve(folder):
    return [
        (r["train_loss"], r["val_loss"], r["train_accuracy"]) for r in read_lines(folder / "metrics.jsonl")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"batch_norm": "re-estimated"}])
def test_several_processes_give_the_curve_of_one(tmp_path, options):
    for count in (1, 2, 3):
        together(tmp_path / str(count), tmp_path, count=count, **options)
    for count in (2, 3):
        several = curve(tmp_path / str(count))
        assert len(several) == 4
        for one, other in zip(curve(tmp_path / "1"), several, strict=True):
            assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.slow
def test_frozen_statistics_need_no_exchange_and_micro_batches_go_with_processes(tmp_path):
    for count, micro_batch in ((1, 0), (2, 3)):
        options = {"synchronize": False, "batch_norm": "frozen", "micro_batch": micro_batch}
        together(tmp_path / str(count), tmp_path, count=count, **options)
    for one, other in zip(curve(tmp_path / "1"), curve(tmp_path / "2"), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.slow
def test_processes_stop_together_and_go_on_exactly(tmp_path):
    together(tmp_path / "whole", tmp_path, count=2)
    said = together(tmp_path / "parts", tmp_path, count=2, stop=2)
    assert "Stopped training after" in said
    together(tmp_path / "parts", tmp_path, count=2)
    whole, parts = (load_weights(tmp_path / name / "checkpoints" / FINAL) for name in ("whole", "parts"))
    assert same(whole, parts)
    assert curve(tmp_path / "whole") == curve(tmp_path / "parts")
    # Finished, it is not repeated, and one process may look at it.
    before = (tmp_path / "whole" / "checkpoints" / FINAL).stat().st_mtime_ns
    together(tmp_path / "whole", tmp_path, count=2)
    assert (tmp_path / "whole" / "checkpoints" / FINAL).stat().st_mtime_ns == before


def test_without_torchrun_a_process_is_alone():
    with join(torch.device("cpu"), {}) as dist:
        assert dist.alone
        assert dist.is_main
    with pytest.raises(InputError, match="'RANK' is not"), join(torch.device("cpu"), {"WORLD_SIZE": "2"}):
        pass


def test_one_process_of_torchruns_is_like_none(make_job):
    job = make_job()
    with join(job.device, {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}) as dist:
        train(make_job("one", dist=dist))
    train(job)
    assert same(final(job), final(make_job("one")))
