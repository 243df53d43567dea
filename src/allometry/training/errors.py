"""How a training ends before its end, and what it says then."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from allometry.base import NonFiniteLossError, OutOfMemoryError
from allometry.base.errors import Stopped
from allometry.training.checkpoint import latest_checkpoint
from allometry.training.state import TrainingState
from allometry.training.task import Task

_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


def check_finite(task: Task[Any, Any], state: TrainingState[Any]) -> None:
    """Refuse to go on with a loss or a gradient that is no number, in whichever process it is."""
    task.check_finite()
    if task.job.dist.any(not math.isfinite(state.sums.sum().item())):
        raise diverged(task, state)


def refuse_infinite_weights(task: Task[Any, Any], state: TrainingState[Any]) -> None:
    """Refuse to write weights that are no numbers, which a step makes of a loss that was one."""
    weights = [*task.module.parameters(), *task.average.parameters()]
    finite = torch.stack([weight.detach().isfinite().all() for weight in weights]).all().item()
    if task.job.dist.any(not finite):
        raise diverged(task, state)


def diverged(task: Task[Any, Any], state: TrainingState[Any]) -> NonFiniteLossError:
    """What a training without a usable loss ends with."""
    return NonFiniteLossError(
        f"The loss of {task.job.label} became infinite or not a number by step {state.step}{_phase(task, state)}. "
        f"{_what_is_kept(task)} Try a lower learning rate (--set learning_rate=...), stronger clipping (--set clip=1) "
        "or float32."
    )


@contextmanager
def memory_errors(task: Task[Any, Any], state: TrainingState[Any]) -> Iterator[None]:
    """A device or a machine without memory raises many kinds; the user hears one sentence."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        words = str(error).lower()
        if not isinstance(error, MemoryError) and not any(text in words for text in _NO_MEMORY):
            raise
        epoch = state.plan.epochs[min(state.recorded, len(state.plan.epochs) - 1)]
        raise OutOfMemoryError(
            f"The memory of {task.job.device.type} did not suffice for a step of {task.job.label} with "
            f"{epoch.batch_size} images of {epoch.resolution} px. {_what_is_kept(task)} "
            "Let the images of a step pass in smaller parts (--memory 4GB, or --set execution.micro_batch=8), or "
            "keep less of them (--set execution.recompute=true)."
        ) from error


def stopped(task: Task[Any, Any], state: TrainingState[Any]) -> Stopped:
    """What a training ends with that the user wanted to end."""
    return Stopped(
        f"Stopped {task.job.label} after {state.recorded} of {len(state.plan.epochs)} epochs{_phase(task, state)} "
        f"(step {state.step}); the same command goes on from there."
    )


def _phase(task: Task[Any, Any], state: TrainingState[Any]) -> str:
    """Which of several phases a training is in."""
    if len(task.phases) == 1:
        return ""
    return f" of the phase {state.plan.name!r}, number {state.phase + 1} of {len(task.phases)}"


def _what_is_kept(task: Task[Any, Any]) -> str:
    job = task.job
    kept = latest_checkpoint(job.folder / "checkpoints") if job.dist.is_main else None
    return f"The checkpoint of step {kept.step} is kept." if kept else "There was no checkpoint yet."
