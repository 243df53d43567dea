"""`allometry explain`: class activation maps on images, of one network or of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from allometry.base import DataError, InputError
from allometry.cost import count
from allometry.nn import watch_module
from allometry.reports.explanations import Explained, Viewer, explain
from allometry.runs.folder import find_run
from allometry.training.pretrained import open_finished, open_pretrained


def explain_runs(
    paths: Sequence[Path], *, class_name: str | None = None, out: Path | None = None
) -> Explained:
    """Draw what trained runs look at in image files.

    Args:
        paths: run folders, then image files. What is a folder at the beginning is taken for a run.
        class_name: the class to explain; by default each network's most probable one.
        out: the folder for the images; by default `explain` in the first run folder.

    Raises:
        InputError: no run or no image is given, or they are mixed.
        RunFolderError: a run is missing or not finished.
        DataError: an image is missing or unreadable.
        UnknownNameError: a run has no such class.
        StorageError: an image cannot be written.
    """
    runs, images = _sorted(paths)
    names = _names(runs)
    viewers = []
    for run, name in zip(runs, names, strict=True):
        finished = open_finished(run)
        viewers.append(Viewer(name, finished.module, finished.preprocessing, count(finished.network).macs))
    return explain(viewers, images, class_name=class_name, out=out or runs[0] / "explain")


def explain_pretrained(
    network: str,
    weights: str,
    images: Sequence[Path],
    *,
    class_name: str | None = None,
    out: Path | None = None,
    crop: float | None = None,
) -> Explained:
    """Draw what a network with published weights looks at in image files.

    Args:
        network: a name of the zoo, a network's JSON file, `timm:NAME` or `package.module:factory`.
        weights: a file, `hf://owner/name`, or a run folder.
        images: files of any kind that training takes.
        class_name: the class to explain; by default the most probable one.
        out: the folder for the images; by default `explain` in the current one.
        crop: fraction of the shorter side that the view shows; by default what the weights expect.

    Raises:
        InputError: network, weights or crop are wrong.
        DataError: an image is missing or unreadable.
        UnknownNameError: the network has no such class.
        StorageError: an image cannot be written.
    """
    if crop is not None and not 0 < crop <= 1:
        raise InputError(f"The crop must be a fraction above 0 and at most 1, not {crop:g}.")
    ready = open_pretrained(network, weights)
    asked = ready.preprocessing if crop is None else replace(ready.preprocessing, crop=crop)
    macs = watch_module(ready.module, resolution=asked.resolution, in_channels=asked.channels).cost.macs
    viewer = Viewer(network, ready.module, asked, macs)
    return explain([viewer], images, class_name=class_name, out=out or Path("explain"))


def _sorted(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The run folders and the image files of a command line."""
    usage = "Give run folders first, then image files."
    runs = []
    for path in paths:
        if not path.is_dir():
            break
        runs.append(path)
    images = list(paths[len(runs) :])
    if images and not runs:
        if images[0].is_file():
            raise InputError(f"{images[0]} is a file, not a run folder. {usage}")
        find_run(images[0])  # says which runs are near
    late = next((path for path in images if path.is_dir()), None)
    if late is not None:
        raise InputError(f"{late} is a folder but comes after an image. {usage}")
    if not runs or not images:
        raise InputError(f"No image is given. {usage}" if runs else usage)
    missing = next((path for path in images if not path.exists()), None)
    if missing is not None:
        raise DataError(f"There is no file and no run folder {missing}. {usage}")
    return runs, images


def _names(runs: Sequence[Path]) -> list[str]:
    """Each run's folder name, or its whole path where two folders have the same name."""
    short = [run.resolve().name for run in runs]
    return [name if short.count(name) == 1 else str(run) for name, run in zip(short, runs, strict=True)]
