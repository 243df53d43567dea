"""One training of a fit: a network of its grid, whole or up to an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from allometry.arch import Network
from allometry.base import NonFiniteLossError, Progress, SilentProgress
from allometry.base.errors import Stopped
from allometry.base.files import read_lines
from allometry.pipeline.common import Images
from allometry.pipeline.trying import TrialSettings, threads, trial_job
from allometry.train import predict, train

_HOPELESS = 1e9  # the loss of a training that diverged, for ranking


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A network whose short training is wanted, whole or up to an epoch.

    Attributes:
        network: what is trained.
        seed: of its training.
        until: epochs; the training goes on from there when more are wanted.
    """

    network: Network
    seed: int
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """What came of it so far.

    Attributes:
        accuracy: on the validation images, 0 to 1.
        loss: on the validation images.
        epochs: that were trained.
        seconds: that they took.
        images: training images seen.
        right: once the training is over, which validation images were right, as hexadecimal digits of packed bits.
        diverged: the loss became infinite or not a number: nothing was right.
    """

    accuracy: float
    loss: float
    epochs: int
    seconds: float
    images: int
    right: str = ""
    diverged: bool = False


def train_arm(
    arm: Arm,
    images: Images,
    settings: TrialSettings,
    *,
    folder: Path,
    progress: Progress = SilentProgress(),
    stopping: Callable[[], bool] = lambda: False,
) -> ArmResult:
    """Train a network of a grid up to an epoch, or to the end, where it is judged image by image.

    Args:
        arm: what is trained, and how far.
        images: to learn from, and to be judged on: the validation split.
        settings: of all trainings; their seed is the arm's own.
        folder: of the grid; what stopped goes on there.
        progress: is told how it goes.
        stopping: True stops the training at a checkpoint.

    Raises:
        Stopped: `stopping` asked for it.
        OutOfMemoryError: a step did not fit into the memory.
    """
    job = trial_job(arm.network, images, replace(settings, seed=arm.seed), folder=folder, progress=progress)
    job = replace(job, label=f"{arm.network.name}, seed {arm.seed}")
    metrics = job.folder / "metrics.jsonl"
    whole = arm.until >= job.recipe.epochs
    far = len(read_lines(metrics)) >= arm.until

    def reached(record: Mapping[str, Any]) -> None:
        nonlocal far
        far = record["epoch"] >= arm.until

    right = ""
    if whole or not far:
        try:
            with threads(settings.threads):
                watched = replace(job, recorded=reached, stopping=lambda: (far and not whole) or stopping())
                trained = train(watched)
                said = predict(
                    trained.module,
                    images.dataset.splits["val"],
                    preprocessing=job.preprocessing,
                    device=job.device,
                )
            right = np.packbits(said.right).tobytes().hex()
        except Stopped:
            if not far or whole:
                raise
        except NonFiniteLossError:
            return _diverged(read_lines(metrics), len(images.dataset.splits["val"]))
    history = read_lines(metrics)[: arm.until]
    return ArmResult(
        accuracy=history[-1]["val_accuracy"],
        loss=history[-1]["val_loss"],
        epochs=len(history),
        seconds=sum(record["seconds"] for record in history),
        images=sum(record["images"] for record in history),
        right=right,
    )


def _diverged(history: Sequence[Mapping[str, Any]], number: int) -> ArmResult:
    """A training that came to nothing, which one of many may."""
    return ArmResult(
        accuracy=0.0,
        loss=_HOPELESS,
        epochs=len(history),
        seconds=sum(record["seconds"] for record in history),
        images=sum(record["images"] for record in history),
        right=np.packbits(np.zeros(number, bool)).tobytes().hex(),
        diverged=True,
    )
