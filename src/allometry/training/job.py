"""What every training is given, whatever it trains: fixed from its first step to its last."""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from allometry.arch import Network
from allometry.arch.any_space import AnyMember
from allometry.base import InputError, Progress, RunFolderError, SilentProgress
from allometry.base.machine import half_the_cores
from allometry.data import Dataset
from allometry.runs.epochs import EpochRecord
from allometry.training.callbacks.base import Callback
from allometry.training.distributed import ALONE, DistContext
from allometry.training.preprocessing import Preprocessing
from allometry.training.recipes import Recipe

RecordT = TypeVar("RecordT", bound=EpochRecord)


@dataclass(frozen=True, kw_only=True)
class Job(ABC, Generic[RecordT]):
    """Images, recipe and place of a training; each task adds what it trains.

    Attributes:
        dataset: the images.
        preprocessing: how they become the network's input.
        recipe: how it is trained.
        folder: where `metrics.jsonl` and `checkpoints/` go.
        seed: of the initial weights, the order, the augmentation and the dropping.
        device: where it runs.
        dist: this process among those that train together; all have the same job, and the main one writes.
        label: what the progress display and messages call it.
        workers: threads that prepare images; the result does not depend on them.
        progress: is told how it goes.
        should_stop: asked after each step; once it says True a checkpoint is written and `Stopped` raised.
        callbacks: are told of the training; they cannot change it.
        save_every: seconds between checkpoints inside a long epoch; more where writing one takes long.
        clock: seconds, for the cost log and for when to write; the weights do not depend on it.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from dataclasses import replace
        >>> from allometry.training import ClassificationJob
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> job = ClassificationJob(network=network, recipe=recipe, folder=folder, **data)
        >>> replace(job, workers=7).identity == job.identity, replace(job, seed=1).identity == job.identity
        (True, False)
    """

    CONTENT: ClassVar[str] = "a training of another network, recipe, seed or data set"
    """What a folder holds that is another job's, in words."""

    dataset: Dataset
    preprocessing: Preprocessing
    recipe: Recipe
    folder: Path
    seed: int = 0
    device: torch.device = torch.device("cpu")
    dist: DistContext = ALONE
    label: str = "training"
    workers: int = field(default_factory=half_the_cores)
    progress: Progress = SilentProgress()
    should_stop: Callable[[], bool] = lambda: False
    callbacks: tuple[Callback, ...] = ()
    save_every: float = 120.0
    clock: Callable[[], float] = time.monotonic

    @abstractmethod
    def identity_parts(self) -> list[object]:
        """All that decides the weights, as JSON-ready values."""

    @cached_property
    def identity(self) -> str:
        """A digest of all that decides the weights; a checkpoint of another job is refused.

        The number of processes is not part of it: a training may go on with more or fewer of them, and then ends
        near the weights it would have had, not bit for bit.
        """
        return hashlib.sha256(json.dumps(self.identity_parts(), sort_keys=True).encode()).hexdigest()

    def refuse_other(self, identity: object) -> None:
        """Refuse a checkpoint that another job has written.

        Raises:
            RunFolderError: `identity` is not this job's.
        """
        if identity != self.identity:
            raise RunFolderError(
                f"{self.folder} holds {self.CONTENT}. Give another folder, or remove this one to start anew."
            )


def refuse_other_images(
    network: AnyMember, dataset: Dataset, preprocessing: Preprocessing, *, called: str, place: str
) -> None:
    """Refuse a network that is not for these images.

    Args:
        network: of a search or a supernet, whose size, classes and channels all others share.
        dataset: its images.
        preprocessing: how they become its input.
        called: what people know it as.
        place: where they can change it.

    Raises:
        InputError: classes, channels or resolution differ.

    Example, with a `dataset` of two classes and its `preprocessing`:
        >>> from allometry.catalog import get
        >>> refuse_other_images(get("efficientnet-b0"), dataset, preprocessing, called="network", place="the network")
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: The network's head.classes is 1000, but that of the images 2; ...
    """
    facts = [("resolution", network.resolution, preprocessing.resolution)]
    if isinstance(network, Network):
        facts = [
            ("head.classes", network.head.classes, len(dataset.classes)),
            ("in_channels", network.in_channels, preprocessing.channels),
            *facts,
        ]
    for what, ours, theirs in facts:
        if ours != theirs:
            raise InputError(
                f"The {called}'s {what} is {ours}, but that of the images {theirs}; set it in {place}."
            )


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """A digest of tensors and their names, for the identity of a job that starts from weights.

    Example:
        >>> digest_of({"a": torch.zeros(2)}) == digest_of({"a": torch.zeros(2)})
        True
    """
    hashed = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        hashed.update(name.encode())
        hashed.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()
