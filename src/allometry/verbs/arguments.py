"""What the verbs' arguments stand for: a run by its value or folder, a network with weights instead of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeAlias

from torch import nn

from allometry.arch import Network
from allometry.base import InputError
from allometry.base.text import shown
from allometry.data import Dataset
from allometry.nn import watch_module
from allometry.training import Preprocessing
from allometry.training.pretrained import Classifier, open_finished, open_pretrained
from allometry.verbs.hub import local_folder


class InFolder(Protocol):
    """Whatever has a run folder: what a verb such as `train` gives."""

    @property
    def folder(self) -> Path:
        """The run folder."""


RunLike: TypeAlias = InFolder | str | Path
"""A run, its folder, or `hf://owner/name`."""


def folder_of(run: RunLike) -> Path:
    """The folder of a run; one on the Hugging Face hub is fetched.

    Raises:
        MissingExtraError: the extra `hub` is needed and not installed.
        HubError: the hub does not give it.

    Example:
        >>> folder_of("runs/photos").name
        'photos'
    """
    if isinstance(run, str | Path):
        return local_folder(run)
    folder = getattr(run, "folder", None)
    if not isinstance(folder, Path):
        raise InputError(f"A run or its folder is expected, not {shown(run)}.")
    return folder


def dataset_of(run: RunLike) -> Dataset | None:
    """The data set that a run carries because it was given as a value; None for a folder."""
    dataset = getattr(run, "dataset", None)
    return dataset if isinstance(dataset, Dataset) else None


def weights_argument(weights: RunLike) -> str:
    """Weights as text: a file, `hf://owner/name`, or a run's folder."""
    return weights if isinstance(weights, str) else str(folder_of(weights))


def open_classifier(
    run: RunLike | None, network: Network | str | Path | None, pretrained: RunLike | None, crop: float | None
) -> Classifier:
    """A trained run, or a network with the weights that somebody else has trained.

    Args:
        run: a run or its folder; None where there is a network.
        network: a network, a name of the zoo, a network's JSON file, `timm:NAME` or `package.module:factory`.
        pretrained: its weights: a file, `hf://owner/name`, or a run.
        crop: fraction of the shorter side that the view shows; by default what the weights expect.

    Raises:
        InputError: both or neither is given, or network, weights or crop are wrong.
        RunFolderError: the run is missing or not finished.
    """
    check_together(run=run, network=network, pretrained=pretrained, crop=crop)
    if network is None or pretrained is None:
        finished = open_finished(folder_of(run or ""))
        return Classifier(finished.module, finished.preprocessing)
    known = open_pretrained(network, weights_argument(pretrained))
    return known if crop is None else replace(known, preprocessing=replace(known.preprocessing, crop=crop))


def check_together(
    *, run: object, network: object | None, pretrained: object | None, crop: float | None
) -> None:
    """Refuse a run and a network at once, a network without weights, or a crop without a network.

    Raises:
        InputError: one of these.
    """
    if (network is None) != (pretrained is None):
        raise InputError("network and pretrained go together: a network, and the weights to put into it.")
    if (run is None) == (network is None):
        raise InputError("Give a run, or a network with its weights (network and pretrained).")
    if network is None and crop is not None:
        raise InputError("crop goes with network: a run looks at images as it was trained to.")
    if crop is not None and not 0 < crop <= 1:
        raise InputError(f"crop must be a number above 0 and at most 1, not {crop:g}.")


def macs_of(module: nn.Module, preprocessing: Preprocessing) -> int:
    """What one image costs a module, by watching it."""
    resolution, channels = preprocessing.resolution, preprocessing.channels
    return watch_module(module, resolution=resolution, in_channels=channels).cost.macs


def budget_slug(text: str) -> str:
    """A budget as part of a folder's name."""
    kept = "".join(letter if letter.isalnum() or letter in ".x" else "-" for letter in text)
    return "-".join(part for part in kept.split("-") if part)
