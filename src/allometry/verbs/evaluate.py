"""`allometry evaluate`: how good a trained network is, on its own data or on other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from allometry.base import DataError, Progress, UnknownNameError
from allometry.base.progress import as_progress
from allometry.data import Data, Dataset, Split, as_dataset, as_split, data_argument, data_name, is_value
from allometry.data.dataset import SPLITS
from allometry.runs import Evaluation, MultiLabelEvaluation
from allometry.training import Predictions, Preprocessing, summarize, summarize_labels
from allometry.training import predict as predict_split
from allometry.training.devices import resolve_device
from allometry.training.pretrained import FinishedRun, open_finished
from allometry.verbs.arguments import RunLike, dataset_of, folder_of


def evaluate(
    run: RunLike,
    *,
    data: Data | None = None,
    split: str = "test",
    device: str | None = None,
    progress: Progress | bool = True,
) -> Evaluation | MultiLabelEvaluation:
    """Accuracy, calibration and each class of a trained network, with intervals.

    Of images with several labels instead the mean average precision, and for each label its average precision and its
    figures from the threshold on that was best for the validation images.

    Args:
        run: a run or its folder.
        data: other data of the same classes, as `allometry.data.as_dataset` takes it; by default the run's own. The
            values that the run was trained on are cut as they were then. Of other arrays and data sets without splits
            all images count: integers among their labels are indices into the run's classes.
        split: `train`, `val` or `test`.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        progress: True for a bar or lines, False for silence, or whatever is to be told.

    Raises:
        RunFolderError: the run is missing or not finished.
        DataError: the data's classes are not the run's, or the run's data was given as a value that it does not hold.
        UnknownNameError: no such split.

    Example, with a run, `trained`, on arrays:
        >>> evaluation = evaluate(trained, split="val", progress=False)
        >>> evaluation.split, 0 <= evaluation.interval[0] <= evaluation.accuracy <= 1
        ('val', True)
    """
    display, place = as_progress(progress), resolve_device(device)
    finished = open_finished(folder_of(run))
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    whole = _other_images(finished, data, display)
    images = data_of(run, finished, data, display).splits[split] if whole is None else whole
    if (images.labels.ndim == 2) != finished.preprocessing.multi_label:
        ours, theirs = (
            ("several labels", "one") if finished.preprocessing.multi_label else ("one label", "several")
        )
        raise DataError(f"{finished.folder.path} was trained on images with {ours}, and these have {theirs}.")
    _, evaluation = evaluate_split(
        finished.module,
        images,
        name=split if whole is None else "all",
        preprocessing=finished.preprocessing,
        device=place,
        progress=display,
    )
    return evaluation


def evaluate_split(
    module: nn.Module,
    images: Split,
    *,
    name: str,
    preprocessing: Preprocessing,
    device: torch.device,
    progress: Progress,
) -> tuple[Predictions, Evaluation | MultiLabelEvaluation]:
    """What a network predicts for the images of a split, and how good that is. Leaves the module on the device."""
    predictions = predict_split(
        module.to(device), images, preprocessing=preprocessing, device=device, progress=progress
    )
    classes, thresholds = preprocessing.classes, preprocessing.thresholds
    if thresholds is not None:
        return predictions, summarize_labels(predictions, name=name, classes=classes, thresholds=thresholds)
    return predictions, summarize(predictions, images, name=name, classes=classes)


def _other_images(finished: FinishedRun, data: Data | None, progress: Progress) -> Split | None:
    """All images of a value that has no splits; None where it has, or where the run was trained on it."""
    if data is None or isinstance(data, str | Path | Dataset | Mapping):
        return None
    own, seed = finished.arguments.get("data"), int(finished.arguments.get("seed", 0))
    try:
        if data_argument(as_dataset(data, seed=seed, progress=progress)) == own:
            return None
    except DataError:  # it need not have enough images to be cut
        pass
    known = finished.preprocessing
    return as_split(data, classes=known.classes, channels=known.channels, progress=progress)


def data_of(run: RunLike, finished: FinishedRun, data: Data | None, progress: Progress) -> Dataset:
    """The data of a finished run, or other data with the same classes.

    Raises:
        DataError: the classes differ, or the run's data was a value that nobody has any more.
    """
    own, seed = str(finished.arguments.get("data", "icons")), int(finished.arguments.get("seed", 0))
    folder, carried = finished.folder.path, dataset_of(run)
    if data is None and carried is None and is_value(own):
        raise DataError(
            f"The images of {folder} were given in Python, as {own}, and the folder does not hold them; "
            "give them again with data=..."
        )
    images = data if data is not None else carried or own
    dataset = as_dataset(images, seed=seed, progress=progress)
    if dataset.classes != finished.preprocessing.classes:
        name = data_argument(str(images)) if isinstance(images, str | Path) else data_name(dataset)
        only = sorted(set(dataset.classes) ^ set(finished.preprocessing.classes))[:5]
        raise DataError(
            f"{name} has other classes than {folder} was trained on ({', '.join(map(repr, only))} are not in both); "
            "give data with the same classes."
        )
    return dataset
