"""The last phases of every training: judge on the test split, export, verify."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from allometry.base import Progress
from allometry.base.files import read_json, write_json
from allometry.base.runs import RunFolder
from allometry.data import Dataset, Split, view_batches
from allometry.deploy import export_onnx, verify_onnx
from allometry.train import Preprocessing, predict, summarise, to_input

_VERIFIED = 256


def judge(
    opened: RunFolder,
    module: nn.Module,
    dataset: Dataset,
    preprocessing: Preprocessing,
    *,
    device: torch.device,
    progress: Progress,
) -> dict[str, Any]:
    """Evaluate on the test split and write `evaluation.json`; an evaluation that is there is kept."""
    file = opened.path / "evaluation.json"
    if file.exists():
        return read_json(file)
    began = time.monotonic()
    split = dataset.splits["test"]
    said = predict(module.to(device), split, preprocessing=preprocessing, device=device, progress=progress)
    module.cpu()
    evaluation = summarise(said, split, name="test", classes=dataset.classes).to_dict()
    write_json(file, evaluation)
    opened.charge("evaluate", "test", seconds=time.monotonic() - began, images=len(split))
    low, high = evaluation["interval"]
    progress.say(
        f"test: {evaluation['accuracy']:.2%} of {evaluation['images']:,} images right ({low:.1%} to {high:.1%})"
    )
    return evaluation


def deliver(
    opened: RunFolder,
    module: nn.Module,
    dataset: Dataset,
    preprocessing: Preprocessing,
    *,
    progress: Progress,
) -> dict[str, Any]:
    """Export to `model.onnx`, verify it on test images and write `export.json`; what is there is kept."""
    file = opened.path / "export.json"
    if file.exists():
        return read_json(file)
    began = time.monotonic()
    progress.say("exporting to ONNX and checking the file against the network")
    path = export_onnx(module, opened.path / "model.onnx", preprocessing=preprocessing)
    result = verify_inputs(path, module, dataset.splits["test"], preprocessing)
    write_json(file, result)
    opened.charge("export", path.name, seconds=time.monotonic() - began, images=result["images"])
    progress.say(
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
