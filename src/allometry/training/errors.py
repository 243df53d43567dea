"""How a training ends before its end, and what it says then."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from allometry.base import NonFiniteLossError, OutOfMemoryError
from allometry.base.errors import Stopped
from allometry.training.checkpoint import latest_checkpoint
from allometry.training.job import Job
from allometry.training.state import State


def check_finite(job: Job, state: State) -> None:
    """Refuse to go on with a loss or a gradient that is no number, in whichever process it is."""
    loss, _, _, norm = state.sums.tolist()
    if job.dist.any(not (math.isfinite(loss) and math.isfinite(norm))):
        raise diverged(job, state)


def diverged(job: Job, state: State) -> NonFiniteLossError:
    """What a training without a usable loss ends with."""
    return NonFiniteLossError(
        f"The loss of {job.label} became infinite or not a number by step {state.step}. {_what_is_kept(job)} "
        "Try a lower learning rate (--set learning_rate=...), stronger clipping (--set clip=1) or float32."
    )


@contextmanager
def memory_errors(job: Job, state: State) -> Iterator[None]:
    """A device or a machine without memory raises many kinds; the user hears one sentence."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        words = str(error).lower()
        if not isinstance(error, MemoryError) and not any(text in words for text in _NO_MEMORY):
            raise
        epoch = job.epochs[state.recorded]
        raise OutOfMemoryError(
            f"The memory of {job.device.type} did not suffice for a step of {job.label} with {epoch.batch_size} "
            f"images of {epoch.resolution} px. {_what_is_kept(job)} "
            "Let the images of a step pass in smaller parts (--memory 4GB, or --set execution.micro_batch=8), or "
            "keep less of them (--set execution.recompute=true)."
        ) from error


_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


def _what_is_kept(job: Job) -> str:
    kept = latest_checkpoint(job.folder / "checkpoints") if job.dist.is_main else None
    return f"The checkpoint of step {kept.step} is kept." if kept else "There was no checkpoint yet."


def stopped(job: Job, state: State) -> Stopped:
    """What a training ends with that the user wanted to end."""
    return Stopped(
        f"Stopped {job.label} after {state.recorded} of {job.recipe.epochs} epochs (step {state.step}); "
        "the same command goes on from there."
    )
