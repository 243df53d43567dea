"""Writing files and running them beside the original network, on the images of the test split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from allometry.base import VerificationError
from allometry.data import Split, part_of, view_batches, with_levels
from allometry.data.images.pixels import Pixels
from allometry.deploy.export_config import ExportConfig
from allometry.deploy.isolated_runtime import IsolatedRuntime
from allometry.deploy.script import script_of, write_script
from allometry.deploy.writing import write_file
from allometry.runs import Verification
from allometry.training import Preprocessing, to_input

_VERIFIED = 256


def inputs_of(
    views: Pixels, preprocessing: Preprocessing, export_config: ExportConfig
) -> np.ndarray[Any, np.dtype[np.generic]]:
    """Views, uint8 [N, R, R, C], as a delivered file takes them.

    Example:
        >>> gray = Preprocessing(channels=1, resolution=2, crop=1.0, mean=(0.5,), std=(0.5,), classes=("a",))
        >>> views = np.full((1, 2, 2, 1), 255, np.uint8)
        >>> inputs_of(views, gray, ExportConfig(normalize_inside=False)).tolist()
        [[[[1.0, 1.0], [1.0, 1.0]]]]
    """
    if export_config.normalize_inside:
        return views
    image = to_input(views, preprocessing, torch.device("cpu"))
    inputs: np.ndarray[Any, np.dtype[np.generic]] = np.ascontiguousarray(image.contiguous().numpy())
    return inputs


def verify(
    path: Path,
    module: nn.Module,
    views: Pixels,
    *,
    script: Path,
    preprocessing: Preprocessing,
    export_config: ExportConfig = ExportConfig(),
) -> Verification:
    """Run the delivered program and the module on the same views and compare.

    Args:
        path: of the file.
        module: what it was made from, on the CPU.
        views: what the network sees of some images, uint8 [N, R, R, C].
        script: the program that was delivered with the file.
        preprocessing: of the network.
        export_config: what the file is like.

    Raises:
        VerificationError: it does not load, or is further from the network than its precision allows: in float32,
            logits differ by more than 0.001 of their range, or fewer than 99 % of the top classes agree.

    Example:
        >>> gray = Preprocessing(channels=1, resolution=2, crop=1.0, mean=(0.5,), std=(0.5,), classes=("a",))
        >>> views = np.zeros((1, 2, 2, 1), np.uint8)
        >>> script = Path("no-such-script.py")
        >>> verify(Path("model.onnx"), nn.Flatten(), views, script=script, preprocessing=gray)
        Traceback (most recent call last):
            ...
        allometry.base.errors.VerificationError: no-such-script.py with its file, where there is no ...
    """
    with IsolatedRuntime(script, without=export_config.target.without) as isolated:
        theirs = isolated.logits(inputs_of(views, preprocessing, export_config))
    with torch.inference_mode():
        ours = module.eval()(to_input(views, preprocessing, torch.device("cpu"))).numpy()
    if theirs.shape != ours.shape:
        raise VerificationError(f"{path} gives logits of shape {theirs.shape}, the network {ours.shape}.")
    result = Verification(
        file=path.name,
        bytes=export_config.target.bytes(path),
        images=len(views),
        largest_difference=float(np.abs(theirs - ours).max()),
        agreement=agreement(theirs, ours, preprocessing),
        runtime=isolated.runtime,
        load_seconds=isolated.load_seconds,
        without=isolated.without,
    )
    _refuse_others(path, result, export_config, scale=max(1.0, float(np.abs(ours).max())))
    return result


def agreement(
    theirs: npt.NDArray[np.floating], ours: npt.NDArray[np.floating], preprocessing: Preprocessing
) -> float:
    """The fraction of images with the same top class; with several labels, of labels that are given alike.

    Args:
        theirs: logits, [N, classes].
        ours: as many.
        preprocessing: that knows the thresholds of several labels.

    Example:
        >>> gray = Preprocessing(channels=1, resolution=2, crop=1.0, mean=(0.5,), std=(0.5,), classes=("a", "b"))
        >>> agreement(np.array([[1.0, 0], [0, 1]]), np.array([[2.0, 0], [2, 1]]), gray)
        0.5
    """
    if preprocessing.thresholds is None:
        return float((theirs.argmax(1) == ours.argmax(1)).mean())
    probable = np.clip(preprocessing.thresholds, 1e-12, 1 - 1e-12)
    limits = np.log(probable / (1 - probable))
    return float(((theirs >= limits) == (ours >= limits)).mean())


def _refuse_others(path: Path, result: Verification, export_config: ExportConfig, *, scale: float) -> None:
    arithmetic = export_config.arithmetic
    allowed, min_agreement = arithmetic.max_difference * scale, arithmetic.min_agreement
    if not result.largest_difference <= allowed or result.agreement < min_agreement:
        raise VerificationError(
            f"{path} does not give the network's results: logits differ by up to {result.largest_difference:.2g} "
            f"(allowed {allowed:.2g}) and {result.agreement:.1%} of the answers agree (least {min_agreement:.0%})."
        )


def write_checked(
    module: nn.Module,
    path: Path,
    split: Split,
    preprocessing: Preprocessing,
    export_config: ExportConfig = ExportConfig(),
) -> Verification:
    """Write a module as a file, with the program that shows its use, and verify both on images of a split."""
    write_file(module, path, preprocessing=preprocessing, export_config=export_config)
    return check(module, path, split, preprocessing, export_config)


def check(
    module: nn.Module, path: Path, split: Split, preprocessing: Preprocessing, export_config: ExportConfig
) -> Verification:
    """Write the program that shows a file's use, and verify both on images of a split."""
    script = write_script(
        script_of(path), model=path, preprocessing=preprocessing, export_config=export_config
    )
    chosen = np.linspace(0, len(split) - 1, min(_VERIFIED, len(split))).astype(np.int64)
    batch = next(views_of(part_of(split, chosen), preprocessing, batch_size=_VERIFIED))
    return verify(
        path, module, batch, script=script, preprocessing=preprocessing, export_config=export_config
    )


def views_of(split: Split, preprocessing: Preprocessing, *, batch_size: int) -> Iterator[Pixels]:
    """What a network sees of a split's images, uint8 [N, R, R, C] at a time."""
    side, crop = preprocessing.resolution, preprocessing.crop
    seen = with_levels(split, preprocessing.levels)
    for batch in view_batches(seen, resolution=side, batch_size=batch_size, crop=crop):
        yield batch.images
