"""What the training of a supernet is: fixed from its first step to its last, with the subnets that each step draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from torch import Tensor

from allometry.arch import Choice, ModuleChoice, Option, Space
from allometry.arch.any_space import AnySpace, space_text
from allometry.base import InputError
from allometry.nas import ABSENT, Encoding, narrow, sample_encodings
from allometry.runs import SupernetEpochMetrics
from allometry.runs.phases import Phase, dimension_of, phases_to_json
from allometry.supernets.coupling import couple_encodings
from allometry.training import Job, Recipe, TaskPhase, plan_epochs, refuse_other_images
from allometry.training.job import digest_of

_DRAWN = 5


@dataclass(frozen=True, kw_only=True)
class BaseSupernetJob(Job[SupernetEpochMetrics]):
    """What is common to the training of supernets of networks and of modules.

    Attributes:
        space: of the subnets.
        phases: in order.
        coupled: width follows depth in every subnet that is trained.
        start: weights of the largest network to start from instead of fresh ones.

    Raises:
        InputError: the phases do not follow each other, or the networks are not for these images.
    """

    CONTENT: ClassVar[str] = (
        "the training of another supernet: of another space, recipe, data set or seed, or in other phases"
    )

    space: AnySpace
    phases: tuple[Phase, ...]
    coupled: bool = False
    start: Mapping[str, Tensor] | None = None
    label: str = "supernet training"

    def __post_init__(self) -> None:
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
        for phase in self.phases:  # refuses a phase that is too short for the recipe's head epochs
            self.recipe_of(phase)

    @cached_property
    def spaces(self) -> tuple[AnySpace, ...]:
        """The part of the space that each phase draws from."""
        return tuple(narrow(self.space, phase.part_of(self.space)) for phase in self.phases)

    @cached_property
    def plans(self) -> tuple[TaskPhase, ...]:
        """Every epoch of each phase, planned."""
        images, largest = len(self.dataset.splits["train"]), self.space.largest()
        recipes = [(phase.name, self.recipe_of(phase)) for phase in self.phases]
        return tuple(
            TaskPhase(name=name, recipe=recipe, epochs=plan_epochs(recipe, largest, images))
            for name, recipe in recipes
        )

    def recipe_of(self, phase: Phase) -> Recipe:
        """The recipe, with a phase's epochs, learning rate and weight of the teacher.

        Raises:
            RecipeError: the recipe does not go with so many epochs.
        """
        recipe = replace(
            self.recipe, epochs=phase.epochs, learning_rate=self.recipe.learning_rate * phase.lr_scale
        )
        if phase.distillation_weight is None:
            return recipe
        return replace(recipe, distillation=replace(recipe.distillation, weight=phase.distillation_weight))

    def identity_parts(self) -> list[object]:
        """All that decides the weights, as JSON-ready values."""
        return [
            space_text(self.space),
            self.recipe.to_dict(),
            phases_to_json(self.phases),
            self.coupled,
            asdict(self.preprocessing),
            self.seed,
            self.dataset.fingerprint,
            *([] if self.start is None else [digest_of(self.start)]),
        ]


@dataclass(frozen=True, kw_only=True)
class SupernetJob(BaseSupernetJob):
    """What is trained, on what, and where.

    The recipe holds in each phase anew; the epochs are the phases'. `keep` and `patience` compare the epochs of a phase
    by the mean of its largest and smallest network; with `best` the next phase begins with the best epoch's weights.
    Images of another `train_resolution`, or in early stages of progressive learning, are that much smaller than the
    subnets of a step ask for. Batch norms gather no statistics unless they are `frozen`, for those of one subnet are
    wrong for another: so `train` means the same as `re-estimated`. The networks' own stochastic depth is left out, as
    layers come and go anyway; the recipe's counts, if it has one.

    Attributes:
        space: of the subnets.
        phases: in order.
        coupled: width follows depth in every subnet that is trained (`couple_encodings`).
        start: weights of the largest network to start from instead of fresh ones.

    Raises:
        InputError: the phases do not follow each other, or the networks are not for these images.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.supernets import sandwich
        >>> space = mbconv_space(network, kernels=(3, 5))
        >>> job = SupernetJob(
        ...     space=space,
        ...     phases=sandwich(space, epochs=2),
        ...     dataset=dataset,
        ...     preprocessing=preprocessing,
        ...     recipe=recipe,
        ...     folder=folder,
        ... )
        >>> [(plan.name, plan.steps) for plan in job.plans]
        [('all', 8)]
    """

    space: Space


def drawn(job: BaseSupernetJob, phase: int, step: int) -> list[dict[str, Option]]:
    """What the subnets of a step decide, the same in every process.

    All are for images of one size, unless the phase gives each its own.
    """
    plan, space = job.phases[phase], job.spaces[phase]
    random = np.random.default_rng([job.seed, _DRAWN, phase, step])
    encodings = sample_encodings(space, random, plan.subnets, by="choice")
    if job.coupled and isinstance(space, Space):
        encodings = couple_encodings(space, encodings)
    subnets = [decisions_of(space, encoding) for encoding in encodings]
    if plan.sampling == "sandwich":
        subnets[:2] = [{choice.name: choice.options[place] for choice in space.choices} for place in (-1, 0)]
    if plan.image_size == "subnet":
        return subnets
    names = [choice.name for choice in space.choices if dimension_of(choice) == "resolution"]
    side = {name: decisions_of(space, encodings[0])[name] for name in names}
    return [{**decisions, **side} for decisions in subnets]


def decisions_of(space: AnySpace, encoding: Encoding) -> dict[str, Option]:
    """What an encoding of a space decides."""
    choices: Sequence[Choice | ModuleChoice] = space.choices
    return {
        choice.name: choice.options[number]
        for choice, number in zip(choices, encoding.tolist(), strict=True)
        if number != ABSENT
    }
