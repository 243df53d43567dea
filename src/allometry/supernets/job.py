"""What the training of a supernet is: fixed from its first step to its last."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from allometry.arch import Space, space_to_json
from allometry.base import InputError, Progress, RunFolderError, SilentProgress
from allometry.base.machine import half_the_cores
from allometry.data import Dataset
from allometry.nas import narrow
from allometry.runs.phases import Phase, phases_to_json
from allometry.training import (
    ALONE,
    DistContext,
    Epoch,
    Preprocessing,
    Recipe,
    plan_epochs,
    refuse_other_images,
)


@dataclass(frozen=True, kw_only=True)
class SupernetJob:
    """What is trained, on what, and where.

    Of the recipe the batches, images, augmentation, optimizer, learning rate, schedule, label smoothing, clipping,
    precision, dropout, average and distillation hold, in each phase anew; the epochs are the phases'.

    Attributes:
        space: of the subnets.
        dataset: its images.
        preprocessing: how they become the input of the largest network.
        recipe: how it is trained.
        phases: in order.
        folder: where `metrics.jsonl`, `checkpoints/` and `supernet.safetensors` go.
        coupled: width follows depth in every subnet that is trained (`couple_rows`).
        seed: of the initial weights, the order, the augmentation and all draws.
        device: where it runs.
        dist: this process among those that train together.
        workers: threads that prepare images; the result does not depend on them.
        progress: is told how it goes.
        should_stop: asked after each step; once it says True a checkpoint is written and `Stopped` raised.
        on_epoch_end: given each epoch's record once it is written.
        save_every: seconds between checkpoints inside a long epoch; more where writing one takes long.
        clock: seconds, for the cost log and for when to write; the weights do not depend on it.

    Raises:
        InputError: the recipe asks for what the training of a supernet does not do, or the networks are not for these
            images.
    """

    space: Space
    dataset: Dataset
    preprocessing: Preprocessing
    recipe: Recipe
    phases: tuple[Phase, ...]
    folder: Path
    coupled: bool = False
    seed: int = 0
    device: torch.device = torch.device("cpu")
    dist: DistContext = ALONE
    workers: int = field(default_factory=half_the_cores)
    progress: Progress = SilentProgress()
    should_stop: Callable[[], bool] = lambda: False
    on_epoch_end: Callable[[Mapping[str, Any]], None] = lambda _record: None
    save_every: float = 120.0
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        for name, plain in _PLAIN.items():
            value = self.recipe.to_dict()[name]
            if value != plain:
                raise InputError(
                    f"A supernet trains all its weights, on images of the subnets' own sizes: the recipe's {name} must "
                    f"be {plain!r}, not {value!r}."
                )
        if self.recipe.stochastic_depth:
            raise InputError(
                "Layers of a supernet come and go anyway: the recipe's stochastic_depth must be 0, not "
                f"{self.recipe.stochastic_depth!r}."
            )
        if not self.phases:
            raise InputError("A supernet is trained in one phase or more; none was given.")
        names = [phase.name for phase in self.phases]
        twice = [name for place, name in enumerate(names) if name in names[:place]]
        if twice:
            raise InputError(f"Two phases are named {twice[0]!r}; give each its own name.")
        if self.phases[0].teacher == "largest":
            raise InputError(
                f"The first phase, {self.phases[0].name!r}, cannot learn from the largest network as it is at its end; "
                "give it the teacher 'none', or a phase of the largest network before it."
            )
        refuse_other_images(
            self.space.largest(),
            self.dataset,
            self.preprocessing,
            called="largest network",
            place="the space",
        )

    @cached_property
    def spaces(self) -> tuple[Space, ...]:
        """The part of the space that each phase draws from."""
        return tuple(narrow(self.space, phase.part_of(self.space)) for phase in self.phases)

    @cached_property
    def epochs(self) -> tuple[tuple[Epoch, ...], ...]:
        """Every epoch of each phase, planned."""
        images = len(self.dataset.splits["train"])
        return tuple(
            plan_epochs(self.recipe_of(number), self.space.largest(), images)
            for number in range(len(self.phases))
        )

    def recipe_of(self, phase: int) -> Recipe:
        """The recipe, with a phase's epochs and learning rate."""
        asked = self.phases[phase]
        return replace(
            self.recipe, epochs=asked.epochs, learning_rate=self.recipe.learning_rate * asked.lr_scale
        )

    @cached_property
    def identity(self) -> str:
        """A digest of all that decides the weights; a checkpoint of another job is refused."""
        parts = [
            space_to_json(self.space),
            self.recipe.to_dict(),
            phases_to_json(self.phases),
            self.coupled,
            asdict(self.preprocessing),
            self.seed,
            self.dataset.fingerprint,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def refuse_other(self, identity: object) -> None:
        """Refuse what another job has written.

        Raises:
            RunFolderError: `identity` is not this job's.
        """
        if identity != self.identity:
            raise RunFolderError(
                f"{self.folder} holds the training of another supernet: of another space, recipe, data set or seed, or "
                "in other phases. Give another folder, or remove this one to start anew."
            )


_PLAIN: dict[str, Any] = {
    "head_epochs": 0,
    "layer_decay": 1.0,
    "batch_norm": "train",
    "keep": "last",
    "patience": 0,
    "train_resolution": 1.0,
    "progressive.resolution": 1.0,
    "execution.micro_batch": 0,
    "execution.recompute": False,
    "execution.compile": False,
    "execution.synchronize": False,
}
