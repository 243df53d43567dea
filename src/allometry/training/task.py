"""What a training computes: all that the loop leaves open, for classification, supernets and gradient search alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from allometry.data import Batch, Split
from allometry.training.batch_norm import batch_norms
from allometry.training.job import Job, RecordT
from allometry.training.metrics.evaluate import Score
from allometry.training.optimizer import layers_above_in
from allometry.training.recipes import Epoch, Recipe

ResultT = TypeVar("ResultT")
FINAL = "final.safetensors"
"""Where a task puts its final weights, in the folder of checkpoints, unless it says otherwise."""
SUMS = 3
"""What `Task.learn` adds up: losses, correct answers and images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPhase:
    """A stretch of epochs with an optimizer of its own; most trainings have one.

    Attributes:
        name: for people; empty where there is one phase only.
        recipe: how it is trained, with its own epochs and learning rate.
        epochs: all of them, planned.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.training.recipes import plan_epochs
        >>> recipe = Recipe(epochs=2, batch_size=10)
        >>> TaskPhase(recipe=recipe, epochs=plan_epochs(recipe, get("efficientnet-b0"), images=100)).steps
        20
    """

    name: str = ""
    recipe: Recipe
    epochs: tuple[Epoch, ...]

    @property
    def steps(self) -> int:
        """Optimizer steps in it."""
        return self.epochs[-1].last_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """How good what is kept is after an epoch.

    Attributes:
        score: by which epochs are compared.
        counts: whether this epoch may be the best one.
        measures: what else the task's record has of it.

    Example:
        >>> validation = Validation(score=Score(0.75, 0.6), measures={"largest": 0.8, "smallest": 0.7})
        >>> validation.score.accuracy, validation.counts
        (0.75, True)
    """

    score: Score
    counts: bool = True
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochSummary:
    """What the loop knows of an epoch that has ended, from which a task makes its record.

    Attributes:
        phase: its phase's number, from 0.
        epoch: as it was planned.
        epochs: of the phase.
        step: of the phase, at its end.
        learning_rate: of its last step.
        loss: mean over all that passed.
        accuracy: fraction of what passed that was classified correctly.
        passes: images that passed, as often as they did.
        train_seconds: of its steps.
        seconds: with its validation.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.training.recipes import plan_epochs
        >>> (epoch,) = plan_epochs(Recipe(epochs=1, batch_size=10), get("efficientnet-b0"), images=100)
        >>> summary = EpochSummary(
        ...     phase=0,
        ...     epoch=epoch,
        ...     epochs=1,
        ...     step=epoch.last_step,
        ...     learning_rate=0.01,
        ...     loss=0.7,
        ...     accuracy=0.5,
        ...     passes=100,
        ...     train_seconds=2.0,
        ...     seconds=2.5,
        ... )
        >>> summary.step, summary.passes
        (10, 100)
    """

    phase: int
    epoch: Epoch
    epochs: int
    step: int
    learning_rate: float
    loss: float
    accuracy: float
    passes: int
    train_seconds: float
    seconds: float


