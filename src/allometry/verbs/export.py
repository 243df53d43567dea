"""`allometry export`: a finished run as a file for another runtime, checked, and quantized by its own images."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from allometry.base import InputError, Progress, SilentProgress
from allometry.base.files import write_json
from allometry.base.units import format_milliseconds
from allometry.data import Dataset, Split, part_of
from allometry.deploy import ExportConfig, Layer, inputs_of, quantize, write_file, write_script
from allometry.deploy.formats import METADATA, convert_to_openvino
from allometry.deploy.isolated_runtime import IsolatedRuntime
from allometry.deploy.verification import SCRIPT, check, views_of, write_checked
from allometry.profiling import MeasureConfig, MeasuredNetwork, Runtime, machine_info, measure
from allometry.training import Preprocessing
from allometry.training.pretrained import FinishedRun, open_finished
from allometry.verbs.evaluate import data_of

CALIBRATION = 256
MOST_LOSS = 0.01
_SHOWN = 5
_JUDGED = 256  # images at once
_BATCH = 32  # images that a calibration takes at once, where the file leaves that free
_EFFORT = MeasureConfig(rounds=7, seconds=0.15, warm_up=5.0)


def export_run(
    run: Path,
    *,
    export_config: ExportConfig = ExportConfig(),
    out: Path | None = None,
    calibration: int = CALIBRATION,
    most_loss: float = MOST_LOSS,
    progress: Progress = SilentProgress(),
) -> dict[str, Any]:
    """Export a trained run, with a program that shows its use, and verify the file on the run's own test images.

    int8 is calibrated on the run's training images and judged on its validation images, beside the same network in
    float32.

    Args:
        run: the run folder.
        export_config: what the file is to be like.
        out: the file; by default `model.onnx` in the run folder, and in a folder of its own under `exports` there for
            all other deliveries.
        calibration: training images to calibrate int8 with.
        most_loss: accuracy that int8 may lose before the result warns of it, from 0 to 1.
        progress: is told how it goes.

    Returns:
        The verification's fields and `path`, `script`, `export_config`; for int8, `int8`: accuracy before and after,
        agreement, bytes, latency and the layers that suffer most.

    Raises:
        RunFolderError: the run is missing or not finished.
        InputError: things do not go together.
        VerificationError: the file does not give the network's results.
        MissingExtraError: the format's library is not installed.
        StorageError: the file cannot be written.
    """
    if calibration < 1:
        raise InputError(f"int8 is calibrated with at least one image, not {calibration}.")
    began = time.monotonic()
    finished = open_finished(run)
    dataset = data_of(finished, None, progress)
    folder = run if export_config == ExportConfig() else run / "exports" / label(export_config)
    path = out or folder / export_config.file
    progress.say(f"exporting to {path} and checking the file against the network")
    test = dataset.splits["test"]
    more: dict[str, Any] = {}
    if export_config.precision == "int8":
        more = _int8(finished, dataset, path, export_config, calibration, most_loss, progress)
        found = check(finished.module, path, test, finished.preprocessing, export_config)
    else:
        found = write_checked(finished.module, path, test, finished.preprocessing, export_config)
    result = {**found.to_dict(), **more, "delivery": asdict(export_config)}
    if out is None:
        write_json(path.with_name("export.json"), result)
        finished.folder.record_cost("export", label(export_config), seconds=time.monotonic() - began)
    return {**result, "path": str(path), "script": str(path.with_name(SCRIPT))}


def label(export_config: ExportConfig) -> str:
    """A delivery as the name of a folder.

    Example:
        >>> label(ExportConfig(precision="int8", normalize_inside=True, batch=1))
        'onnx-int8-pixels-batch1'
    """
    words = [
        export_config.format,
        *([export_config.precision] if export_config.precision != "float32" else []),
        *(["pixels"] if export_config.normalize_inside else []),
        *(["any-size"] if export_config.any_size else []),
        *([f"batch{export_config.batch}"] if export_config.batch else []),
    ]
    return "-".join(words)


def _int8(
    finished: FinishedRun,
    dataset: Dataset,
    path: Path,
    export_config: ExportConfig,
    calibration: int,
    most_loss: float,
    progress: Progress,
) -> dict[str, Any]:
    """Quantize, and judge both files by validation images."""
    preprocessing, splits = finished.preprocessing, dataset.splits
    plain = replace(export_config, format="onnx", precision="float32")
    with tempfile.TemporaryDirectory() as name:
        source = write_file(
            finished.module, Path(name) / "model.onnx", preprocessing=preprocessing, export_config=plain
        )
        progress.say(f"calibrating with {min(calibration, len(splits['train']))} training images")
        batches = list(_calibration(splits["train"], preprocessing, export_config, calibration))
        # OpenVINO has kernels of its own and no sums of 16 bits.
        reduced = export_config.format == "onnx" and _sums_overflow()
        made = path if export_config.format == "onnx" else Path(name) / "int8.onnx"
        layers = quantize(source, made, batches=batches, reduced=reduced)
        if export_config.format == "openvino":
            convert_to_openvino(made, path, metadata={METADATA: json.dumps(asdict(preprocessing))})
        progress.say(f"judging both files on {len(splits['val']):,} validation images")
        before = _scores(source, plain, splits["val"], preprocessing)
        after = _scores(path, export_config, splits["val"], preprocessing)
        speeds = _latencies(source, path, export_config, preprocessing)
    truth = splits["val"].labels
    accuracies = [float((scores.argmax(1) == truth).mean()) for scores in (before, after)]
    return {
        "int8": {
            "images": len(truth),
            "calibration": min(calibration, len(splits["train"])),
            "accuracy_before": accuracies[0],
            "accuracy_after": accuracies[1],
            "agreement": float((before.argmax(1) == after.argmax(1)).mean()),
            **speeds,
            "layers": [layer._asdict() for layer in layers[:_SHOWN]],
            "warning": _warning(accuracies, most_loss, layers, speeds),
        }
    }


def _calibration(
    split: Split, preprocessing: Preprocessing, export_config: ExportConfig, number: int
) -> Iterator[np.ndarray[Any, np.dtype[np.generic]]]:
    """Random training images as the file takes them, in whole batches."""
    chosen = np.random.default_rng(0).permutation(len(split))[:number]
    for views in views_of(part_of(split, chosen), preprocessing, batch_size=export_config.batch or _BATCH):
        filling = np.repeat(
            views[-1:], export_config.batch - len(views) if export_config.batch else 0, axis=0
        )
        yield inputs_of(np.concatenate([views, filling]), preprocessing, export_config)


def _scores(
    path: Path, export_config: ExportConfig, split: Split, preprocessing: Preprocessing
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A file's scores for a split, float32 [N, classes]."""
    script = write_script(
        path.with_name(SCRIPT), model=path, preprocessing=preprocessing, export_config=export_config
    )
    with IsolatedRuntime(script, export_config.format) as elsewhere:
        return np.concatenate(
            [
                elsewhere.scores(inputs_of(views, preprocessing, export_config))
                for views in views_of(split, preprocessing, batch_size=_JUDGED)
            ]
        )


