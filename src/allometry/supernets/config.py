"""How a supernet is trained, and what that will cost."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from allometry.arch import Choice, ModuleChoice, Network, Space
from allometry.arch.any_space import AnySpace
from allometry.base import InputError, UnknownNameError
from allometry.base.checks import check_fields
from allometry.base.reading import is_file
from allometry.cost import ACTIVATIONS, MACS, Measure, count
from allometry.nas import encodings_of, narrow, sample_encodings
from allometry.nas.module_costs import counts_of
from allometry.runs.phases import Phase, dimension_of, load_phases
from allometry.supernets.coupling import couple_encodings
from allometry.supernets.plans import PLANS, coupled_shrinking, epochs_together, shrinking
from allometry.training import Recipe, small
from allometry.training.forecast import module_seconds_per_image, seconds_per_image
from allometry.training.images import Images
from allometry.training.recipes.settings import Setting

_DRAWN = 2_000
_OVERHEAD = 1.15  # input, validation and optimizer come on top of the passes
_TEACHER = 1 / 3  # of a pass forwards and backwards


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetConfig:
    """How a supernet is trained.

    Attributes:
        plan: of phases: `bignas`, `sandwich`, `shrinking`, `at-once`, or a JSON file with the list `phases`.
        epochs: of the plan's one phase; or, with `shrinking`, of its first, which the others follow. None for as many
            as the plan takes by itself, from those of a network alone.
        coupled: width follows depth in every subnet, as in CompOFA: fewer subnets, for which plans of one phase take
            half of the epochs by default.

    Raises:
        UnknownNameError: the plan is neither a name nor a file.
        InputError: epochs are below 1, or given along with a file, which says them itself.

    Example:
        >>> from allometry.catalog import find_space
        >>> phases = SupernetConfig(epochs=7).phases(find_space("ofa-mobilenetv3-1.0"), Recipe(epochs=20))
        >>> [(phase.sampling, phase.epochs) for phase in phases]
        [('sandwich', 7)]
    """

    plan: str = "bignas"
    epochs: int | None = None
    coupled: bool = False

    def __post_init__(self) -> None:
        check_fields(self, epochs=1)
        if self.plan in PLANS:
            return
        if not is_file(self.plan):
            raise UnknownNameError("plan of phases", self.plan, PLANS, "A JSON file works too.")
        if self.epochs:
            raise InputError(
                f"{self.plan} says the epochs of each phase itself; leave --epochs out, or the file."
            )

    def phases(self, space: AnySpace, recipe: Recipe) -> tuple[Phase, ...]:
        """The phases for a space.

        Raises:
            RecipeError: the file does not describe phases.
        """
        if self.plan not in PLANS:
            return load_phases(Path(self.plan))
        if self.plan == "shrinking":
            plan = coupled_shrinking if self.coupled else shrinking
            return plan(space, epochs=self.epochs or recipe.epochs)
        epochs = self.epochs or epochs_together(recipe.epochs, coupled=self.coupled)
        return PLANS[self.plan](space, epochs=epochs)


def supernet_recipe(images: Images, space: Space, settings: tuple[Setting, ...]) -> Recipe:
    """The recipe of the largest network, with the user's changes."""
    return images.recipe(small, space.largest(), settings)


def forecast_seconds(
    space: AnySpace,
    phases: tuple[Phase, ...],
    images: Images,
    recipe: Recipe,
    *,
    coupled: bool,
    device: torch.device,
    module: nn.Module | None = None,
) -> tuple[float, ...]:
    """About how many seconds each phase takes on a device, from a few timed steps of the largest network.

    The others are taken to need time in proportion to their activations, as networks of one kind do; those of a module,
    whose activations are not counted, in proportion to their MACs.

    Source: Dollar et al. 2021, section 3.
    """
    largest, number = space.largest(), len(images.dataset.splits["train"])
    size = min(recipe.batch_size, number)
    if module is None:
        assert isinstance(largest, Network)  # noqa: S101
        one = seconds_per_image(largest, recipe, resolution=largest.resolution, images=size, device=device)
    else:
        one = module_seconds_per_image(
            copy.deepcopy(module).train(),
            recipe,
            shape=(images.dataset.channels, largest.resolution, largest.resolution),
            classes=len(images.dataset.classes),
            images=size,
            device=device,
        )
    whole = _measure_of(space).of(count(largest)) or 1
    shares = [
        step_cost(narrow(space, phase.part_of(space)), phase, coupled=coupled) / whole
        + (_TEACHER if phase.teacher in ("largest", "average") else 0.0)
        for phase in phases
    ]
    return tuple(
        _OVERHEAD * phase.epochs * number * one * share for phase, share in zip(phases, shares, strict=True)
    )


def _measure_of(space: AnySpace) -> Measure:
    """What the time of a step follows."""
    return ACTIVATIONS if isinstance(space, Space) else MACS


def step_cost(part: AnySpace, phase: Phase, *, coupled: bool) -> float:
    """Activations of the subnets of a step for one image, or a module's MACs, in the mean over steps."""
    encodings, costs = sample_encodings(part, np.random.default_rng(0), _DRAWN, by="choice"), counts_of(part)
    name, together = _measure_of(part).name, encodings
    if coupled and isinstance(part, Space):
        together = couple_encodings(part, encodings)
    mean = float(costs(together)[name].mean())
    if phase.sampling == "random":
        return phase.subnets * mean
    # The largest and the smallest see images of the size of the others in their step, or each its own.
    if phase.image_size == "subnet":
        ends = encodings_of(part, [part.largest(), part.smallest()])
        return float(costs(ends)[name].sum()) + (phase.subnets - 2) * mean
    choices: Sequence[Choice | ModuleChoice] = part.choices
    sides = [place for place, choice in enumerate(choices) if dimension_of(choice) == "resolution"]
    ends = np.repeat(encodings_of(part, [part.largest(), part.smallest()]), len(encodings), axis=0)
    ends[:, sides] = np.tile(encodings[:, sides], (2, 1))
    return 2 * float(costs(ends)[name].mean()) + (phase.subnets - 2) * mean
