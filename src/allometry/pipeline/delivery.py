"""The last phases of every training: judge on the test split, export, verify."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from allometry.base.files import read_json, write_json
from allometry.data import Split, part_of, view_batches
from allometry.data.pictures.pixels import Pixels
from allometry.deploy import Delivery, Verification, verify, write_file, write_script
from allometry.pipeline.common import Session
from allometry.pipeline.looks import looks
from allometry.train import Job, Preprocessing, Trained, predict, summarize

SCRIPT = "predict.py"
_VERIFIED = 256


def judge(session: Session, trained: Trained, job: Job) -> dict[str, Any]:
    """Evaluate on the test split, write `explain.json` and `evaluation.json`; an evaluation that is there is kept."""
    file = session.run.path / "evaluation.json"
    if file.exists():
        return read_json(file)
    began, split = time.monotonic(), job.dataset.splits["test"]
    said = predict(
        trained.module.to(session.device),
        split,
        preprocessing=job.preprocessing,
        device=session.device,
        progress=session.progress,
    )
    seen = looks(trained.module, split, said, preprocessing=job.preprocessing, device=session.device)
    trained.module.cpu()
    write_json(session.run.path / "explain.json", seen)
    evaluation = summarize(said, split, name="test", classes=job.dataset.classes).to_dict()
    write_json(file, evaluation)
    session.run.charge("evaluate", "test", seconds=time.monotonic() - began, images=len(split))
    low, high = evaluation["interval"]
    session.progress.say(
        f"test: {evaluation['accuracy']:.2%} of {evaluation['images']:,} images right ({low:.1%} to {high:.1%})"
    )
    return evaluation


def deliver(session: Session, trained: Trained, job: Job) -> dict[str, Any]:
    """Export to `model.onnx`, verify it on test images and write `export.json`; what is there is kept."""
    file = session.run.path / "export.json"
    if file.exists():
        return read_json(file)
    began = time.monotonic()
    session.progress.say("exporting to ONNX and checking the file against the network")
    path = session.run.path / Delivery().file
    result = write_checked(trained.module, path, job.dataset.splits["test"], job.preprocessing).to_dict()
    write_json(file, result)
    session.run.charge("export", path.name, seconds=time.monotonic() - began, images=result["images"])
    session.progress.say(
        f"{path.name}: top class agrees on {result['agreement']:.1%} of {result['images']} images, "
        f"largest difference {result['largest_difference']:.1e}"
    )
    return result


def write_checked(
    module: nn.Module,
    path: Path,
    split: Split,
    preprocessing: Preprocessing,
    delivery: Delivery = Delivery(),
) -> Verification:
    """Write a module as a file, with the program that shows its use, and verify both on images of a split."""
    write_file(module, path, preprocessing=preprocessing, delivery=delivery)
    return check(module, path, split, preprocessing, delivery)


def check(
    module: nn.Module, path: Path, split: Split, preprocessing: Preprocessing, delivery: Delivery
) -> Verification:
    """Write the program that shows a file's use, and verify both on images of a split."""
    script = write_script(path.with_name(SCRIPT), model=path, preprocessing=preprocessing, delivery=delivery)
    chosen = np.linspace(0, len(split) - 1, min(_VERIFIED, len(split))).astype(np.int64)
    batch = next(views_of(part_of(split, chosen), preprocessing, batch_size=_VERIFIED))
    return verify(path, module, batch, script=script, preprocessing=preprocessing, delivery=delivery)


def views_of(split: Split, preprocessing: Preprocessing, *, batch_size: int) -> Iterator[Pixels]:
    """What a network sees of a split's images, uint8 [N, R, R, C] at a time."""
    side, crop = preprocessing.resolution, preprocessing.crop
    for batch in view_batches(split, resolution=side, batch_size=batch_size, crop=crop):
        yield batch.images
