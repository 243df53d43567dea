"""`allometry export`: a trained network as a file for another runtime, checked, and quantized by its own images."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from allometry.base import InputError, Progress
from allometry.base.files import placing, sweep
from allometry.base.holding import hold
from allometry.base.progress import as_progress
from allometry.data import Data, as_images
from allometry.deploy import ExportConfig, ExportTarget, as_target
from allometry.deploy.answers import ExpectedAnswer
from allometry.deploy.image_kinds import samples_of
from allometry.deploy.script import refuse_foreign, refuse_foreign_model, script_of, write_script
from allometry.deploy.verification import verify, views_to_check
from allometry.deploy.writing import write_file
from allometry.runs import Export, Verification
from allometry.runs.files import EXPORT
from allometry.training.pretrained import Classifier, open_finished
from allometry.verbs.arguments import RunLike, folder_of
from allometry.verbs.evaluate import data_of
from allometry.verbs.predict import classify, view_of
from allometry.verbs.quantization import ExportSource, write_int8

CALIBRATION = 256
MAX_ACCURACY_DROP = 0.01


def export(
    run: RunLike,
    *,
    to: ExportTarget | str = "onnx",
    precision: str = "float32",
    batch: int | None = None,
    any_size: bool = False,
    normalize_inside: bool = False,
    data: Data | None = None,
    calibration: int = CALIBRATION,
    max_accuracy_drop: float = MAX_ACCURACY_DROP,
    out: str | Path | None = None,
    progress: Progress | bool = True,
) -> Export:
    """Write a trained network as a file for another runtime, with a program that shows its use, and verify both.

    The file is compared with the network on the run's test images. int8 is calibrated on its training images and judged
    on its validation images, beside the same network in float32.

    Args:
        run: a run or its folder.
        to: the target: its name (of `allometry.deploy.TARGETS`), or an `allometry.deploy.ExportTarget` of your own.
        precision: of the arithmetic: `float32`, or whatever else the target has, such as `int8` of onnx and openvino.
        batch: images that the file takes at once, 0 for any number; by default that, and 1 where it is fixed.
        any_size: whether images of other sizes than the network's resolution may come.
        normalize_inside: whether the file takes pixels, uint8 [N, H, W, C], and normalizes them itself.
        data: as for `evaluate`; by default the run's own.
        calibration: training images to calibrate int8 with.
        max_accuracy_drop: accuracy that int8 may lose before the result warns of it, from 0 to 1.
        out: the file; by default `model.onnx` in the run folder, and in a folder of its own under `exports` there for
            everything else.
        progress: True for a bar or lines, False for silence, or whatever is to be told.

    Raises:
        RunFolderError: the run is missing or not finished.
        InputError: things do not go together.
        DataError: the run's data was given as a value that it does not hold.
        VerificationError: the file does not give the network's results.
        MissingExtraError: the target's library is not installed.
        ExportError: that library cannot write this network.
        StorageError: the file cannot be written.

    Example, with a run, `trained`:
        >>> exported = export(trained, batch=1, progress=False)
        >>> exported.format, exported.batch, exported.verification.agreement
        ('onnx', 1, 1.0)
    """
    if calibration < 1:
        raise InputError(f"int8 is calibrated with at least one image, not {calibration}.")
    target = as_target(to)
    config = ExportConfig(
        target=target,
        precision=precision,
        batch=int(not target.open_batch) if batch is None else batch,
        any_size=any_size,
        normalize_inside=normalize_inside,
    )
    began, display, folder = time.monotonic(), as_progress(progress), folder_of(run)
    finished = open_finished(folder)
    default = folder if config == ExportConfig() else folder / "exports" / label(config)
    path = Path(out) if out is not None else default / config.file
    if out is not None:
        refuse_foreign_model(path, target)
    source = ExportSource(
        module=finished.module,
        preprocessing=finished.preprocessing,
        dataset=data_of(run, finished, data, display),
        config=config,
        progress=display,
    )
    with hold(folder), hold(path.parent, make=True):
        for name in (path.name, EXPORT.name):
            sweep(path.parent, name=name)
        made = write_export(source, path, calibration=calibration, max_accuracy_drop=max_accuracy_drop)
        if out is None:
            seconds, images = time.monotonic() - began, made.verification.images
            finished.folder.record_cost("export", label(config), seconds=seconds, images=images)
            EXPORT.write(path.parent, replace(made, path=None, script=None))  # a folder may be moved
    return made


def write_export(
    source: ExportSource,
    path: Path,
    *,
    calibration: int = CALIBRATION,
    max_accuracy_drop: float = MAX_ACCURACY_DROP,
) -> Export:
    """Write the file and its program, and verify both; see `export`."""
    config = source.config
    script = script_of(path)
    refuse_foreign(script)  # before anything is written
    source.progress.say(f"exporting to {path} and checking the file against the network")
    int8 = None
    # What is not verified never takes its place.
    with placing(path.parent, name=path.name) as beside:
        staged, program = beside / path.name, beside / script.name
        if config.arithmetic.calibrated:
            int8 = write_int8(
                source, staged, script=program, calibration=calibration, max_accuracy_drop=max_accuracy_drop
            )
        else:
            write_file(source.module, staged, preprocessing=source.preprocessing, export_config=config)
        write_script(program, model=staged, preprocessing=source.preprocessing, export_config=config)
        verification = _verified(source, staged, program)
    return Export(
        verification=verification,
        format=config.target.name,
        precision=config.precision,
        batch=config.batch,
        any_size=config.any_size,
        normalize_inside=config.normalize_inside,
        int8=int8,
        path=path,
        script=script,
    )


def _verified(source: ExportSource, path: Path, script: Path) -> Verification:
    """Compare the file and its program with the network, on test images and on image files."""
    preprocessing = source.preprocessing
    with tempfile.TemporaryDirectory() as folder:
        return verify(
            path,
            source.module,
            views_to_check(source.dataset.splits["test"], preprocessing),
            script=script,
            preprocessing=preprocessing,
            export_config=source.config,
            files=_expected_answers(source, Path(folder)),
        )


def _expected_answers(source: ExportSource, folder: Path) -> list[ExpectedAnswer]:
    """What `predict` says of image files of each kind."""
    classifier = Classifier(source.module, source.preprocessing)
    places = {name: place for place, name in enumerate(source.preprocessing.classes)}
    samples = samples_of(source.dataset.splits)
    paths = [folder / str(number) for number in range(len(samples))]
    for path, sample in zip(paths, samples, strict=True):
        path.write_bytes(sample.data)
    images = as_images(paths)
    predictions = classify(classifier, images, top=len(places))
    return [
        ExpectedAnswer(
            path=path,
            kind=sample.kind,
            view=None if prediction.error else view_of(classifier, image),
            classes={places[name]: value for name, value in prediction.classes},
        )
        for path, sample, image, prediction in zip(paths, samples, images, predictions, strict=True)
    ]


def label(export_config: ExportConfig) -> str:
    """A delivery as the name of a folder.

    Example:
        >>> label(ExportConfig(precision="int8", normalize_inside=True, batch=1))
        'onnx-int8-pixels-batch1'
    """
    words = [
        export_config.target.name,
        *([export_config.precision] if export_config.precision != "float32" else []),
        *(["pixels"] if export_config.normalize_inside else []),
        *(["any-size"] if export_config.any_size else []),
        *([f"batch{export_config.batch}"] if export_config.batch else []),
    ]
    return "-".join(words)
