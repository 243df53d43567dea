"""The training of one network, the task that `train` runs: its job, its steps, its validation, its result."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from allometry.arch import Network, digest
from allometry.data import Batch
from allometry.nn import build, scale_residuals
from allometry.runs import EpochMetrics
from allometry.training.batch_norm import synchronize
from allometry.training.devices import autocast
from allometry.training.distillation import Teacher, input_and_teacher_logits, student_losses
from allometry.training.job import Job, digest_of
from allometry.training.loop import run_task
from allometry.training.recipes import Epoch, plan_epochs
from allometry.training.recompute import recompute_blocks
from allometry.training.task import EpochSummary, Task, TaskPhase, Validation, step_sums
from allometry.training.validation import settle_statistics, validate


@dataclass(frozen=True, kw_only=True)
class ClassificationJob(Job[EpochMetrics]):
    """What is trained, on what, and where.

    Attributes:
        network: what is trained.
        start: weights to start from instead of fresh ones.
        teacher: a trained network to learn from, too.

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

    @cached_property
    def epochs(self) -> tuple[Epoch, ...]:
        """Every epoch, planned."""
        return plan_epochs(self.recipe, self.network, len(self.dataset.splits["train"]))

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
    return run_task(ClassificationTask(job))


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
        module = build(job.recipe.applied_to(job.network), seed=job.seed)
        if job.start is None:
            scale_residuals(module, job.recipe.residual_scale)
        else:
            module.load_state_dict(job.start)
        module.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(module)
        if job.recipe.execution.recompute:
            recompute_blocks(module)
        if job.recipe.execution.synchronize and not job.dist.alone:
            synchronize(module, device=job.device)
        self.module = module
        self._forward = cast("nn.Module", torch.compile(module)) if job.recipe.execution.compile else module

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
        settle_statistics(self.job, self.average, self.average, epoch)
        return Validation(score=validate(self.job, self.average))

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
        kept = len(history)
        if job.recipe.keep == "best":
            # As the loop does: the first of those that are equally good.
            kept = 1 + max(range(kept), key=lambda n: (history[n].val_accuracy, -history[n].val_loss, -n))
        return Trained(
            module=module.eval(),
            history=tuple(history),
            seconds=sum(record.seconds for record in history),
            images=sum(record.images for record in history),
            kept=kept,
        )
