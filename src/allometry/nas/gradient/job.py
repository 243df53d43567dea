"""What a search by gradient is: fixed from its first step to its last."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from allometry.arch import Space, space_to_json
from allometry.base import InputError, Progress, SilentProgress
from allometry.base.machine import half_the_cores
from allometry.data import Dataset, Split, part_of
from allometry.nas.encodings import Encodings
from allometry.nas.gradient.choices import Choices, choices_of
from allometry.nas.gradient.config import GradientConfig
from allometry.nas.gradient.costs import ExpectedCost, LayerCost
from allometry.training import Epoch, Preprocessing, Recipe, plan_epochs, refuse_other_images

Allows = Callable[[Encodings], npt.NDArray[np.bool_]]
"""Which of the networks [N, choices] a hard budget allows, [N]."""


@dataclass(frozen=True, kw_only=True)
class GradientJob:
    """What is searched, on what, and where.

    Of the recipe the epochs, batches, images, augmentation, optimizer, learning rate, label smoothing, clipping,
    precision and dropout hold. Its average of the weights, `keep`, `patience`, `distillation` and `execution` mean
    nothing here, for the weights are not what is kept.

    Attributes:
        space: of the networks; its layers' shapes are fixed (`with_fixed_shapes`).
        dataset: of its images only the training split is used.
        preprocessing: how they become the network's input.
        recipe: how the weights are trained; its epochs are those of the search.
        settings: how the architecture is learned.
        cost: that counts; None where the accuracy alone does.
        allows: a hard budget that the result has to meet; None for none. It may change when a search goes on.
        folder: where the checkpoint goes.
        seed: of weights, order, augmentation and of all draws.
        device: where it runs.
        workers: threads that prepare images; the result does not depend on them.
        progress: is told how it goes.
        should_stop: asked after each step; once it says True a checkpoint is written and `Stopped` raised.
        on_epoch_end: given each epoch's record.
        save_every: seconds between checkpoints inside a long epoch; more where writing one takes long.
        clock: seconds, for the figures and for when to write; the result does not depend on it.

    Raises:
        InputError: the recipe asks for what a search does not do, there are too few images, or the networks are not
            for them.
    """

    space: Space
    dataset: Dataset
    preprocessing: Preprocessing
    recipe: Recipe
    settings: GradientConfig
    folder: Path
    cost: LayerCost | None = None
    allows: Allows | None = None
    seed: int = 0
    device: torch.device = torch.device("cpu")
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
                    f"A search by gradient trains all weights, at one rate: the recipe's {name} "
                    f"must be {plain!r}, not {value!r}."
                )
        if self.cost is None and self.settings.cost_loss.form != "none":
            raise InputError(
                "The settings have a cost loss, but no cost is given: give one, or the form 'none'."
            )
        if len(self.dataset.splits["train"]) < 2:
            raise InputError("A search by gradient needs two training images at least.")
        refuse_other_images(
            self.choices.frame,
            self.dataset,
            self.preprocessing,
            called="template",
            place="the space's template",
        )

    @cached_property
    def choices(self) -> Choices:
        """What is decided."""
        return choices_of(self.space)

    @cached_property
    def expected_cost(self) -> ExpectedCost | None:
        """The cost of a distribution."""
        return None if self.cost is None else ExpectedCost(self.choices, self.cost, device=self.device)

    @cached_property
    def splits(self) -> tuple[Split, Split]:
        """The training images for the weights, and those for the architecture."""
        whole = self.dataset.splits["train"]
        order = np.random.default_rng([self.seed, 1]).permutation(len(whole))
        held = min(max(1, round(self.settings.held_out * len(whole))), len(whole) - 1)
        return part_of(whole, np.sort(order[held:])), part_of(whole, np.sort(order[:held]))

    @cached_property
    def epochs(self) -> tuple[Epoch, ...]:
        """Every epoch, planned."""
        return plan_epochs(self.recipe, self.choices.frame, len(self.splits[0]))

    @cached_property
    def identity(self) -> str:
        """A digest of all that decides the result, but for the hard budget."""
        parts = [
            space_to_json(self.space),
            self.recipe.to_dict(),
            asdict(self.settings),
            asdict(self.preprocessing),
            self.seed,
            self.dataset.fingerprint,
            None
            if self.expected_cost is None
            else [self.cost and self.cost.unit, self.expected_cost.table()],
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


_PLAIN: dict[str, Any] = {"head_epochs": 0, "layer_decay": 1.0, "batch_norm": "train"}
