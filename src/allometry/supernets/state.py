"""What changes from step to step of a supernet's training, and so goes into its checkpoint."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from allometry.nn import ConvNet, save_weights, scale_residuals
from allometry.runs.phases import dimension_of
from allometry.supernets.elastic import build_supernet
from allometry.supernets.extract import extract_subnet
from allometry.supernets.job import SupernetJob
from allometry.supernets.sorting import sort_channels
from allometry.training import Checkpoint, CheckpointTimer, ModelEma, load_weights, make_optimizer

LARGEST = "largest.safetensors"
"""The largest network as it was at the end of the first phase: the teacher where a phase names it."""


class SupernetState:
    """Supernet, average, optimizer, the place in phases and data, and the running sums of the epoch."""

    def __init__(self, job: SupernetJob) -> None:
        supernet = build_supernet(job.space, dropout=job.recipe.dropout, seed=job.seed)
        scale_residuals(supernet, job.recipe.residual_scale)
        self.supernet = supernet.to(job.device)
        self.average = copy.deepcopy(self.supernet)
        self.average.train().dropout = 0.0  # it may teach: with each batch's statistics, and all it knows
        self.largest = supernet.subnet(job.space.largest())
        self._follower = ModelEma(self.average, self.supernet)
        self.phase = 0
        self.step = 0  # of the phase
        self.recorded = 0  # epochs of the phase that have their line in the metrics
        self.seconds = 0.0
        # Losses, right answers and images of the epoch so far, over all subnets, and the gradients' norms.
        self.sums = torch.zeros(4, dtype=torch.float64, device=job.device)
        self.teacher: nn.Module | None = None
        self.optimizer = make_optimizer(self.supernet, job.recipe)
        self.saving = CheckpointTimer(job.clock, every=job.save_every)

    def is_over(self, job: SupernetJob) -> bool:
        """Whether the phase has all its epochs."""
        return self.recorded == len(job.epochs[self.phase])

    def steps(self, job: SupernetJob) -> int:
        """Steps of all phases so far."""
        return sum(epochs[-1].last_step for epochs in job.epochs[: self.phase]) + self.step

    def next_phase(self, job: SupernetJob) -> None:
        """Go over to the next phase: from the averaged weights, the most important channels first."""
        if self.phase == 0 and job.dist.is_main:
            split = job.dataset.splits["train"]
            largest = extract_subnet(
                self.average, job.space.largest(), split, preprocessing=job.preprocessing, seed=job.seed
            )
            save_weights(job.folder / "checkpoints" / LARGEST, largest, metadata={"identity": job.identity})
        self.supernet.load_state_dict(self.average.state_dict())
        before, now = job.spaces[self.phase], job.spaces[self.phase + 1]
        if any(
            dimension_of(choice) in ("width", "channels") and choice.options != old.options
            for old, choice in zip(before.choices, now.choices, strict=True)
        ):
            sort_channels(self.supernet, narrower=before, also=[self.average])
        self.phase, self.step, self.recorded = self.phase + 1, 0, 0
        self.optimizer = make_optimizer(self.supernet, job.recipe)

    def enter(self, job: SupernetJob) -> None:
        """Make ready for the steps of a phase: its teacher, if it has one."""
        if job.phases[self.phase].teacher != "largest" or self.teacher is not None:
            return
        path = job.folder / "checkpoints" / LARGEST
        held = job.dist.broadcast_object(load_weights(path) if job.dist.is_main else None)
        teacher = ConvNet(job.space.largest())
        teacher.load_state_dict(held)
        self.teacher = teacher.to(job.device).eval().requires_grad_(False)

    def update_average(self, decay: float) -> None:
        """Move the average towards the weights."""
        self._follower.move(decay, step=self.step)

    def write(self, job: SupernetJob) -> None:
        """Write a checkpoint into the job's folder; all processes must call it, and the leader writes."""
        sums = job.dist.all_reduce(self.sums).cpu()
        if not job.dist.is_main:
            return
        state: dict[str, Any] = {
            "identity": job.identity,
            "optimizer": self.optimizer.state_dict(),
            "sums": sums,
            "seconds": self.seconds,
            "phase": self.phase,
            "step": self.step,
            "recorded": self.recorded,
        }
        weights, average = self.supernet.state_dict(), self.average.state_dict()
        with self.saving.writing():
            Checkpoint(self.steps(job), weights, average, state).write(job.folder / "checkpoints")

    def restore(self, job: SupernetJob, checkpoint: Checkpoint) -> None:
        """Go back to a checkpoint of the same job."""
        job.refuse_other(checkpoint.state.get("identity"))
        self.supernet.load_state_dict(checkpoint.weights)
        self.average.load_state_dict(checkpoint.average)
        self.optimizer.load_state_dict(checkpoint.state["optimizer"])
        if job.dist.is_main:  # it has the sums of all
            self.sums = checkpoint.state["sums"].to(job.device)
        self.seconds = checkpoint.state["seconds"]
        self.phase, self.step = checkpoint.state["phase"], checkpoint.state["step"]
        self.recorded = checkpoint.state["recorded"]
