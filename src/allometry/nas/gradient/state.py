"""What changes from step to step of a search by gradient, and so goes into its checkpoint."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from allometry.base import RunFolderError
from allometry.base.files import replacing
from allometry.nas.gradient.distribution import Distribution
from allometry.nas.gradient.job import GradientJob
from allometry.nas.gradient.mixed_network import build_mixed_network
from allometry.nn import scale_residuals
from allometry.training import CheckpointTimer, make_optimizer

CHECKPOINT = "gradient.pt"


class GradientState:
    """Supernet and architecture parameters, their optimizers, the place in the data, and the records so far."""

    def __init__(self, job: GradientJob) -> None:
        supernet = build_mixed_network(job.choices, recipe=job.recipe, seed=job.seed)
        scale_residuals(supernet, job.recipe.residual_scale)
        supernet.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.supernet = supernet
        self.optimizer = make_optimizer(supernet, job.recipe)
        how = job.settings
        self.distribution = Distribution(job.choices, spread=how.spread, seed=job.seed, device=job.device)
        self.architect = torch.optim.Adam(
            self.distribution.logits, lr=how.learning_rate, betas=how.betas, weight_decay=how.weight_decay
        )
        self.step = 0  # of the weights
        self.updates = 0  # of the architecture
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0  # of the epoch so far
        # Losses, right answers and images of the epoch so far: of the weights' steps, of the architecture's.
        self.sums = torch.zeros(2, 3, dtype=torch.float64, device=job.device)
        self.saving = CheckpointTimer(job.clock, every=job.save_every)

    def write(self, job: GradientJob) -> None:
        """Write a checkpoint in one step: a kill leaves the old one or the new one.

        Raises:
            StorageError: the disk is full, read-only or forbidden.
        """
        held = {
            "identity": job.identity,
            "step": self.step,
            "updates": self.updates,
            "weights": self.supernet.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "logits": [logits.detach() for logits in self.distribution.logits],
            "architect": self.architect.state_dict(),
            "history": self.history,
            "seconds": self.seconds,
            "sums": self.sums,
        }
        buffer = io.BytesIO()  # PyTorch's own writer hides the system's error when a disk is full
        with self.saving.writing():
            torch.save(held, buffer)
            with replacing(job.folder / CHECKPOINT) as file:
                file.write_bytes(buffer.getvalue())

    def restore(self, job: GradientJob) -> bool:
        """Go back to the folder's checkpoint, if it has one; nothing in it is executed.

        Raises:
            RunFolderError: it is damaged, or of another search.
        """
        path = job.folder / CHECKPOINT
        if not path.exists():
            return False
        held = _read(path)
        if held.get("identity") != job.identity:
            raise RunFolderError(
                f"{job.folder} holds a search of another space, recipe, cost, seed or data set, or with other "
                "settings. Give another folder, or remove this one to start anew."
            )
        self.supernet.load_state_dict(held["weights"])
        self.optimizer.load_state_dict(held["optimizer"])
        with torch.no_grad():
            for logits, kept in zip(self.distribution.logits, held["logits"], strict=True):
                logits.copy_(kept)
        self.architect.load_state_dict(held["architect"])
        self.step, self.updates = held["step"], held["updates"]
        self.history, self.seconds = held["history"], held["seconds"]
        self.sums = held["sums"].to(job.device)
        return True


def _read(path: Path) -> dict[str, Any]:
    try:
        held: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds for a damaged file
        raise RunFolderError(
            f"The checkpoint {path} is damaged ({type(error).__name__}); remove it to search from the start."
        ) from error
    return held
