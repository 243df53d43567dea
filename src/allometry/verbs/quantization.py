"""int8: a network quantized with its own training images, and judged beside float32."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from torch import nn

from allometry.base import Progress
from allometry.base.units import format_milliseconds
from allometry.data import Dataset, Split, part_of
from allometry.data.dataset import Labels
from allometry.deploy import ExportConfig, inputs_of, write_file, write_script
from allometry.deploy.isolated_runtime import IsolatedRuntime
from allometry.deploy.onnx import quiet_exporter
from allometry.deploy.verification import agreement, views_of
from allometry.deploy.writing import library_errors, write_request
from allometry.profiling import MeasureConfig, MeasuredNetwork, measure
from allometry.runs import QuantizationQuality
from allometry.training import Preprocessing, mean_average_precision

if TYPE_CHECKING:
    from allometry.profiling import Runtime

_SHOWN = 5
_JUDGED = 256  # images at once
_BATCH = 32  # images that a calibration takes at once, where the file leaves that free
_MEASURING = MeasureConfig(rounds=7, seconds=0.15, warm_up=5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSource:
    """What is exported, what the file is to be like, and the images to check it by.

    Attributes:
        module: the trained module, on the CPU.
        preprocessing: of its input.
        dataset: its images.
        config: what the file is to be like.
        progress: is told how it goes.
    """

    module: nn.Module
    preprocessing: Preprocessing
    dataset: Dataset
    config: ExportConfig
    progress: Progress


def write_int8(
    source: ExportSource, path: Path, *, script: Path, calibration: int, max_accuracy_drop: float
) -> QuantizationQuality:
    """Quantize with training images, and judge both files by validation images.

    Args:
        source: what is exported.
        path: of the file.
        script: its program, which is written, too.
        calibration: training images to calibrate with.
        max_accuracy_drop: accuracy that int8 may lose before the result warns of it, from 0 to 1.

    Raises:
        MissingExtraError: the target's library is not installed.
        StorageError: the file cannot be written.
    """
    preprocessing, config, splits = source.preprocessing, source.config, source.dataset.splits
    number = min(calibration, len(splits["train"]))
    float32 = replace(config, precision="float32")
    with tempfile.TemporaryDirectory() as name:
        plain = Path(name) / float32.file
        write_file(source.module, plain, preprocessing=preprocessing, export_config=float32)
        source.progress.say(f"calibrating with {number} training images")
        batches = list(_calibration(splits["train"], preprocessing, config, number))
        request = write_request(source.module, preprocessing, config)
        with quiet_exporter(), library_errors(config):
            layers = config.target.quantize(request, path, float32=plain, batches=batches)
        source.progress.say(f"judging both files on {len(splits['val']):,} validation images")
        before = _logits(plain, float32, splits["val"], preprocessing, plain.with_name("predict.py"))
        after = _logits(path, config, splits["val"], preprocessing, script)
        latency_before, latency_after = _latencies(plain, path, config, preprocessing)
    truth = splits["val"].labels
    quality = QuantizationQuality(
        images=len(truth),
        calibration=number,
        accuracy_before=_accuracy(before, truth),
        accuracy_after=_accuracy(after, truth),
        agreement=agreement(before, after, preprocessing),
        latency_before=latency_before,
        latency_after=latency_after,
        layers=layers[:_SHOWN],
    )
    return replace(quality, warning=_warning(quality, max_accuracy_drop))


def _accuracy(logits: npt.NDArray[np.floating], labels: Labels) -> float:
    """What is judged by: accuracy, or, of several labels, mean average precision."""
    if labels.ndim == 2:
        return mean_average_precision(labels, logits)
    return float((logits.argmax(1) == labels).mean())


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


def _logits(
    path: Path, export_config: ExportConfig, split: Split, preprocessing: Preprocessing, script: Path
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A file's logits for a split, float32 [N, classes]."""
    write_script(script, model=path, preprocessing=preprocessing, export_config=export_config)
    with IsolatedRuntime(script, without=export_config.target.without) as runtime:
        return np.concatenate(
            [
                runtime.logits(inputs_of(views, preprocessing, export_config))
                for views in views_of(split, preprocessing, batch_size=_JUDGED)
            ]
        )


def _latencies(
    plain: Path, path: Path, export_config: ExportConfig, preprocessing: Preprocessing
) -> tuple[float, float] | tuple[None, None]:
    """Seconds of a run with one thread, of both files in the runtime that is delivered, by turns.

    None where that runtime is not one that is measured.
    """
    runtime = export_config.target.measured_in
    if runtime is None:
        return None, None
    chosen = [
        MeasuredNetwork(
            name=name,
            runtime=cast("Runtime", runtime),
            file=file,
            batch=export_config.batch or 1,
            channels=preprocessing.channels,
            resolution=preprocessing.resolution,
        )
        for name, file in (("float32", plain), ("int8", path))
    ]
    before, after = (one.latency.median for one in measure(chosen, config=_MEASURING).measured)
    return before, after


def _warning(quality: QuantizationQuality, max_accuracy_drop: float) -> str:
    """What speaks against the file, and what to do about it; empty where nothing does."""
    reasons = []
    drop = quality.accuracy_before - quality.accuracy_after
    if drop > max_accuracy_drop:
        worst = ", ".join(f"{layer.name} ({layer.noise:.1%})" for layer in quality.layers[:3])
        reasons.append(
            f"int8 loses {drop:.1%} of the validation images, more than the {max_accuracy_drop:.1%} that were allowed; "
            f"{worst} suffer most."
        )
    before, after = quality.latency_before, quality.latency_after
    if before is not None and after is not None and after > before:
        reasons.append(
            f"int8 is slower here than float32: {format_milliseconds(after)} against {format_milliseconds(before)}."
        )
    if not reasons:
        return ""
    return (
        f"{' '.join(reasons)} Networks without squeeze-excite and with ReLU6 bear it better: train the Lite form of "
        "this one (`allometry scale network.json --lite --save lite.json`), or deliver it in bfloat16 or float32."
    )
