"""The phases that several verbs end with: evaluate on the test split, export, write the result and the report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from allometry.base.files import read_json, write_json
from allometry.deploy import ExportConfig
from allometry.deploy.verification import write_checked
from allometry.reports import write_report
from allometry.reports.cam_samples import looks
from allometry.training import (
    ClassificationJob,
    Trained,
    predict,
    summarize,
)
from allometry.training.session import Session


def finished_result(session: Session) -> dict[str, Any] | None:
    """The result of a run that came to its end in an earlier call, else None."""
    folder = session.run.path
    if not session.run.finished:
        return None
    session.progress.say(f"{folder} is finished; this is its result.")
    if not (folder / "report.html").exists():
        write_report([folder], out=folder / "report.html")
    return read_json(folder / "result.json")


def finish(session: Session, result: dict[str, Any]) -> dict[str, Any]:
    """Write the result, mark the run as finished, and write the report."""
    folder = session.run.path
    whole = {"folder": str(folder), **result, "report": str(folder / "report.html")}
    write_json(folder / "result.json", whole)
    session.run.finish()
    write_report([folder], out=folder / "report.html")
    return whole


def tested(trained: Trained, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """A result's figures on how good the network is."""
    return {
        "validation_accuracy": trained.accuracy,
        "test_accuracy": evaluation["accuracy"],
        "test_interval": list(evaluation["interval"]),
        "test_images": evaluation["images"],
    }


def judge(session: Session, trained: Trained, job: ClassificationJob) -> dict[str, Any]:
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
    session.run.record_cost("evaluate", "test", seconds=time.monotonic() - began, images=len(split))
    low, high = evaluation["interval"]
    session.progress.say(
        f"test: {evaluation['accuracy']:.2%} of {evaluation['images']:,} images right ({low:.1%} to {high:.1%})"
    )
    return evaluation


def deliver(session: Session, trained: Trained, job: ClassificationJob) -> dict[str, Any]:
    """Export to `model.onnx`, verify it on test images and write `export.json`; what is there is kept."""
    file = session.run.path / "export.json"
    if file.exists():
        return read_json(file)
    began = time.monotonic()
    session.progress.say("exporting to ONNX and checking the file against the network")
    path = session.run.path / ExportConfig().file
    result = write_checked(trained.module, path, job.dataset.splits["test"], job.preprocessing).to_dict()
    write_json(file, result)
    session.run.record_cost("export", path.name, seconds=time.monotonic() - began, images=result["images"])
    session.progress.say(
        f"{path.name}: top class agrees on {result['agreement']:.1%} of {result['images']} images, "
        f"largest difference {result['largest_difference']:.1e}"
    )
    return result
