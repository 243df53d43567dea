"""The training of any supernet as a task of the training loop: in each step some subnets see the same images."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allometry.arch import Choice, ModuleChoice
from allometry.arch.any_space import AnyMember
from allometry.data import Batch
from allometry.nn import save_weights
from allometry.runs import SupernetEpochMetrics
from allometry.runs.phases import dimension_of
from allometry.supernets.elastic_net import ElasticNet, LayerOptions
from allometry.supernets.extract import extract_subnet, preprocessing_of
from allometry.supernets.job import BaseSupernetJob, drawn
from allometry.training import (
    Epoch,
    EpochSummary,
    Score,
    Task,
    TaskPhase,
    Validation,
    autocast,
    load_weights,
    student_losses,
    to_input,
)
from allometry.training.batch_norm import batch_norms, synchronize
from allometry.training.task import step_sums
from allometry.training.validation import validate

SUPERNET = "supernet.safetensors"
LARGEST = "largest.safetensors"
"""The largest network as it was at the end of the first phase: the teacher where a phase names it."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedSupernet:
    """A finished training.

    Attributes:
        supernet: with its averaged weights, in evaluation mode, on the CPU.
        history: one record per epoch, as in `metrics.jsonl`.
        seconds: what the training took, over all its sessions.
        images: training images seen, once for all subnets of a step.

    Example, with a small `network`:
        >>> from allometry.catalog import mbconv_space
        >>> from allometry.supernets import build_supernet
        >>> supernet = build_supernet(mbconv_space(network, kernels=(3, 5)), seed=0)
        >>> trained = TrainedSupernet(supernet=supernet, history=(), seconds=0.0, images=0)
        >>> trained.supernet.extract(network).training, trained.images
        (True, 0)
    """

    supernet: ElasticNet
    history: tuple[SupernetEpochMetrics, ...]
    seconds: float
    images: int


