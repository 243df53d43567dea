"""How the steps of a training are to be computed on this device, settled before it starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from allometry.arch import Network
from allometry.base import BudgetError, Progress
from allometry.base.files import read_json
from allometry.base.machine import memory
from allometry.base.units import format_quantity
from allometry.pipeline.devices import least_memory
from allometry.train import Recipe, largest_micro_batch, plan_epochs

_USABLE = 0.85  # share of a device's memory; the rest is for data, kernels and what the allocator keeps back


def settle_execution(
    recipe: Recipe,
    network: Network,
    *,
    images: int,
    device: torch.device,
    processes: int = 1,
    kept: Path | None = None,
    progress: Progress,
) -> Recipe:
    """The recipe with a micro batch that fits into the memory that it names, or else into the device's.

    A micro batch that the user has set stays. A training that goes on keeps the one it began with.

    Args:
        recipe: as asked.
        network: what will be trained.
        images: number of training images.
        device: where it will run.
        processes: that share the batch.
        kept: the run's `recipe.json`, which a training that goes on has.
        progress: is told of a micro batch.

    Raises:
        BudgetError: not even two images fit.
    """
    if recipe.execution.micro_batch:
        return recipe
    if kept is not None and kept.exists():
        size = int(read_json(kept).get("execution.micro_batch", 0))
        return replace(recipe, execution=replace(recipe.execution, micro_batch=size))
    epochs = plan_epochs(recipe, network, images)
    # The step with the most pixels; batches may be larger where pictures are smaller.
    largest = max(epochs, key=lambda epoch: epoch.images_per_step * epoch.resolution**2)
    size = -(-largest.images_per_step // processes)
    device_has = memory_of(device)
    asked = recipe.execution.memory
    sized = replace(network, resolution=largest.resolution)
    if not asked and least_memory(sized, size) < device_has / 2:
        return recipe
    limit = min(asked or device_has, int(_USABLE * device_has))
    found = None
    # What is hopeless by the counts alone need not be watched, which takes long for the largest networks.
    if least_memory(sized, 1) <= limit or recipe.execution.recompute:
        found = largest_micro_batch(
            network, recipe, images=size, limit=limit, resolution=largest.resolution, device=device
        )
    if found is None:
        raise BudgetError(
            f"Training {network.name or 'this network'} at {largest.resolution} px does not fit into "
            f"{format_quantity(limit, unit='B')}, even two images at a time. Lower the resolution or the budget, "
            "or keep less between the steps: --set execution.recompute=true."
        )
    if found >= size:
        return recipe
    progress.say(
        f"memory: the {size} images of a step pass {found} at a time to stay within "
        f"{format_quantity(limit, unit='B')}; their gradients add up"
    )
    return replace(recipe, execution=replace(recipe.execution, micro_batch=found))


def memory_of(device: torch.device) -> int:
    """Bytes of memory that a device has in all."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return memory()
