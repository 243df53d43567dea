"""The training of one network, the task that `train` runs: its job, its steps, its validation, its result."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from allometry.arch import Network, digest
from allometry.data import Batch
from allometry.nn import ConvNet, build, scale_residuals
from allometry.nn.growing import GrowthMethod
from allometry.runs import EpochMetrics
from allometry.training.batch_norm import synchronize
from allometry.training.devices import autocast
from allometry.training.distillation import Teacher, input_and_teacher_logits, student_losses
from allometry.training.job import Job, digest_of
from allometry.training.preprocessing import Preprocessing
from allometry.training.recipes import Epoch, plan_epochs
from allometry.training.recompute import recompute_blocks
from allometry.training.task import EpochSummary, Task, TaskPhase, Validation, step_sums
from allometry.training.validation import settle_statistics, validate


class NetworkEpochs(NamedTuple):
    """A network with the epochs of a training in which it is trained.

    Attributes:
        network: that learns.
        epochs: as the whole training counts them.

    Example, with a small `network` and a `recipe`:
        >>> len(NetworkEpochs(network, plan_epochs(recipe, network, images=28)).epochs)
        2
    """

    network: Network
    epochs: tuple[Epoch, ...]


@dataclass(frozen=True, kw_only=True)
class ClassificationJob(Job[EpochMetrics]):
    """What is trained, on what, and where.

    Attributes:
        network: what is trained; where it grows in the training, what it comes to.
        start: weights to start from instead of fresh ones.
        teacher: a trained network to learn from, too.
        smaller: networks that are trained before, from the smallest on, each of which grows into the next one, with
            the number of epochs of each.
        growth: what new channels are when a network grows.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> job = ClassificationJob(
        ...     network=network, dataset=dataset, preprocessing=preprocessing, recipe=recipe, folder=folder
        ... )
        >>> len(dataset.splits["train"]), job.steps
        (28, 8)
    """

    network: Network
    start: Mapping[str, Tensor] | None = None
    teacher: Teacher | None = None
    smaller: tuple[tuple[Network, int], ...] = ()
    growth: GrowthMethod = "new"

    @cached_property
    def networks(self) -> tuple[NetworkEpochs, ...]:
        """The networks in the order of their training, each with its epochs; most trainings have one."""
        images, first = len(self.dataset.splits["train"]), 0
        parts: list[NetworkEpochs] = []
        for network, epochs in (*self.smaller, (self.network, self.recipe.epochs)):
            planned = plan_epochs(self.recipe, network, images)[first : first + epochs]
            parts.append(NetworkEpochs(network, planned))
            first += epochs
        return tuple(parts)

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """Every epoch, planned."""
        return tuple(epoch for part in self.networks for epoch in part.epochs)

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return self.epochs[-1].last_step

    def identity_parts(self) -> list[object]:
        """All that decides the weights, as JSON-ready values."""
        parts: list[object] = [
            digest(self.network),
            self.recipe.to_dict(),
            self.seed,
            self.dataset.fingerprint,
        ]
        if self.start is not None:
            parts.append(digest_of(self.start))
        if self.teacher is not None:
            parts.append(digest_of(self.teacher.module.state_dict()))
        if self.smaller:
            parts += [self.growth, *((digest(network), epochs) for network, epochs in self.smaller)]
        return parts


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training.

    Attributes:
        module: the network with its averaged weights, in evaluation mode, on the CPU.
        history: one record per epoch, as in `metrics.jsonl`.
        seconds: what the training took, over all its sessions.
        images: training images seen.
        kept: the epoch whose weights these are, counted from 1.

    Example:
        >>> record = EpochMetrics(
        ...     epoch=1,
        ...     epochs=1,
        ...     step=4,
        ...     learning_rate=0.01,
        ...     train_loss=0.7,
        ...     train_accuracy=0.5,
        ...     images=28,
        ...     seconds=2.0,
        ...     resolution=8,
        ...     batch_size=7,
        ...     val_loss=0.6,
        ...     val_accuracy=0.75,
        ...     images_per_second=14.0,
        ... )
        >>> Trained(nn.Identity(), (record,), seconds=2.0, images=28, kept=1).accuracy
        0.75
    """

    module: nn.Module
    history: tuple[EpochMetrics, ...]
    seconds: float
    images: int
    kept: int

    @property
    def accuracy(self) -> float:
        """Validation accuracy of the weights that are kept, 0 to 1."""
        return self.history[self.kept - 1].val_accuracy

    @property
    def loss(self) -> float:
        """Validation loss of the weights that are kept."""
        return self.history[self.kept - 1].val_loss


