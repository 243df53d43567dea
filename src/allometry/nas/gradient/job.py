"""What a search by gradient is: fixed from its first step to its last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from allometry.arch import Space, space_to_json
from allometry.base import InputError
from allometry.data import Split, part_of
from allometry.nas.encodings import Encodings
from allometry.nas.gradient.choices import Choices, choices_of
from allometry.nas.gradient.config import GradientConfig
from allometry.nas.gradient.costs import ExpectedCost, LayerCost
from allometry.runs import GradientEpochMetrics
from allometry.training import Epoch, Job, Teacher, plan_epochs, refuse_other_images
from allometry.training.job import digest_of

Allows = Callable[[Encodings], npt.NDArray[np.bool_]]
"""Which of the networks [N, choices] a hard budget allows, [N]."""


@dataclass(frozen=True, kw_only=True)
class GradientJob(Job[GradientEpochMetrics]):
    """What is searched, on what, and where.

    The recipe is that of the weights. What is validated after each epoch is the most probable network, with the
    averaged weights of its path; `keep` and `patience` compare the epochs after the warm-up by it, and `best` keeps
    that epoch's distribution. The networks' own stochastic depth is left out, as layers come and go anyway; the
    recipe's counts, if it has one.

    Attributes:
        space: of the networks; its layers' shapes are fixed (`with_fixed_shapes`).
        settings: how the architecture is learned.
        cost: that counts; None where the accuracy alone does.
        allows: a hard budget that the result has to meet; None for none. It may change when a search goes on.
        teacher: a trained network that the weights learn from, too.

    Raises:
        InputError: there are too few images, or the networks are not for them.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.nas.gradient import CostLoss, proxylessnas
        >>> job = GradientJob(
        ...     space=mbconv_space(network, kernels=(3, 5)),
        ...     settings=proxylessnas(cost_loss=CostLoss(form="none")),
        ...     dataset=dataset,
        ...     preprocessing=preprocessing,
        ...     recipe=recipe,
        ...     folder=folder,
        ... )
        >>> len(job.epochs), [len(split) for split in job.splits]
        (2, [22, 6])
    """

    CONTENT: ClassVar[str] = (
        "a search of another space, recipe, cost, seed or data set, or with other settings"
    )

    space: Space
    settings: GradientConfig
    cost: LayerCost | None = None
    allows: Allows | None = None
    teacher: Teacher | None = None
    label: str = "search by gradient"

    def __post_init__(self) -> None:
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

    def is_warm(self, epoch: Epoch) -> bool:
        """Whether the architecture learns in an epoch, too."""
        return epoch.number >= self.settings.warmup_epochs(len(self.epochs))

    def identity_parts(self) -> list[object]:
        """All that decides the result, but for the hard budget, as JSON-ready values."""
        parts: list[object] = [
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
        if self.teacher is not None:
            parts.append(digest_of(self.teacher.module.state_dict()))
        return parts
