"""The last phases of every training: judge on the test split, export, verify."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from allometry.base.files import read_json, write_json
from allometry.data import Split, view_batches
from allometry.deploy import export_onnx, verify_onnx
from allometry.pipeline.common import Session
from allometry.pipeline.looks import looks
from allometry.train import Job, Preprocessing, Trained, predict, summarise, to_input

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
    evaluation = summarise(said, split, name="test", classes=job.dataset.classes).to_dict()
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
    path = export_onnx(trained.module, session.run.path / "model.onnx", preprocessing=job.preprocessing)
    result = verify_inputs(path, trained.module, job.dataset.splits["test"], job.preprocessing)
    write_json(file, result)
    session.run.charge("export", path.name, seconds=time.monotonic() - began, images=result["images"])
    session.progress.say(
        f"{path.name}: top class agrees on {result['agreement']:.1%} of {result['images']} images, "
        f"largest difference {result['largest_difference']:.1e}"
    )
    return result


def verify_inputs(
    path: Path, module: nn.Module, split: Split, preprocessing: Preprocessing
) -> dict[str, Any]:
    """Verify an ONNX file on the first images of a split."""
    batches = view_batches(
        split, resolution=preprocessing.resolution, batch_size=_VERIFIED, crop=preprocessing.crop
    )
    images = next(iter(batches)).images
    inputs = to_input(images, preprocessing, torch.device("cpu")).contiguous().numpy()
    return verify_onnx(path, module, np.ascontiguousarray(inputs)).to_dict()
