"""How a supernet is trained, and what that will cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from allometry.arch import Space
from allometry.base import InputError, UnknownNameError
from allometry.base.checks import check_fields
from allometry.base.reading import is_file
from allometry.cost import ACTIVATIONS, count
from allometry.nas import Costs, encodings_of, narrow, sample_encodings
from allometry.runs.phases import Phase, dimension_of, load_phases
from allometry.supernets.coupling import couple_encodings
from allometry.supernets.plans import PLANS, coupled_shrinking, epochs_together, shrinking
from allometry.training import Recipe, small
from allometry.training.forecast import seconds_per_image
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

    def phases(self, space: Space, recipe: Recipe) -> tuple[Phase, ...]:
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
    space: Space,
    phases: tuple[Phase, ...],
    images: Images,
    recipe: Recipe,
    *,
    coupled: bool,
    device: torch.device,
) -> tuple[float, ...]:
    """About how many seconds each phase takes on a device, from a few timed steps of the largest network.

    The others are taken to need time in proportion to their activations, as networks of one kind do.

    Source: Dollar et al. 2021, section 3.
    """
    largest, number = space.largest(), len(images.dataset.splits["train"])
    one = seconds_per_image(
        largest,
        recipe,
        resolution=largest.resolution,
        images=min(recipe.batch_size, number),
        device=device,
    )
    whole = count(largest).activations
    shares = [
        step_activations(narrow(space, phase.part_of(space)), phase, coupled=coupled) / whole
        + (_TEACHER if phase.teacher in ("largest", "average") else 0.0)
        for phase in phases
    ]
    return tuple(
        _OVERHEAD * phase.epochs * number * one * share for phase, share in zip(phases, shares, strict=True)
    )


def step_activations(part: Space, phase: Phase, *, coupled: bool) -> float:
    """Activations of the subnets of a step for one image, in the mean over steps."""
    encodings, costs = sample_encodings(part, np.random.default_rng(0), _DRAWN, by="choice"), Costs(part)
    mean = float(costs(couple_encodings(part, encodings) if coupled else encodings)[ACTIVATIONS.name].mean())
    if phase.sampling == "random":
        return phase.subnets * mean
    # The largest and the smallest see images of the size of the others in their step, or each its own.
    if phase.image_size == "subnet":
        ends = encodings_of(part, [part.largest(), part.smallest()])
        return float(costs(ends)[ACTIVATIONS.name].sum()) + (phase.subnets - 2) * mean
    sides = [place for place, choice in enumerate(part.choices) if dimension_of(choice) == "resolution"]
    ends = np.repeat(encodings_of(part, [part.largest(), part.smallest()]), len(encodings), axis=0)
    ends[:, sides] = np.tile(encodings[:, sides], (2, 1))
    return 2 * float(costs(ends)[ACTIVATIONS.name].mean()) + (phase.subnets - 2) * mean