def _latencies(
    source: Path, path: Path, export_config: ExportConfig, preprocessing: Preprocessing
) -> dict[str, float]:
    """Seconds of a run with one thread, of both files in the runtime that is delivered, by turns."""
    runtime: Runtime = "onnxruntime" if export_config.format == "onnx" else "openvino"
    chosen = [
        MeasuredNetwork(
            name=name,
            runtime=runtime,
            file=file,
            batch=export_config.batch or 1,
            channels=preprocessing.channels,
            resolution=preprocessing.resolution,
        )
        for name, file in (("float32", source), ("int8", path))
    ]
    before, after = (each.latency.median for each in measure(chosen, config=_EFFORT).measured)
    return {"latency_before": before, "latency_after": after}


def _sums_overflow() -> bool:
    instructions = machine_info().instructions
    return "avx2" in instructions and not {"avx512_vnni", "avx_vnni"} & set(instructions)


def _warning(
    accuracies: Sequence[float], most_loss: float, layers: Sequence[Layer], speeds: Mapping[str, float]
) -> str | None:
    """What speaks against the file, and what to do about it."""
    found = []
    loss = accuracies[0] - accuracies[1]
    if loss > most_loss:
        worst = ", ".join(f"{layer.name} ({layer.noise:.1%})" for layer in layers[:3])
        found.append(
            f"int8 loses {loss:.1%} of the validation images, more than the {most_loss:.1%} that were allowed; "
            f"{worst} suffer most."
        )
    before, after = speeds["latency_before"], speeds["latency_after"]
    if after > before:
        found.append(
            f"int8 is slower here than float32: {format_milliseconds(after)} against {format_milliseconds(before)}."
        )
    if not found:
        return None
    return (
        f"{' '.join(found)} Networks without squeeze-excite and with ReLU6 bear it better: train the Lite form of this "
        "one (`allometry scale network.json --lite --save lite.json`), or deliver it in bfloat16 or float32."
    )
