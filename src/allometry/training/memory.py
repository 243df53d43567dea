"""What a training step holds in memory, counted without doing the step, and the micro batch that fits."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from allometry.arch import Network
from allometry.base import BudgetError, Progress, RunFolderError
from allometry.base.files import read_json
from allometry.base.machine import memory
from allometry.base.text import shown
from allometry.base.units import format_quantity
from allometry.cost import count
from allometry.cost.count import FLOAT_BYTES
from allometry.nn import ConvNet
from allometry.training.devices import uses_bfloat16
from allometry.training.losses import empty_labels
from allometry.training.recipes.recipe import Recipe
from allometry.training.recipes.schedule import plan_epochs
from allometry.training.recompute import recompute_blocks

_COPIES = 4  # of the weights: themselves, the average, and the two moments of either optimizer
_FEWEST = 2  # batch norm needs more than one image where the last feature map has one pixel


_CPU = torch.device("cpu")


def step_memory(
    network: Network,
    recipe: Recipe,
    *,
    images: int,
    resolution: int | None = None,
    device: torch.device = _CPU,
) -> int:
    """Bytes that a step needs at its peak: weights, optimizer, gradients, and all that waits for the way back.

    A step with so many images is run on tensors that have a shape and no content, and their lives are watched. What
    the kernels themselves use for a moment, and what the allocator keeps back, is not in it: see the measured
    figures in the documentation.

    Args:
        network: what is trained.
        recipe: how; its micro batch, recomputation and precision count.
        images: of a step.
        resolution: side of the images, in pixels; by default the network's own.
        device: where the step will run, which decides its precision.

    Example:
        >>> from dataclasses import replace
        >>> from allometry.training import Execution
        >>> from allometry.catalog import get
        >>> b0, recipe = get("efficientnet-b0"), Recipe(epochs=1)
        >>> round(step_memory(b0, recipe, images=64) / 1e9, 1)
        5.8
        >>> round(step_memory(b0, replace(recipe, execution=Execution(recompute=True)), images=64) / 1e9, 1)
        1.9
    """
    passing = min(images, recipe.execution.micro_batch or images)
    side = resolution or network.resolution
    with torch.device("meta"):
        module = ConvNet(recipe.applied_to(network)).train()
        if recipe.execution.recompute:
            recompute_blocks(module)
        inputs = torch.empty(max(_FEWEST, passing), network.in_channels, side, side)
        if uses_bfloat16(recipe, device):
            module, inputs = module.to(torch.bfloat16), inputs.to(torch.bfloat16)
        labels = empty_labels(recipe.loss, len(inputs), network.head.classes)
        with _Watch() as watch:
            losses = recipe.loss(module(inputs).float(), labels)
            torch.autograd.backward(losses.mean())
    kept = 4 * _COPIES * sum(weight.numel() for weight in module.parameters())
    pixels = inputs.numel() * 4 + images * network.in_channels * side**2  # as floats, and the batch as bytes
    return int(kept + pixels + watch.peak)


def largest_micro_batch(
    network: Network,
    recipe: Recipe,
    *,
    images: int,
    limit: int,
    resolution: int | None = None,
    device: torch.device = _CPU,
) -> int | None:
    """How many images may pass at once so that a step of `images` stays within `limit` bytes.

    Returns:
        At most `images`; None if not even two images fit.

    Example:
        >>> from allometry.catalog import get
        >>> largest_micro_batch(get("efficientnet-b0"), Recipe(epochs=1), images=64, limit=2 * 10**9)
        21
    """

    def fits(size: int) -> bool:
        sized = replace(recipe, execution=replace(recipe.execution, micro_batch=size))
        return step_memory(network, sized, images=images, resolution=resolution, device=device) <= limit

    if not fits(min(_FEWEST, images)):
        return None
    low, high = min(_FEWEST, images), images
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that live, and remembers the most."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Any,  # noqa: ANN401 - torch's own signature
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        result = function(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._see, result)
        return result

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.live -= self._sizes.pop(key, 0)


_USABLE = (
    0.85  # fraction of a device's memory; the rest is for data, kernels and what the allocator keeps back
)


def settle_execution(
    recipe: Recipe,
    network: Network,
    *,
    images: int,
    device: torch.device,
    processes: int = 1,
    networks: float = 1.0,
    kept: Path | None = None,
    progress: Progress,
) -> Recipe:
    """The recipe with a micro batch that fits into the memory that it names, or else into the device's.

    A micro batch that the user has set stays. A training that goes on keeps the one it began with.

    Args:
        recipe: with the memory that the user has set, if any.
        network: what will be trained.
        images: number of training images.
        device: where it will run.
        processes: that share the batch.
        networks: about how many of that size compute at once.
        kept: the run's `recipe.json`, which a training that goes on has.
        progress: is told of a micro batch.

    Raises:
        BudgetError: not even two images fit.
    """
    if recipe.execution.micro_batch:
        return recipe
    if kept is not None and kept.exists():
        size = read_json(kept).get("execution.micro_batch", 0)
        if type(size) is not int or size < 0:
            raise RunFolderError(
                f"{kept} is damaged: execution.micro_batch is {shown(size)}; put a copy in its place."
            )
        return replace(recipe, execution=replace(recipe.execution, micro_batch=size))
    epochs = plan_epochs(recipe, network, images)
    # The step with the most pixels; batches may be larger where images are smaller.
    largest = max(epochs, key=lambda epoch: epoch.images_per_step * epoch.resolution**2)
    size = -(-largest.images_per_step // processes)
    device_has = memory_of(device)
    wanted = recipe.execution.memory
    sized = replace(network, resolution=largest.resolution)
    if not wanted and networks * least_memory(sized, size) < device_has / 2:
        return recipe
    limit = int(min(wanted or device_has, _USABLE * device_has) / networks)
    micro_batch = None
    # What is hopeless by the counts alone need not be watched, which takes long for the largest networks.
    if least_memory(sized, 1) <= limit or recipe.execution.recompute:
        micro_batch = largest_micro_batch(
            network, recipe, images=size, limit=limit, resolution=largest.resolution, device=device
        )
    if micro_batch is None:
        raise BudgetError(
            f"Training {network.name or 'this network'} at {largest.resolution} px does not fit into "
            f"{format_quantity(limit, unit='B')}, even two images at a time. Lower the resolution or the budget, "
            "or keep less between the steps: --set execution.recompute=true."
        )
    if micro_batch >= size:
        return recipe
    progress.say(
        f"memory: the {size} images of a step pass {micro_batch} at a time to stay within "
        f"{format_quantity(limit, unit='B')}; their gradients add up"
    )
    return replace(recipe, execution=replace(recipe.execution, micro_batch=micro_batch))


def memory_of(device: torch.device) -> int:
    """Bytes of memory that a device has in all."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return memory()


_WEIGHT_COPIES = 4  # weights, gradients and the optimizer's two moments


def least_memory(network: Network, images: int) -> int:
    """Bytes that a step holds at the very least: every convolution's output for all images, each weight four times.

    Example:
        >>> from allometry.catalog import get
        >>> least_memory(get("efficientnet-b0"), 64)
        1811857984
    """
    cost = count(network)
    return FLOAT_BYTES * (_WEIGHT_COPIES * cost.params + images * cost.activations)
