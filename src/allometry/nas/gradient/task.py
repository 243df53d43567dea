"""A search by gradient as a task of the training loop: weights and architecture learn in turns."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from allometry.arch import Network
from allometry.data import Batch, Split
from allometry.nas.encodings import network_of
from allometry.nas.gradient.architecture import Architecture
from allometry.nas.gradient.deriving import derive
from allometry.nas.gradient.distribution import Distribution
from allometry.nas.gradient.job import GradientJob
from allometry.nas.gradient.mixed_network import MixedNetwork, Mixture, OnePath, build_mixed_network
from allometry.nn import scale_residuals
from allometry.runs import GradientEpochMetrics
from allometry.training import (
    Epoch,
    EpochSummary,
    Task,
    TaskPhase,
    Validation,
    autocast,
    run_task,
    student_losses,
)
from allometry.training.batch_norm import synchronize
from allometry.training.devices import compile_layer
from allometry.training.distillation import input_and_teacher_logits
from allometry.training.optimizer import layers_above
from allometry.training.recompute import recompute_each
from allometry.training.task import step_sums
from allometry.training.validation import settle_statistics, validate


@dataclass(frozen=True, slots=True, eq=False)
class GradientResult:
    """What a search by gradient has found.

    Attributes:
        encoding: of the job's space, [choices].
        network: that it stands for.
        budgeted: whether the most probable options exceeded the hard budget, so that the most probable network found
            within it was taken.
        score: the logarithm of the probability of its decisions.
        expected_cost: of the distribution at the end; None where no cost counted.
        probabilities: of each choice's options at the end.
        distribution: that was learned, to draw other networks from.
        history: one record per epoch.
        seconds: over all sessions.
        images: passed through the supernet for learning, of both kinds.
        supernet: with its averaged weights; `supernet.extract(encoding)` gives the network's module to go on with.

    Example, with a small `network`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.nas.gradient import choices_of
        >>> space = mbconv_space(network, kernels=(3, 5))
        >>> distribution = Distribution(choices_of(space))
        >>> derived = derive(distribution)
        >>> result = GradientResult(
        ...     encoding=derived.encoding,
        ...     network=network_of(space, derived.encoding),
        ...     budgeted=derived.budgeted,
        ...     score=derived.score,
        ...     expected_cost=None,
        ...     probabilities=distribution.by_choice(),
        ...     distribution=distribution,
        ...     history=(),
        ...     seconds=0.0,
        ...     images=0,
        ...     supernet=build_mixed_network(distribution.choices, seed=0),
        ... )
        >>> result.budgeted, result.network.depth
        (False, 2)
    """

    encoding: npt.NDArray[np.int8]
    network: Network
    budgeted: bool
    score: float
    expected_cost: float | None
    probabilities: Mapping[str, tuple[float, ...]]
    distribution: Distribution
    history: tuple[GradientEpochMetrics, ...]
    seconds: float
    images: int
    supernet: MixedNetwork


def search_by_gradient(job: GradientJob) -> GradientResult:
    """Search, or go on with a search that stopped, or give the result of one that is finished.

    The promises are those of `run_task`, and so are the errors, but for one more.

    Raises:
        BudgetError: no network that the hard budget allows was found.

    Source: ProxylessNAS (Cai et al. 2019), section 3.2; FBNet (Wu et al. 2019), section 3.3.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.nas.gradient import CostLoss, proxylessnas
        >>> space, settings = mbconv_space(network, kernels=(3, 5)), proxylessnas(cost_loss=CostLoss(form="none"))
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> job = GradientJob(space=space, settings=settings, recipe=recipe, folder=folder, **data)
        >>> result = search_by_gradient(job)
        >>> space.contains(result.network), len(result.history)
        (True, 2)
    """
    return run_task(GradientTask(job))


class GradientTask(Task[GradientEpochMetrics, GradientResult]):
    """A network of all candidates learns, and which of them to keep.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.nas.gradient import CostLoss, proxylessnas
        >>> space, settings = mbconv_space(network, kernels=(3, 5)), proxylessnas(cost_loss=CostLoss(form="none"))
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> job = GradientJob(space=space, settings=settings, recipe=recipe, folder=folder, **data)
        >>> task = GradientTask(job)  # `run_task(task)` trains
        >>> len(task.phases[0].epochs), task.split is job.splits[0]
        (2, True)
    """

    record_type = GradientEpochMetrics
    seeds_per_step = 2  # those of the weights are even, those of the architecture odd
    job: GradientJob
    module: MixedNetwork
    average: MixedNetwork

    @cached_property
    def phases(self) -> tuple[TaskPhase, ...]:
        """The one phase."""
        return (TaskPhase(recipe=self.job.recipe, epochs=self.job.epochs),)

    @property
    def split(self) -> Split:
        """The images that the weights learn from; the architecture has its own."""
        return self.job.splits[0]

    def build(self) -> None:
        """Make the over-parameterized network, and the distribution."""
        job, execution = self.job, self.job.recipe.execution
        module = build_mixed_network(job.choices, recipe=job.recipe, seed=job.seed)
        scale_residuals(module, job.recipe.residual_scale)
        module.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(module)
        if execution.recompute:
            recompute_each(module.candidates())
        if execution.synchronize and not job.dist.alone:
            synchronize(module, device=job.device)
        for candidate in module.candidates() if execution.compile else ():
            compile_layer(candidate)
        self.module = module
        self.architecture = Architecture(job)
        self._mixture: Mixture | None = None
        self._held: Iterator[Batch] = iter(())

    @cached_property
    def classifier(self) -> nn.Module:
        """What alone learns in the recipe's head epochs."""
        return self.module.get_submodule("frame.classifier")

    def layers_above(self, name: str) -> int:
        """How many layers lie between a parameter and the logits."""
        first, *rest = name.split(".")
        if first == "groups":
            stage = self.job.choices.groups[int(rest[0])].layers[int(rest[1])].stage
            rest = ["stages", str(stage)]
        return layers_above(".".join(rest), stages=len(self.job.choices.frame.stages))

    # Epochs and steps

    @contextmanager
    def during(self, epoch: Epoch) -> Iterator[None]:
        """Around the steps of an epoch: the held-out batches go on where they were."""
        del epoch
        held = self.architecture.held_batches()
        self._held = held
        try:
            yield
        finally:
            held.close()

    def set_dropout(self, probability: float) -> None:
        """Set the dropout before the classifier."""
        self.module.frame.dropout.p = probability

    def start_step(self, epoch: Epoch, step: int) -> None:
        """Draw the path, or how all are mixed."""
        self._mixture = self.architecture.mixture(epoch, step)

    def learn(self, batch: Batch, epoch: Epoch) -> Tensor:
        """Let the weights learn from a batch.

        The cost is left out of their loss: for the weights it is a constant factor, or a constant.
        """
        job = self.job
        with autocast(job.recipe, job.device):
            images, taught = input_and_teacher_logits(
                batch, job.preprocessing, teacher=job.teacher, device=job.device
            )
            logits = self.module(images, self._mixture)
        losses, labels = student_losses(logits, batch, job.recipe, teacher_logits=taught)
        torch.autograd.backward(losses.sum() * self.loss_scale(epoch))
        return step_sums(losses, logits, labels)

    def after_step(self, epoch: Epoch, step: int) -> None:
        """After every few steps of the weights, once they are warm, a step of the architecture."""
        every = self.job.settings.every
        if every is not None and self.job.is_warm(epoch) and step % every == 0:
            self.architecture.learn(self.module, next(self._held), epoch)

    def after_steps(self, epoch: Epoch) -> Iterator[None]:
        """In turns of epochs: the architecture's updates from the held-out images, as many as are left."""
        if self.job.settings.every is None:
            while self.architecture.updates < self.architecture.updates_until(epoch):
                self.architecture.learn(self.module, next(self._held), epoch)
                yield

    def check_finite(self) -> None:
        """Refuse an architecture parameter that is no number.

        Raises:
            NonFiniteLossError: there is one.
        """
        self.architecture.distribution.log_probabilities()

    def note(self) -> str:
        """How much is still open."""
        return f", entropy {self.architecture.distribution.entropy():.1f}"

    # After an epoch, and at the end

    def validate(self, epoch: Epoch) -> Validation:
        """The most probable network, as a path through the average."""
        path = _Path(self.average, self.architecture.distribution.mode())
        settle_statistics(self.job, path, self.average, epoch)
        return Validation(score=validate(self.job, path), counts=self.job.is_warm(epoch))

    def record(self, summary: EpochSummary, validation: Validation) -> GradientEpochMetrics:
        """The epoch's record; the architecture's sums begin anew."""
        architecture = self.architecture
        held_loss, held_correct, held = self.job.dist.all_reduce(architecture.sums).tolist()
        architecture.sums.zero_()
        return GradientEpochMetrics(
            epoch=summary.epoch.number + 1,
            epochs=summary.epochs,
            step=summary.step,
            updates=architecture.updates,
            learning_rate=summary.learning_rate,
            train_loss=summary.loss,
            train_accuracy=summary.accuracy,
            held_loss=held_loss / held if held else None,
            held_accuracy=held_correct / held if held else None,
            val_loss=validation.score.loss,
            val_accuracy=validation.score.accuracy,
            expected_cost=architecture.expected_cost(),
            entropy=architecture.distribution.entropy(),
            images=summary.passes + round(held),
            seconds=summary.seconds,
        )

    def state_dict(self) -> dict[str, Any]:
        """The architecture's state."""
        return self.architecture.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.architecture.load_state_dict(state)

    def kept_weights(self) -> dict[str, Tensor]:
        """The averaged weights and the distribution."""
        return self.average.state_dict() | self.architecture.weights()

    def load_kept_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take back what `kept_weights` gave."""
        own = self.architecture.weights()
        self.average.load_state_dict({name: value for name, value in weights.items() if name not in own})
        self.architecture.load_weights(weights)

    def result(
        self, weights: Mapping[str, Tensor], history: Sequence[GradientEpochMetrics]
    ) -> GradientResult:
        """The network that the final distribution stands for."""
        job = self.job
        self.build()
        self.load_kept_weights(weights)
        distribution = self.architecture.distribution
        derived = derive(distribution, allows=job.allows, seed=job.seed)
        return GradientResult(
            encoding=derived.encoding,
            network=network_of(job.space, derived.encoding),
            budgeted=derived.budgeted,
            score=derived.score,
            expected_cost=self.architecture.expected_cost(),
            probabilities=distribution.by_choice(),
            distribution=distribution,
            history=tuple(history),
            seconds=sum(record.seconds for record in history),
            images=sum(record.images for record in history),
            supernet=self.average.eval(),
        )


class _Path(nn.Module):
    """One path through a mixed network."""

    def __init__(self, supernet: MixedNetwork, options: tuple[int, ...]) -> None:
        super().__init__()
        self.supernet, self.path = supernet, OnePath(options)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (logits), [N, classes]."""
        logits: Tensor = self.supernet(x, self.path)
        return logits