class ClassificationTask(Task[EpochMetrics, Trained]):
    """One network learns to tell classes apart.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> job = ClassificationJob(network=network, recipe=recipe, folder=folder, **data)
        >>> task = ClassificationTask(job)  # `run_task(task)` trains
        >>> task.build()
        >>> task.phases[0].steps, task.final.name, task.module.training
        (8, 'final.safetensors', True)
    """

    record_type = EpochMetrics
    job: ClassificationJob

    @cached_property
    def phases(self) -> tuple[TaskPhase, ...]:
        """The one phase."""
        return (TaskPhase(recipe=self.job.recipe, epochs=self.job.epochs),)

    def build(self) -> None:
        """Make the network, or take over the weights that it starts from."""
        job = self.job
        module = build(job.recipe.applied_to(self.network), seed=job.seed)
        if job.start is None:
            scale_residuals(module, job.recipe.residual_scale)
        else:
            module.load_state_dict(job.start)
        self.take(module, copy.deepcopy(module))

    def take(self, module: ConvNet, average: ConvNet) -> None:
        """Let a module learn, and its average follow, as the recipe's execution says."""
        job = self.job
        for part in (module, average):
            part.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = average
        if job.recipe.execution.recompute:
            recompute_blocks(module)
        if job.recipe.execution.synchronize and not job.dist.alone:
            synchronize(module, device=job.device)
        self.module = module
        self._forward = cast("nn.Module", torch.compile(module)) if job.recipe.execution.compile else module

    @property
    def network(self) -> Network:
        """What is being trained."""
        return self.job.network

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become its input."""
        return self.job.preprocessing

    def learn(self, batch: Batch, epoch: Epoch) -> Tensor:
        """Losses against the labels, and against the teacher's logits where there is one."""
        job = self.job
        with autocast(job.recipe, job.device):
            images, taught = input_and_teacher_logits(
                batch, job.preprocessing, teacher=job.teacher, device=job.device
            )
            logits = self._forward(images)
        losses, labels = student_losses(logits, batch, job.recipe, teacher_logits=taught)
        torch.autograd.backward(losses.sum() * self.loss_scale(epoch))
        return step_sums(losses, logits, labels)

    def validate(self, epoch: Epoch) -> Validation:
        """The averaged network on the validation images."""
        settle_statistics(self.job, self.average, self.average, epoch, preprocessing=self.preprocessing)
        return Validation(score=validate(self.job, self.average, preprocessing=self.preprocessing))

    def record(self, summary: EpochSummary, validation: Validation) -> EpochMetrics:
        """The epoch's record."""
        return EpochMetrics(
            epoch=summary.epoch.number + 1,
            epochs=summary.epochs,
            step=summary.step,
            learning_rate=summary.learning_rate,
            train_loss=summary.loss,
            train_accuracy=summary.accuracy,
            images=summary.passes,
            seconds=summary.seconds,
            resolution=summary.epoch.resolution,
            batch_size=summary.epoch.batch_size,
            val_loss=validation.score.loss,
            val_accuracy=validation.score.accuracy,
            images_per_second=summary.passes / summary.train_seconds if summary.train_seconds > 0 else 0.0,
        )

    def result(self, weights: Mapping[str, Tensor], history: Sequence[EpochMetrics]) -> Trained:
        """The network with its final weights."""
        job = self.job
        module = build(job.recipe.applied_to(job.network), seed=job.seed)
        module.load_state_dict(weights)
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        kept, first = len(history), sum(epochs for _, epochs in job.smaller)
        if job.recipe.keep == "best":
            # As the loop does: the first of those that are equally good.
            kept = 1 + max(
                range(first, kept), key=lambda n: (history[n].val_accuracy, -history[n].val_loss, -n)
            )
        return Trained(
            module=module.eval(),
            history=tuple(history),
            seconds=sum(record.seconds for record in history),
            images=sum(record.images for record in history),
            kept=kept,
        )
