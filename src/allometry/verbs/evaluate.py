"""`allometry evaluate`: how good a trained network is, on its own data or on other."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from torch import nn

from allometry.base import DataError, InputError, Progress, UnknownNameError
from allometry.base.progress import as_progress
from allometry.data import (
    Data,
    Dataset,
    Group,
    NamedSplit,
    Split,
    as_dataset,
    as_trained_or_split,
    data_argument,
    data_name,
    is_value,
    settle_data,
    with_levels,
    without_group,
)
from allometry.data.dataset import SPLITS
from allometry.runs import Evaluation, MultiLabelEvaluation
from allometry.runs.files import DATA
from allometry.training import Predictions, Preprocessing, summarize, summarize_labels
from allometry.training import predict as predict_split
from allometry.training.devices import resolve_device
from allometry.training.pretrained import FinishedRun, open_finished
from allometry.verbs.arguments import RunLike, dataset_of, folder_of


def evaluate(
    run: RunLike,
    *,
    data: Data | None = None,
    split: str | None = None,
    group: Group | None = None,
    device: str | None = None,
    progress: Progress | bool = True,
) -> Evaluation | MultiLabelEvaluation:
    """Accuracy, calibration and each class of a trained network, with intervals.

    Of images with several labels instead the mean average precision, and for each label its average precision and its
    figures from the threshold on that was best for the validation images.

    Args:
        run: a run or its folder.
        data: other data, as `allometry.data.as_dataset` takes it; by default the run's own, which is cut as it was
            then, also where it is given again. Of other data the part for `test` counts, or all images where there is
            none. Its classes may be few, but must be among the run's; `allometry.data.as_split` tells how they are
            matched.
        split: `train`, `val` or `test`; by default `test`, or all images of other data that has no such part.
        group: what the images of a group of other data have in common (see `open_data`): intervals are by groups. Data
            that the run was trained on is grouped as it was then.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        progress: True for a bar or lines, False for silence, or whatever is to be told.

    Raises:
        RunFolderError: the run is missing or not finished.
        DataError: the data has classes that the run does not know or no such split, or the run's data was given as a
            value that it does not hold.
        UnknownNameError: no such split.

    Example, with a run, `trained`, on arrays:
        >>> evaluation = evaluate(trained, split="val", progress=False)
        >>> evaluation.split, 0 <= evaluation.interval[0] <= evaluation.accuracy <= 1
        ('val', True)
    """
    display, place = as_progress(progress), resolve_device(device)
    finished = open_finished(folder_of(run))
    if split is not None and split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    name, images = _judged_by(run, finished, data, group, split, display)
    _, evaluation = evaluate_split(
        finished.module,
        images,
        name=name,
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
    images = with_levels(images, preprocessing.levels)
    predictions = predict_split(
        module.to(device), images, preprocessing=preprocessing, device=device, progress=progress
    )
    classes, thresholds = preprocessing.classes, preprocessing.thresholds
    if thresholds is not None:
        return predictions, summarize_labels(predictions, name=name, classes=classes, thresholds=thresholds)
    return predictions, summarize(predictions, images, name=name, classes=classes)


def _judged_by(
    run: RunLike,
    finished: FinishedRun,
    data: Data | None,
    group: Group | None,
    split: str | None,
    progress: Progress,
) -> NamedSplit:
    """The images that count: a split of the run's own data, or of other data what `as_split` gives."""
    if data is None and group is not None:
        raise InputError("The run's own data is grouped as it was then; group goes with other data.")
    trained_on = _trained_on(finished)
    if data is None or _is_own_name(finished, data, group):
        own = data_of(run, finished, None if isinstance(data, str | Path) else data, progress)
    else:
        found = _own_or_other(finished, data, group, split, progress)
        if isinstance(found, NamedSplit):
            return found
        own = found
        progress.say(f"{own.name}: the images that the run was trained with, which are cut as they were.")
    if trained_on not in ("", own.fingerprint):
        progress.say(
            f"{own.name} has changed since {finished.folder.path} was trained: some of its images for "
            f"{split or 'test'} may have been trained on."
        )
    return NamedSplit(split or "test", own.splits[split or "test"])


def _own_or_other(
    finished: FinishedRun, data: Data, group: Group | None, split: str | None, progress: Progress
) -> Dataset | NamedSplit:
    """The run's data, wherever it lies now, or the images of other data that count."""
    known, summary = finished.preprocessing, DATA.read(finished.folder.path)
    look = partial(
        as_trained_or_split,
        data,
        fingerprint=_trained_on(finished),
        seed=finished.seed,
        classes=known.classes,
        channels=known.channels,
        multi_label=known.multi_label,
        split=split,
        progress=progress,
    )
    if group is None and summary is not None and summary.grouped_by and not isinstance(data, Dataset):
        with suppress(DataError):  # other data need not have such groups
            return look(group=summary.grouped_by)
    return look(group=group)


def _is_own_name(finished: FinishedRun, data: Data, group: Group | None) -> bool:
    """Whether this is what the run's data is called, perhaps without its groups."""
    if not isinstance(data, str | Path):
        return False
    own = str(finished.arguments.get("data"))
    named = settle_data(data, group=group, seed=finished.seed)
    return data_argument(named) in (own, without_group(own)[0])


def _trained_on(finished: FinishedRun) -> str:
    """The fingerprint of the images that the run was trained on; empty text where the folder does not tell."""
    summary = DATA.read(finished.folder.path)
    return "" if summary is None else summary.fingerprint


def data_of(run: RunLike, finished: FinishedRun, data: Data | None, progress: Progress) -> Dataset:
    """The data of a finished run, or other data with the same classes.

    Raises:
        DataError: the classes differ, or the run's data was a value that nobody has any more.
    """
    own, seed = finished.folder.info.argument("data", str), finished.seed
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
        what = f"{', '.join(map(repr, only))} are not in both" if only else "they are in another order"
        raise DataError(
            f"{name} has other classes than {folder} was trained on ({what}); give data with the same classes."
        )
    return dataset
