"""What changes from step to step, and so goes into a checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from allometry.nn import build
from allometry.train.checkpoint import Checkpoint
from allometry.train.job import Job
from allometry.train.optimiser import make_optimiser


class State:
    """Module, average, optimiser, place in the data and the running sums of the epoch."""

    def __init__(self, job: Job) -> None:
        self.module: nn.Module = build(job.recipe.applied_to(job.network), seed=job.seed)
        if job.start is not None:
            self.module.load_state_dict(job.start)
        self.module.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.module)
        self.optimiser = make_optimiser(self.module, job.recipe)
        self.identity = job.identity()  # once: it goes through every image's digest
        self.step = 0
        self.seconds = 0.0
        # Losses, right answers, images and gradient norms of the epoch so far; on the device, read rarely.
        self.sums = torch.zeros(4, dtype=torch.float64, device=job.device)

    def write(self, job: Job) -> None:
        """Write a checkpoint into the job's folder."""
        state = {
            "identity": self.identity,
            "optimiser": self.optimiser.state_dict(),
            "sums": self.sums.cpu(),
            "seconds": self.seconds,
        }
        weights, average = self.module.state_dict(), self.average.state_dict()
        Checkpoint(self.step, weights, average, state).write(job.folder / "checkpoints")

    def restore(self, job: Job, checkpoint: Checkpoint) -> None:
        """Go back to a checkpoint of the same job."""
        job.refuse_other(checkpoint.state["identity"])
        self.module.load_state_dict(checkpoint.weights)
        self.average.load_state_dict(checkpoint.average)
        self.optimiser.load_state_dict(checkpoint.state["optimiser"])
        self.sums = checkpoint.state["sums"].to(job.device)
        self.seconds = checkpoint.state["seconds"]
        self.step = checkpoint.step

    def update_average(self, decay: float) -> None:
        """Move the average towards the weights and the batch-norm statistics; fast at first, then slowly."""
        weight = max(1 - decay, 9 / (10 + self.step)) if decay else 1.0
        ours, news, counters = [], [], []
        for old, new in zip(_tensors(self.average), _tensors(self.module), strict=True):
            if old.is_floating_point():
                ours.append(old)
                news.append(new)
            else:
                counters.append((old, new))
        with torch.no_grad():
            torch._foreach_lerp_(ours, news, weight)
            for old, new in counters:
                old.copy_(new)


def _tensors(module: nn.Module) -> Iterable[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