class Task(ABC, Generic[RecordT, ResultT]):
    """What one training computes, optimizes, validates and gives; `run_task` does all the rest.

    A task is made from its job at no cost; `build` makes the modules once the loop knows that there is something to
    train. What it draws follows from seed and step alone, so that a training goes on exactly.

    Args:
        job: what is trained, on what, and where.

    Attributes:
        module: whose parameters the optimizer moves.
        average: the same with averaged weights, which is what is validated and kept.

    Example:
        >>> sorted(Task.__abstractmethods__)  # what a task must say; the rest has a default
        ['build', 'learn', 'phases', 'record', 'result', 'validate']
    """

    record_type: type[RecordT]
    seeds_per_step = 1
    """How many seeds of dropping a step uses."""
    keeps_average = False
    """Whether a phase goes on with the average of the one before, as if they were one."""
    module: nn.Module
    average: nn.Module

    def __init__(self, job: Job[RecordT]) -> None:
        self.job = job

    # What there is to do

    @property
    @abstractmethod
    def phases(self) -> Sequence[TaskPhase]:
        """All phases, in order."""

    @property
    def split(self) -> Split:
        """The images that the weights learn from."""
        return self.job.dataset.splits["train"]

    @property
    def final(self) -> Path:
        """Where the result's weights go."""
        return self.job.folder / "checkpoints" / FINAL

    @abstractmethod
    def build(self) -> None:
        """Make module and average, with initial weights, on the job's device."""

    @property
    def classifier(self) -> nn.Module:
        """What alone learns in the recipe's head epochs."""
        return self.module.get_submodule("classifier")

    def layers_above(self, name: str) -> int:
        """How many layers lie between a parameter and the logits, for the recipe's decay from layer to layer."""
        return layers_above_in(self.module, name)

    def decay_share(self, name: str, phase: int) -> float:
        """The fraction of the recipe's weight decay that a parameter has in a phase, if it decays."""
        del name, phase
        return 1.0

    # Phases, epochs, steps

    def enter_phase(self, number: int) -> None:
        """Make ready for the steps of a phase, at its beginning or where the training goes on."""

    def next_phase(self, number: int) -> None:
        """Go over to a phase from the end of the one before; the average holds what is kept of that."""

    def rebuild(self, number: int) -> None:
        """Make the modules of a phase that a training goes on in, where phases differ; a checkpoint has the values."""

    def inherit_optimizer(self, old: torch.optim.Optimizer, new: torch.optim.Optimizer) -> None:
        """Take over what a new phase's optimizer keeps from that of the phase before; by default it begins anew."""

    @contextmanager
    def during(self, epoch: Epoch) -> Iterator[None]:
        """Around the steps of an epoch, or the rest of them."""
        del epoch
        yield

    def freeze_statistics(self, *, frozen: bool) -> None:
        """Let batch norms in training use the statistics that they have, or those of each batch again."""
        for norm in batch_norms(self.module):
            norm.train(not frozen)

    def set_dropout(self, probability: float) -> None:
        """Set the dropout before the classifier."""
        dropout = self.module.get_submodule("dropout")
        assert isinstance(dropout, nn.Dropout)  # noqa: S101
        dropout.p = probability

    def side_of(self, epoch: Epoch, step: int) -> int:
        """The side of a step's images, in pixels; called by the threads that make them."""
        del step
        return epoch.resolution

    def start_step(self, epoch: Epoch, step: int) -> None:
        """Draw what a step computes."""

    @abstractmethod
    def learn(self, batch: Batch, epoch: Epoch) -> Tensor:
        """Add the gradients of a batch, or of a part of it, to those that the module's parameters have.

        Args:
            batch: the images of this process.
            epoch: that the step belongs to.

        Returns:
            The sums of losses, of correct answers, and of images that passed, float64 [3].
        """

    def loss_scale(self, epoch: Epoch, *, passes: int = 1) -> float:
        """What the sum of losses is multiplied by: processes average their gradients, and parts of a batch add up.

        Args:
            epoch: that the step belongs to.
            passes: how often each image passes.
        """
        return self.job.dist.world_size / (epoch.images_per_step * passes)

    def after_step(self, epoch: Epoch, step: int) -> None:
        """Do what follows a step of the weights; `step` counts it."""

    def after_steps(self, epoch: Epoch) -> Iterator[None]:
        """Do what lies between an epoch's steps and its record, in parts after each of which the training can stop.

        Called again it does what is left, by what `state_dict` has of it.
        """
        del epoch
        return iter(())

    def check_finite(self) -> None:
        """Refuse numbers of the task's own that are none.

        Raises:
            NonFiniteLossError: there are some.
        """

    def note(self) -> str:
        """A few words for the progress display, beside loss and accuracy."""
        return ""

    # After an epoch, and at the end

    @abstractmethod
    def validate(self, epoch: Epoch) -> Validation:
        """How good what is kept is, the same in all processes."""

    @abstractmethod
    def record(self, summary: EpochSummary, validation: Validation) -> RecordT:
        """The epoch's record."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs besides module, average and optimizer: tensors and plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""

    def kept_weights(self) -> dict[str, Tensor]:
        """What is remembered of the best epoch."""
        return self.average.state_dict()

    def load_kept_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take back what `kept_weights` gave."""
        self.average.load_state_dict(weights)

    def final_weights(self) -> dict[str, Tensor]:
        """What the result is made from."""
        return self.kept_weights()

    @abstractmethod
    def result(self, weights: Mapping[str, Tensor], history: Sequence[RecordT]) -> ResultT:
        """The result, from the final weights and all records; nothing may have been built."""


def step_sums(losses: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """The sums of losses, correct answers and images, as `Task.learn` gives them, float64 [3].

    Example:
        >>> step_sums(torch.tensor([1.0, 2.0]), torch.eye(2), torch.tensor([0, 0])).tolist()
        [3.0, 1.0, 2.0]
    """
    total, logits = losses.detach().sum(), logits.detach()
    if labels.ndim == 2:  # several labels: the fraction of them that is on the right side of one half
        correct = ((logits > 0) == (labels > 0)).float().mean(1).sum()
    else:
        correct = (logits.argmax(1) == labels).sum()
    return torch.stack([total, correct, total.new_tensor(len(losses))]).double()
