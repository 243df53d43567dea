"""The phases that several verbs end with: evaluate on the test split, export, write the result and the report."""

from __future__ import annotations

import time
from dataclasses import replace

from allometry.data import Split
from allometry.deploy import ExportConfig
from allometry.reports import write_report
from allometry.reports.cam_samples import explain_samples
from allometry.runs import Evaluation, Export, MultiLabelEvaluation, RunResult, read_run
from allometry.runs.files import (
    EVALUATION,
    EXPLANATIONS,
    EXPORT,
    LABEL_EVALUATION,
    PREPROCESSING,
    write_result,
)
from allometry.training import ClassificationJob, Predictions, Preprocessing, Trained
from allometry.training.metrics.labels import best_thresholds
from allometry.training.session import Session
from allometry.verbs.evaluate import evaluate_split
from allometry.verbs.export import write_export
from allometry.verbs.quantization import ExportSource


def is_finished(session: Session) -> bool:
    """Whether the run came to its end in an earlier call; that is told, and a report that is missing is written."""
    folder = session.run.path
    if session.run.finished:
        session.progress.say(f"{folder} is finished; this is its result.")
        record = read_run(folder)
        if not record.report.exists():
            write_report([record], out=record.report)
    return session.run.finished


def finish(session: Session, result: RunResult) -> None:
    """Write the result, mark the run as finished, and write the report."""
    folder = session.run.path
    write_result(folder, result)
    session.run.finish()
    record = read_run(folder)
    write_report([record], out=record.report)


def judge(session: Session, trained: Trained, job: ClassificationJob) -> Evaluation | MultiLabelEvaluation:
    """Evaluate on the test split, and write what came of it; an evaluation that is there is kept."""
    if job.dataset.multi_label:
        return _judge_labels(session, trained, job)
    folder = session.run.path
    known = EVALUATION.read(folder)
    if known is not None:
        session.run.record_cost("evaluate", "test", seconds=0.0, images=known.images)
        return known
    began, split = time.monotonic(), job.dataset.splits["test"]
    predictions, evaluation = _evaluated(session, trained, split, "test", job.preprocessing)
    samples = explain_samples(
        trained.module, split, predictions, preprocessing=job.preprocessing, device=session.device
    )
    EXPLANATIONS.write(folder, samples)
    trained.module.cpu()
    assert isinstance(evaluation, Evaluation)  # noqa: S101
    # The price before what it was paid for: of the other order a kill in between would leave no price.
    session.run.record_cost("evaluate", "test", seconds=time.monotonic() - began, images=len(split))
    EVALUATION.write(folder, evaluation)
    low, high = evaluation.interval
    session.progress.say(
        f"test: {evaluation.accuracy:.2%} of {evaluation.counted} correct ({low:.1%} to {high:.1%})"
    )
    return evaluation


def _judge_labels(session: Session, trained: Trained, job: ClassificationJob) -> MultiLabelEvaluation:
    """The same of images with several labels, with the thresholds that are best for the validation images.

    These go into `preprocessing.json`, too, from which predictions and exported files take them.
    """
    folder, known = session.run.path, LABEL_EVALUATION.read(session.run.path)
    splits = job.dataset.splits
    images = len(splits["val"]) + len(splits["test"])
    if known is not None:
        session.run.record_cost("evaluate", "test", seconds=0.0, images=images)
    else:
        began = time.monotonic()
        seen, _ = _evaluated(session, trained, splits["val"], "val", job.preprocessing)
        thresholds = best_thresholds(seen.labels, seen.probabilities)
        own = replace(job.preprocessing, thresholds=thresholds)
        _, judged = _evaluated(session, trained, splits["test"], "test", own)
        assert isinstance(judged, MultiLabelEvaluation)  # noqa: S101
        known = judged
        trained.module.cpu()
        session.run.record_cost("evaluate", "test", seconds=time.monotonic() - began, images=images)
        LABEL_EVALUATION.write(folder, known)
        low, high = known.interval
        session.progress.say(
            f"test: mean average precision {known.mean_average_precision:.2%} of {known.counted} "
            f"({low:.1%} to {high:.1%})"
        )
    replace(job.preprocessing, thresholds=known.thresholds).save(folder / PREPROCESSING)
    return known


def _evaluated(
    session: Session, trained: Trained, images: Split, name: str, preprocessing: Preprocessing
) -> tuple[Predictions, Evaluation | MultiLabelEvaluation]:
    return evaluate_split(
        trained.module,
        images,
        name=name,
        preprocessing=preprocessing,
        device=session.device,
        progress=session.progress,
    )


def deliver(session: Session, trained: Trained, job: ClassificationJob) -> Export:
    """Export to `model.onnx`, verify it on test images and write `export.json`; what is there is kept."""
    folder = session.run.path
    known = EXPORT.read(folder)
    if known is not None:
        session.run.record_cost(
            "export", known.verification.file, seconds=0.0, images=known.verification.images
        )
        return known
    began = time.monotonic()
    source = ExportSource(
        module=trained.module,
        preprocessing=Preprocessing.load(folder / PREPROCESSING),
        dataset=job.dataset,
        config=ExportConfig(),
        progress=session.progress,
    )
    export = write_export(source, folder / ExportConfig().file)
    path, checked = folder / ExportConfig().file, export.verification
    session.run.record_cost("export", path.name, seconds=time.monotonic() - began, images=checked.images)
    EXPORT.write(folder, replace(export, path=None, script=None))  # a folder may be moved
    session.progress.say(
        f"{path.name}: top class agrees on {checked.agreement:.1%} of {checked.images} images, "
        f"largest difference {checked.largest_difference:.1e}"
    )
    return export
