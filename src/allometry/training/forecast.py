"""What a training will do and cost, before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import nn

from allometry.arch import Network
from allometry.cost import count
from allometry.nn import build
from allometry.training.classification import ClassificationJob
from allometry.training.devices import autocast
from allometry.training.losses import empty_labels
from allometry.training.memory import step_memory
from allometry.training.recipes.recipe import Recipe
from allometry.training.recipes.schedule import Epoch
from allometry.training.recompute import recompute_blocks

_TIMED = 16  # images are enough to time a step by
_REST = 1.15  # input, validation and optimizer come on top of the passes


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Epochs of a training that are alike.

    Attributes:
        macs: of the network that learns.
        epochs: how many.
        resolution: side of the images, in pixels.
        batch_size: images of a step.
        steps: of an epoch.
        head_only: whether only the classifier learns.
        policy: of the augmentation.
        magnitude: of the policy.
        mixup: alpha.
        cutmix: alpha.
        dropout: before the classifier.
        memory: bytes that a step needs at its peak, on one process.
        seconds: about how long the phase takes here.
    """

    macs: int
    epochs: int
    resolution: int
    batch_size: int
    steps: int
    head_only: bool
    policy: str
    magnitude: float
    mixup: float
    cutmix: float
    dropout: float
    memory: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A training before it starts.

    Attributes:
        phases: in order.
        epochs: in all.
        steps: in all.
        images: seen, in all.
        micro_batch: images that pass at once; 0 for the whole batch.
        memory: bytes, of the most demanding step.
        seconds: about how long the training takes here.
    """

    phases: tuple[Phase, ...]
    epochs: int
    steps: int
    images: int
    micro_batch: int
    memory: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {**asdict(self), "phases": [asdict(phase) for phase in self.phases]}


def forecast(job: ClassificationJob) -> Forecast:
    """What `job` will do, with the time of its steps measured on a few images and its memory counted."""
    phases = [
        _phase(job, part.network, list(group))
        for part in job.networks
        for _, group in groupby(part.epochs, key=_alike)
    ]
    return Forecast(
        phases=tuple(phases),
        epochs=len(job.epochs),
        steps=job.steps,
        images=sum(epoch.steps * epoch.images_per_step for epoch in job.epochs),
        micro_batch=job.recipe.execution.micro_batch,
        memory=max(phase.memory for phase in phases),
        seconds=sum(phase.seconds for phase in phases),
    )


def _phase(job: ClassificationJob, network: Network, epochs: list[Epoch]) -> Phase:
    recipe, first = job.recipe, epochs[0]
    per_image = seconds_per_image(
        recipe.applied_to(network),
        recipe,
        resolution=first.resolution,
        images=first.images_per_step,
        device=job.device,
        head_only=first.head_only,
    )
    size = -(-first.images_per_step // job.dist.world_size)
    seen = len(epochs) * first.steps * first.images_per_step
    return Phase(
        macs=count(network).macs,
        epochs=len(epochs),
        resolution=first.resolution,
        batch_size=first.batch_size,
        steps=first.steps,
        head_only=first.head_only,
        policy=first.augmentation.policy,
        magnitude=first.augmentation.magnitude if first.augmentation.policy != "none" else 0.0,
        mixup=first.augmentation.mixup,
        cutmix=first.augmentation.cutmix,
        dropout=network.head.dropout if first.dropout is None else first.dropout,
        memory=step_memory(network, recipe, images=size, resolution=first.resolution, device=job.device),
        seconds=_REST * seen * per_image / job.dist.world_size,
    )


def seconds_per_image(
    network: Network,
    recipe: Recipe,
    *,
    resolution: int,
    images: int,
    device: torch.device,
    head_only: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """How long an image takes in a step, forwards and backwards, from three steps on up to 16 images.

    Args:
        network: what is trained.
        recipe: its precision and recomputation count.
        resolution: side of the images, in pixels.
        images: of a step.
        device: where.
        head_only: whether only the classifier learns.
        clock: seconds.
    """
    module = build(network, seed=0)
    if recipe.execution.recompute:
        recompute_blocks(module)
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if head_only:
        for name, weight in module.named_parameters():
            weight.requires_grad_(name.startswith("classifier"))
    return module_seconds_per_image(
        module,
        recipe,
        shape=(network.in_channels, resolution, resolution),
        classes=network.head.classes,
        images=images,
        device=device,
        clock=clock,
    )


def module_seconds_per_image(
    module: nn.Module,
    recipe: Recipe,
    *,
    shape: tuple[int, int, int],
    classes: int,
    images: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """How long an image takes in a step of any module, which gets gradients by that.

    Args:
        module: what is trained, in training mode.
        recipe: its precision counts.
        shape: of an image: channels, height and width.
        classes: that it tells apart.
        images: of a step.
        device: where.
        clock: seconds.
    """
    module.to(device)
    size = max(1, min(images, _TIMED, recipe.execution.micro_batch or images))
    batch = torch.zeros((size, *shape), device=device).contiguous(memory_format=torch.channels_last)
    labels = empty_labels(recipe.loss, size, classes, device=device)
    times = []
    for _ in range(4):
        began = clock()
        with autocast(recipe, device):
            logits = module(batch)
        torch.autograd.backward(recipe.loss(logits.float(), labels).mean())
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - began)
    return sorted(times)[1] / size


def _alike(epoch: Epoch) -> Epoch:
    return replace(epoch, number=0, first_step=0, before=0)