class BaseSupernetTask(Task[SupernetEpochMetrics, TrainedSupernet]):
    """Whatever learns in one set of weights; what is a supernet's own, its kind says."""

    record_type = SupernetEpochMetrics
    job: BaseSupernetJob
    module: ElasticNet
    average: ElasticNet

    @abstractmethod
    def begin(self) -> ElasticNet:
        """The supernet with the weights that it begins with, on the job's device."""

    @abstractmethod
    def supernet_of(self, weights: Mapping[str, Tensor]) -> ElasticNet:
        """The supernet with some weights, in evaluation mode."""

    @abstractmethod
    def plain_largest(self) -> nn.Module:
        """The module of the largest network, whatever its weights."""

    def drop_rates(self) -> dict[str, float]:
        """The stochastic depth of each layer in the phase, by the names of the supernet's layers."""
        return {}

    @abstractmethod
    def sort_channels(self, phase: int) -> None:
        """Put the most important channels of the supernet first, and those of its average likewise.

        Args:
            phase: the number of one before the present, between whose widths nothing is exchanged.
        """

    @property
    def phases(self) -> tuple[TaskPhase, ...]:
        """The job's phases."""
        return self.job.plans

    @property
    def final(self) -> Path:
        """The supernet's file, which those who take subnets out of it read."""
        return self.job.folder / SUPERNET

    def build(self) -> None:
        """Make the supernet, and its average, which may teach: so nothing of that is dropped."""
        job, recipe = self.job, self.job.recipe
        supernet = self.begin()
        self.average = copy.deepcopy(supernet).train()
        self.average.set_options(replace(options_in_use(job), dropout=0.0))
        supernet.set_options(
            replace(
                options_in_use(job),
                dropout=recipe.dropout,
                synchronize=recipe.execution.synchronize and not job.dist.alone,
                recompute=recipe.execution.recompute,
                compile=recipe.execution.compile,
            )
        )
        self.module = supernet
        self._subnets: list[Any] = []
        self._largest = supernet.subnet(job.space.largest())
        self._teacher: nn.Module | None = None
        self._set_phase(0)

    # Phases, epochs, steps

    def enter_phase(self, number: int) -> None:
        """Make ready for the steps of a phase: what it drops, and its teacher, if it has one."""
        self._set_phase(number)
        if self.job.phases[number].teacher != "largest" or self._teacher is not None:
            return
        job, path = self.job, self.job.folder / "checkpoints" / LARGEST
        weights = job.dist.broadcast_object(load_weights(path) if job.dist.is_main else None)
        teacher = self.plain_largest()
        teacher.load_state_dict(weights)
        if self.module.options.synchronize:  # its answers, too, are the same however images are shared out
            synchronize(teacher, device=job.device)
        self._teacher = teacher.to(job.device).eval().requires_grad_(False)

    def next_phase(self, number: int) -> None:
        """Go over to the next phase: from the averaged weights, the most important channels first."""
        job = self.job
        if number == 1 and job.dist.is_main:
            largest = self._extract(self._largest)
            save_weights(job.folder / "checkpoints" / LARGEST, largest, metadata={"identity": job.identity})
        self.module.load_state_dict(self.average.state_dict())
        before: Sequence[Choice | ModuleChoice] = job.spaces[number - 1].choices
        now: Sequence[Choice | ModuleChoice] = job.spaces[number].choices
        if any(
            dimension_of(choice) in ("width", "channels") and choice.options != old.options
            for old, choice in zip(before, now, strict=True)
        ):
            self.sort_channels(number - 1)

    def freeze_statistics(self, *, frozen: bool) -> None:
        """Nothing: where the recipe freezes statistics the options say so, and there are none in head epochs either."""

    def set_dropout(self, probability: float) -> None:
        """Set the dropout before the classifier, where the recipe lets it change from epoch to epoch."""
        if self.job.recipe.progressive.dropout is not None:
            self.module.set_options(replace(self.module.options, dropout=probability))

    def side_of(self, epoch: Epoch, step: int) -> int:
        """The side of a step's images, in pixels; where each subnet has its own, the greatest of these.

        Images are made at that size, as they will be when a subnet is used: images of the largest size that are shrunk
        once more would be softer.
        """
        job = self.job
        space = job.spaces[self._phase]
        subnets = [space.network(decisions) for decisions in drawn(job, self._phase, step)]
        return max(self._side_of(network, epoch) for network in subnets)

    def start_step(self, epoch: Epoch, step: int) -> None:
        """Draw the step's subnets."""
        del epoch
        self._subnets = [self.module.subnet(network) for network in drawn(self.job, self._phase, step)]

    def learn(self, batch: Batch, epoch: Epoch) -> Tensor:
        """Let the step's subnets learn from a batch; their gradients add up."""
        job, plan, recipe = self.job, self.job.phases[self._phase], self.phases[self._phase].recipe
        images = to_input(batch.images, job.preprocessing, job.device)
        with autocast(recipe, job.device):
            taught = self.teacher_logits(images)
        scale, sums = self.loss_scale(epoch, passes=len(self._subnets)), []
        for place, subnet in enumerate(self._subnets):
            own = _shrunk(images, self._side_of(subnet.network, epoch))
            regularized = (
                plan.regularized == "all" or place == 0
            )  # the first one of a sandwich is the largest
            with autocast(recipe, job.device):
                logits = self.module(own, subnet, regularized=regularized).float()
            losses, labels = student_losses(logits, batch, recipe, teacher_logits=taught)
            torch.autograd.backward(losses.sum() * scale)
            if plan.teacher == "itself" and taught is None:
                taught = logits.detach()
            sums.append(step_sums(losses, logits, labels))
        return torch.stack(sums).sum(0)

    def teacher_logits(self, images: Tensor) -> Tensor | None:
        """The logits of a teacher that does not learn from this step; None without one.

        Its batch norms use the batch's own statistics, as images come in many sizes.

        Source: Once-for-All, released code.
        """
        teacher = self.job.phases[self._phase].teacher
        logits: Tensor | None = None
        with torch.no_grad():
            if teacher == "average":
                logits = self.average(images, self._largest)
            elif teacher == "largest" and self._teacher is not None:
                for norm in () if self.average.options.frozen_statistics else batch_norms(self._teacher):
                    norm.training, norm.track_running_stats = True, False
                logits = self._teacher(images)
        return logits

    # After an epoch, and at the end

    def validate(self, epoch: Epoch) -> Validation:
        """The phase's largest and smallest networks, taken out of the average; they count alike."""
        del epoch
        job, space = self.job, self.job.spaces[self._phase]
        scores: list[Score] = []
        for network in (space.largest(), space.smallest()):
            module = self._extract(self.average.subnet(network))
            scores.append(validate(job, module, preprocessing=preprocessing_of(network, job.preprocessing)))
        largest, smallest = scores
        return Validation(
            score=Score((largest.accuracy + smallest.accuracy) / 2, (largest.loss + smallest.loss) / 2),
            measures={"largest": largest.accuracy, "smallest": smallest.accuracy},
        )

    def record(self, summary: EpochSummary, validation: Validation) -> SupernetEpochMetrics:
        """The epoch's record."""
        phase = self.job.phases[summary.phase]
        return SupernetEpochMetrics(
            phase=summary.phase + 1,
            name=phase.name,
            epoch=summary.epoch.number + 1,
            epochs=summary.epochs,
            step=summary.step,
            learning_rate=summary.learning_rate,
            train_loss=summary.loss,
            train_accuracy=summary.accuracy,
            largest=validation.measures["largest"],
            smallest=validation.measures["smallest"],
            images=round(summary.passes / phase.subnets),
            passes=summary.passes,
            seconds=summary.seconds,
        )

    def final_weights(self) -> dict[str, Tensor]:
        """The averaged weights; their statistics are the largest network's."""
        self.average.load_largest(self._extract(self._largest))
        return self.average.state_dict()

    def result(
        self, weights: Mapping[str, Tensor], history: Sequence[SupernetEpochMetrics]
    ) -> TrainedSupernet:
        """The supernet with its final weights."""
        return TrainedSupernet(
            supernet=self.supernet_of(weights),
            history=tuple(history),
            seconds=sum(record.seconds for record in history),
            images=sum(record.images for record in history),
        )

    def _extract(self, subnet: Any) -> nn.Module:  # noqa: ANN401 - as the supernet gives it
        job = self.job
        return extract_subnet(
            self.average,
            subnet,
            job.dataset.splits["train"],
            preprocessing=job.preprocessing,
            seed=job.seed,
        )

    def _set_phase(self, number: int) -> None:
        self._phase = number
        self.module.set_options(replace(self.module.options, drop_rates=self.drop_rates()))

    def _side_of(self, network: AnyMember, epoch: Epoch) -> int:
        """The side of the images that a subnet sees, which grow as those of the largest one."""
        return max(1, round(network.resolution * epoch.resolution / self.job.preprocessing.resolution))


def _shrunk(images: Tensor, side: int) -> Tensor:
    """Images [N, channels, H, W] at a side that is not greater.

    Source: Yu et al. 2020, *BigNAS*, section 3.1, for bicubic.
    """
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bicubic", align_corners=False, antialias=True)


def options_in_use(job: BaseSupernetJob) -> LayerOptions:
    """How the layers of what is trained compute afterwards."""
    return LayerOptions(frozen_statistics=job.recipe.batch_norm == "frozen")
