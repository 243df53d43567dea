"""What callbacks are told of a training, from its task and state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allometry.arch import Network
from allometry.training.callbacks.base import EpochEnd, StepEnd, TrainStart
from allometry.training.recipes import Epoch, learning_rate
from allometry.training.state import TrainingState
from allometry.training.task import Task


def train_start(task: Task[Any, Any], state: TrainingState[Any]) -> TrainStart:
    """A training that begins, or goes on."""
    job = task.job
    network = getattr(job, "network", None)
    return TrainStart(
        folder=job.folder,
        label=job.label,
        recipe=job.recipe,
        network=network if isinstance(network, Network) else None,
        seed=job.seed,
        device=str(job.device),
        epochs=sum(len(phase.epochs) for phase in task.phases),
        steps=_steps(task),
        step=state.steps,
        history=tuple(_history(task, state)),
    )


def step_end(task: Task[Any, Any], state: TrainingState[Any], epoch: Epoch, *, with_loss: bool) -> StepEnd:
    """A step that was taken; its loss makes a GPU wait."""
    loss, _, passes, _ = state.sums.tolist() if with_loss else (0.0, 0.0, 1.0, 0.0)
    return StepEnd(
        step=state.steps,
        steps=_steps(task),
        learning_rate=learning_rate(state.plan.recipe, epoch, state.step - 1),
        loss=loss / passes if with_loss else None,
    )


def _steps(task: Task[Any, Any]) -> int:
    return sum(phase.steps for phase in task.phases)


def _history(task: Task[Any, Any], state: TrainingState[Any]) -> Iterator[EpochEnd]:
    """The epochs that ended before; a phase begins where they count from 1 again."""
    phase, last = 0, 0
    for record in state.history:
        if record.epoch <= last:
            phase += 1
        last = record.epoch
        yield EpochEnd(record=record, step=sum(before.steps for before in task.phases[:phase]) + record.step)
