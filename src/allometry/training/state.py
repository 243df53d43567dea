"""What changes from step to step, and so goes into a checkpoint."""

from __future__ import annotations

import math
from typing import Any, Generic, NamedTuple

import torch

from allometry.base import RunFolderError
from allometry.training.callbacks.watching import Watchers
from allometry.training.checkpoint import Checkpoint, CheckpointTimer, best_file, load_weights
from allometry.training.ema import ModelEma
from allometry.training.history import HISTORY, from_state, to_state
from allometry.training.job import RecordT
from allometry.training.optimizer import make_optimizer
from allometry.training.recipes import Epoch, images_until
from allometry.training.task import SUMS, ResultT, Task, TaskPhase


class Best(NamedTuple):
    """The best epoch of the phase so far, counted from 1; 0 before there is one."""

    epoch: int = 0
    accuracy: float = -1.0
    loss: float = float("inf")


class TrainingState(Generic[RecordT]):
    """The task's modules with their optimizer, the place in phases and data, and the running sums of the epoch."""

    def __init__(self, task: Task[RecordT, ResultT]) -> None:
        job = task.job
        task.build()
        self._task: Task[RecordT, Any] = task
        self.phase = 0
        self.step = 0  # of the phase
        self.recorded = 0  # epochs of the phase that were validated, too, and have their line in the metrics
        self.history: list[RecordT] = []  # of all phases
        self.seconds = 0.0
        self.best = Best()
        # Losses, correct answers, passes and gradient norms of the epoch so far; on the device, read rarely.
        self.sums = torch.zeros(SUMS + 1, dtype=torch.float64, device=job.device)
        self._follow_modules()
        self.watchers = Watchers(job.callbacks if job.dist.is_main else (), job.progress)
        self.saving = CheckpointTimer(job.clock, every=job.save_every)

    @property
    def plan(self) -> TaskPhase:
        """The phase that it is in."""
        return self._task.phases[self.phase]

    @property
    def epoch(self) -> Epoch:
        """The epoch that comes next, or goes on."""
        return self.plan.epochs[self.recorded]

    @property
    def phase_is_over(self) -> bool:
        """Whether the phase has all its epochs, or no better one for as long as the recipe waits."""
        patience, best = self.plan.recipe.patience, self.best.epoch
        if patience and best and self.recorded - best >= patience:
            return True
        return self.recorded == len(self.plan.epochs)

    @property
    def is_over(self) -> bool:
        """Whether all phases are over."""
        return self.phase_is_over and self.phase == len(self._task.phases) - 1

    @property
    def steps(self) -> int:
        """Steps of all phases so far, as they were planned."""
        return sum(phase.steps for phase in self._task.phases[: self.phase]) + self.step

    @property
    def images(self) -> int:
        """Images of all phases so far, as they were planned."""
        before = sum(images_until(phase.epochs, phase.steps) for phase in self._task.phases[: self.phase])
        return before + images_until(self.plan.epochs, self.step)

    def load_best(self) -> None:
        """Let the average be what the recipe keeps of the phase."""
        job = self._task.job
        if self.plan.recipe.keep != "best" or not self.best.epoch:
            return
        path = best_file(job.folder / "checkpoints", self.phase)
        # Only the main process need have the folder.
        weights = job.dist.broadcast_object(load_weights(path) if job.dist.is_main else None)
        self._task.load_kept_weights(weights)

    def next_phase(self) -> None:
        """Go over to the next phase, with a new optimizer."""
        before = self.optimizer
        self.load_best()
        self.phase, self.step, self.recorded, self.best = self.phase + 1, 0, 0, Best()
        self._task.next_phase(self.phase)
        self._follow_modules()
        self._task.inherit_optimizer(before, self.optimizer)

    def update_average(self) -> None:
        """Move the average towards the weights and the batch-norm statistics; fast at first, then slowly."""
        age = self.steps if self._task.keeps_average else self.step
        self._ema.move(self.plan.recipe.ema, step=age)

    def write(self) -> None:
        """Write a checkpoint into the job's folder; all processes must call it, and the main one writes.

        Raises:
            StorageError: the disk is full, read-only or forbidden.
        """
        task, job = self._task, self._task.job
        sums, own = job.dist.all_reduce(self.sums).cpu(), task.state_dict()
        if not job.dist.is_main:
            return
        state = {
            "identity": job.identity,
            "optimizer": self.optimizer.state_dict(),
            "sums": sums,
            "seconds": self.seconds,
            "phase": self.phase,
            "step": self.step,
            "recorded": self.recorded,
            HISTORY: to_state(self.history),
            "best": list(self.best),
            "task": own,
        }
        weights, average = task.module.state_dict(), task.average.state_dict()
        with self.saving.writing():
            Checkpoint(self.steps, weights, average, state).write(job.folder / "checkpoints")

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to a checkpoint of the same job.

        Raises:
            RunFolderError: it is another job's, or of a place that this training never comes to.
        """
        job = self._task.job
        job.refuse_other(checkpoint.state.get("identity"))
        try:
            self._restore(checkpoint)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            RuntimeError,
            RunFolderError,
        ) as error:
            folder = job.folder / "checkpoints"
            raise RunFolderError(
                f"The checkpoint of step {checkpoint.step} in {folder} is none of {job.label} "
                f"({type(error).__name__}: {error}); remove {folder} to train from the start."
            ) from error

    def _restore(self, checkpoint: Checkpoint) -> None:
        task, job, state = self._task, self._task.job, checkpoint.state
        self.phase, self.step, self.recorded = state["phase"], state["step"], state["recorded"]
        self.history = list(from_state(task.record_type, state[HISTORY]))
        epoch, accuracy, loss = state["best"]
        self.seconds, self.best = state["seconds"], Best(epoch, float(accuracy), float(loss))
        self._check_place(checkpoint)
        task.rebuild(self.phase)
        task.module.load_state_dict(checkpoint.weights)
        task.average.load_state_dict(checkpoint.average)
        task.load_state_dict(state["task"])
        self._follow_modules()
        self.optimizer.load_state_dict(state["optimizer"])
        if job.dist.is_main:  # it has the sums of all
            self.sums = state["sums"].to(job.device)

    def _check_place(self, checkpoint: Checkpoint) -> None:
        """Refuse a place in phases, epochs and steps that no training comes to."""
        places = (self.phase, self.step, self.recorded, self.best.epoch)
        if not all(type(place) is int and place >= 0 for place in places) or self.phase >= len(
            self._task.phases
        ):
            raise ValueError(f"phase, step, epoch and best epoch are {places}")
        epochs, recorded = self.plan.epochs, self.recorded
        if recorded > len(epochs) or self.best.epoch > recorded:
            raise ValueError(
                f"{recorded} of {len(epochs)} epochs are done, the best of them {self.best.epoch}"
            )
        first = epochs[recorded - 1].last_step if recorded else 0
        last = epochs[min(recorded, len(epochs) - 1)].last_step
        if not first <= self.step <= last or self.steps != checkpoint.step:
            raise ValueError(f"step {self.step} lies outside of epoch {recorded + 1}")
        ended = [record.epoch for record in self.history[len(self.history) - recorded :]]
        if ended != [epoch.before + epoch.number + 1 for epoch in epochs[:recorded]]:
            raise ValueError(f"{recorded} epochs are done, and {ended} are known")
        if math.isnan(self.best.accuracy) or math.isnan(self.best.loss):
            raise ValueError("the best epoch has no figures")
        if not 0 <= self.seconds < float("inf"):
            raise ValueError(f"the epoch took {self.seconds} seconds")

    def _follow_modules(self) -> None:
        """Optimizer and average of the modules that the task has now."""
        task, phase = self._task, self.phase
        self._ema = ModelEma(task.average, task.module)
        self.optimizer = make_optimizer(
            task.module,
            self.plan.recipe,
            layers_above=task.layers_above,
            decay_share=lambda name: task.decay_share(name, phase),
        )
