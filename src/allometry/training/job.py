"""What a training is: fixed from its first step to its last."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allometry.arch import Network, digest
from allometry.base import InputError, Progress, RunFolderError, SilentProgress
from allometry.base.machine import half_the_cores
from allometry.data import Dataset, fingerprint
from allometry.training.distributed import ALONE, DistContext
from allometry.training.losses import Teacher
from allometry.training.preprocessing import Preprocessing
from allometry.training.recipes import Epoch, Recipe, plan_epochs


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is trained, on what, and where: fixed from the first step to the last.

    Attributes:
        network: what is trained.
        dataset: its images.
        preprocessing: how they become the network's input.
        recipe: how it is trained.
        folder: where `metrics.jsonl` and `checkpoints/` go.
        seed: of the initial weights, the order, the augmentation and the dropping.
        device: where it runs.
        start: weights to start from instead of fresh ones.
        teacher: a trained network to learn from, too.
        dist: this process among those that train together; all have the same job, and the first one writes.
        label: what the progress display calls it.
        workers: threads that prepare images; the result does not depend on them.
        progress: is told how it goes.
        should_stop: asked after each step; once it says True a checkpoint is written and `Stopped` raised.
        on_epoch_end: given each epoch's record once it is written.
        save_every: seconds between checkpoints inside a long epoch; more where writing one takes long.
        clock: seconds, for the cost log and for when to write; the weights do not depend on it.
    """

    network: Network
    dataset: Dataset
    preprocessing: Preprocessing
    recipe: Recipe
    folder: Path
    seed: int = 0
    device: torch.device = torch.device("cpu")
    start: Mapping[str, Tensor] | None = None
    teacher: Teacher | None = None
    dist: DistContext = ALONE
    label: str = "training"
    workers: int = field(default_factory=half_the_cores)
    progress: Progress = SilentProgress()
    should_stop: Callable[[], bool] = lambda: False
    on_epoch_end: Callable[[Mapping[str, Any]], None] = lambda _record: None
    save_every: float = 120.0
    clock: Callable[[], float] = time.monotonic

    @cached_property
    def epochs(self) -> tuple[Epoch, ...]:
        """Every epoch, planned."""
        return plan_epochs(self.recipe, self.network, len(self.dataset.splits["train"]))

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return self.epochs[-1].last_step

    @cached_property
    def identity(self) -> str:
        """A digest of all that decides the weights; a checkpoint of another job is refused.

        The number of processes is not part of it: a training may go on with more or fewer of them, and then ends
        near the weights it would have had, not bit for bit.
        """
        parts = [digest(self.network), self.recipe.to_dict(), self.seed, fingerprint(self.dataset)]
        if self.start is not None:
            parts.append(_digest_of(self.start))
        if self.teacher is not None:
            parts.append(_digest_of(self.teacher.module.state_dict()))
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def refuse_other(self, identity: object) -> None:
        """Refuse a checkpoint that another job has written.

        Raises:
            RunFolderError: `identity` is not this job's.
        """
        if identity != self.identity:
            raise RunFolderError(
                f"{self.folder} holds a training of another network, recipe, seed or data set. "
                "Give another folder, or remove this one to start anew."
            )


def refuse_other_images(
    network: Network, dataset: Dataset, preprocessing: Preprocessing, *, called: str, place: str
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
    """
    for what, ours, theirs in (
        ("head.classes", network.head.classes, len(dataset.classes)),
        ("in_channels", network.in_channels, preprocessing.channels),
        ("resolution", network.resolution, preprocessing.resolution),
    ):
        if ours != theirs:
            raise InputError(
                f"The {called}'s {what} is {ours}, but that of the images {theirs}; set it in {place}."
            )


def _digest_of(tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
