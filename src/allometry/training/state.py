"""What changes from step to step, and so goes into a checkpoint."""

from __future__ import annotations

import copy
import gc
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from allometry.nn import build, scale_residuals
from allometry.training.batch_norm import batch_norms, synchronize
from allometry.training.checkpoint import Checkpoint, CheckpointTimer
from allometry.training.ema import ModelEma
from allometry.training.job import Job
from allometry.training.optimizer import make_optimizer
from allometry.training.recipes import Epoch
from allometry.training.recompute import recompute_blocks


class Best(NamedTuple):
    """The best epoch so far, counted from 1; 0 before there is one."""

    epoch: int = 0
    accuracy: float = -1.0
    loss: float = float("inf")


class State:
    """Module, average, optimizer, place in the data and the running sums of the epoch."""

    def __init__(self, job: Job) -> None:
        module = build(job.recipe.applied_to(job.network), seed=job.seed)
        if job.start is None:
            scale_residuals(module, job.recipe.residual_scale)
        else:
            module.load_state_dict(job.start)
        module.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: nn.Module = copy.deepcopy(module)
        if job.recipe.execution.recompute:
            recompute_blocks(module)
        if job.recipe.execution.synchronize and not job.dist.alone:
            synchronize(module, device=job.device)
        self.module: nn.Module = module
        self.optimizer = make_optimizer(self.module, job.recipe)
        self.identity = job.identity  # once: it goes through every image's digest
        self.step = 0
        self.recorded = 0  # epochs that were validated, too, and have their line in the metrics
        self.seconds = 0.0
        self.best = Best()
        # Losses, right answers, images and gradient norms of the epoch so far; on the device, read rarely.
        self.sums = torch.zeros(4, dtype=torch.float64, device=job.device)
        self._forward: nn.Module | None = None
        self._of_head_only = False
        self.saving = CheckpointTimer(job.clock, every=job.save_every)
        self._follower = ModelEma(self.average, self.module)

    def enter(self, job: Job, epoch: Epoch) -> None:
        """Make the module ready for an epoch: what learns, what is dropped, whose statistics are used."""
        self.module.train()
        if epoch.dropout is not None:
            cast("nn.Dropout", self.module.dropout).p = epoch.dropout
        classifier = {id(weight) for weight in cast("nn.Module", self.module.classifier).parameters()}
        for weight in self.module.parameters():
            weight.requires_grad_(not epoch.head_only or id(weight) in classifier)
        if epoch.head_only or job.recipe.batch_norm == "frozen":
            for norm in batch_norms(self.module):
                norm.eval()
        if self._forward is None or self._of_head_only != epoch.head_only:
            self._forward, self._of_head_only = self._wrapped(job), epoch.head_only

    def forward(self, images: Tensor) -> Tensor:
        """The module's scores, by way of what computes them: compiled, or together with other processes."""
        assert self._forward is not None, "enter an epoch first"  # noqa: S101
        return cast(Tensor, self._forward(images))

    def leave(self, job: Job) -> None:
        """Let go of what joins this process to others, before they part.

        A `DistributedDataParallel` that outlives its process group takes it down while holding Python's lock, for
        which the group's own thread may be waiting: then the process never ends.
        """
        self._forward = None
        if not job.dist.alone:
            gc.collect()

    def adding_up(self) -> AbstractContextManager[None]:
        """While it lasts, gradients stay in this process."""
        wrapped = self._forward
        if isinstance(wrapped, DistributedDataParallel):
            return cast("AbstractContextManager[None]", wrapped.no_sync())
        return nullcontext()

    def write(self, job: Job) -> None:
        """Write a checkpoint into the job's folder; all processes must call it, and the leader writes."""
        sums = job.dist.all_reduce(self.sums).cpu()
        if not job.dist.is_main:
            return
        state = {
            "identity": self.identity,
            "optimizer": self.optimizer.state_dict(),
            "sums": sums,
            "seconds": self.seconds,
            "recorded": self.recorded,
            "best": list(self.best),
        }
        weights, average = self.module.state_dict(), self.average.state_dict()
        with self.saving.writing():
            Checkpoint(self.step, weights, average, state).write(job.folder / "checkpoints")

    def restore(self, job: Job, checkpoint: Checkpoint) -> None:
        """Go back to a checkpoint of the same job."""
        job.refuse_other(checkpoint.state["identity"])
        self.module.load_state_dict(checkpoint.weights)
        self.average.load_state_dict(checkpoint.average)
        self.optimizer.load_state_dict(checkpoint.state["optimizer"])
        if job.dist.is_main:  # it has the sums of all
            self.sums = checkpoint.state["sums"].to(job.device)
        self.seconds = checkpoint.state["seconds"]
        self.best = Best(*checkpoint.state["best"])
        self.step = checkpoint.step
        self.recorded = checkpoint.state["recorded"]

    def update_average(self, decay: float) -> None:
        """Move the average towards the weights and the batch-norm statistics; fast at first, then slowly."""
        self._follower.move(decay, step=self.step)

    def spread_average(self, job: Job) -> None:
        """Give every process the leader's statistics, which each has gathered from its own images."""
        job.dist.broadcast(self.average.buffers())

    def _wrapped(self, job: Job) -> nn.Module:
        wrapped: Any = self.module
        if job.recipe.execution.compile:
            wrapped = torch.compile(wrapped)
        if not job.dist.alone:
            places = [job.device.index or 0] if job.device.type == "cuda" else None
            wrapped = DistributedDataParallel(wrapped, device_ids=places, gradient_as_bucket_view=True)
        return cast("nn.Module", wrapped)
