"""A network that grows while it is trained: phases of one training, each with a larger network than the one before."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cached_property
from typing import cast

import torch

from allometry.arch import Network
from allometry.base.units import format_quantity
from allometry.cost import count
from allometry.nn import ConvNet, build
from allometry.nn.growing import grow_module
from allometry.runs import EpochMetrics
from allometry.training.classification import ClassificationJob, ClassificationTask, Trained
from allometry.training.inheritance import inherit_optimizer, settle_new_statistics
from allometry.training.loop import run_task
from allometry.training.preprocessing import Preprocessing
from allometry.training.recipes import Epoch
from allometry.training.task import EpochSummary, TaskPhase, Validation
from allometry.training.validation import training_views


def train(job: ClassificationJob) -> Trained:
    """Train, or go on with a training that stopped, or return the one that is finished.

    The errors and promises are those of `run_task`.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> job = ClassificationJob(network=network, recipe=recipe, folder=folder, **data)
        >>> trained = train(job)
        >>> len(trained.history), trained.images, trained.module.training
        (2, 56, False)
    """
    return run_task(GrowingTask(job) if job.smaller else ClassificationTask(job))


class GrowingTask(ClassificationTask):
    """One training in which the network grows.

    Each network is a phase of its own, as the loop knows them; to all else it is one training: epochs and steps are
    counted through, the learning rate follows one schedule, and optimizer and average go on with what they have.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from allometry.arch import apply_multipliers
        >>> larger = apply_multipliers(network, width=2)
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> job = ClassificationJob(
        ...     network=larger, smaller=((network, 1),), recipe=recipe, folder=folder, **data
        ... )
        >>> [len(phase.epochs) for phase in GrowingTask(job).phases]
        [1, 1]
    """

    keeps_average = True

    def __init__(self, job: ClassificationJob) -> None:
        super().__init__(job)
        self._number = 0

    @cached_property
    def phases(self) -> tuple[TaskPhase, ...]:
        """One for each network; what is kept, and when to stop early, is decided in the last one."""
        recipe, last = self.job.recipe, len(self.job.networks) - 1
        passing = replace(recipe, keep="last", patience=0)
        return tuple(
            TaskPhase(
                name=f"{format_quantity(count(part.network).macs)} MACs",
                recipe=recipe if number == last else passing,
                epochs=_counted_anew(part.epochs),
            )
            for number, part in enumerate(self.job.networks)
        )

    @property
    def network(self) -> Network:
        """That of the phase."""
        return self.job.networks[self._number].network

    @property
    def preprocessing(self) -> Preprocessing:
        """At the size of the phase's network."""
        return replace(self.job.preprocessing, resolution=self.network.resolution)

    def rebuild(self, number: int) -> None:
        """Make the modules of a phase."""
        if number != self._number:
            self._number = number
            module = build(self.job.recipe.applied_to(self.network), seed=self.job.seed)
            self.take(module, copy.deepcopy(module))

    def next_phase(self, number: int) -> None:
        """Let module and average grow into the next network, with statistics for what is new in them."""
        job, old = self.job, (cast(ConvNet, self.module), cast(ConvNet, self.average))
        self._number = number
        network = job.recipe.applied_to(self.network)
        larger_images = network.resolution != old[0].network.resolution
        grown = [grow_module(one, network, method=job.growth, seed=job.seed + number) for one in old]
        for one in grown:
            seed = (job.seed, self.phases[number].epochs[0].before)
            views = training_views(job.dataset, self.preprocessing, seed=seed, device=job.device)
            settle_new_statistics(one.module, one.weight_map, views, everywhere=larger_images)
        self._before, self._weight_map = old[0], grown[0].weight_map
        self.take(grown[0].module, grown[1].module)

    def inherit_optimizer(self, old: torch.optim.Optimizer, new: torch.optim.Optimizer) -> None:
        """Take over its memory, entry by entry."""
        inherit_optimizer(old, new, self._before, self.module, self._weight_map)
        del self._before, self._weight_map

    def record(self, summary: EpochSummary, validation: Validation) -> EpochMetrics:
        """The epoch's record, counted through all phases."""
        before = self.phases[: summary.phase]
        return replace(
            super().record(summary, validation),
            epoch=summary.epoch.before + summary.epoch.number + 1,
            epochs=self.job.recipe.epochs,
            step=sum(phase.steps for phase in before) + summary.step,
            phase=summary.phase + 1,
        )


def _counted_anew(epochs: tuple[Epoch, ...]) -> tuple[Epoch, ...]:
    """The epochs of a phase, counted from its beginning."""
    first = epochs[0]
    return tuple(
        replace(
            epoch,
            number=epoch.number - first.number,
            first_step=epoch.first_step - first.first_step,
            before=first.number,
        )
        for epoch in epochs
    )
