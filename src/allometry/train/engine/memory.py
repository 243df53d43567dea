"""What a training step holds in memory, counted without doing the step."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from allometry.arch import Network
from allometry.nn import ConvNet
from allometry.train.engine.precision import uses_bfloat16
from allometry.train.engine.recompute import recompute_blocks
from allometry.train.recipes import Recipe

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
        >>> from allometry.train import Execution
        >>> from allometry.zoo import get
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
        labels = torch.zeros(len(inputs), dtype=torch.long)
        with _Watch() as watch:
            loss = F.cross_entropy(module(inputs).float(), labels)
            torch.autograd.backward(loss)
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
        >>> from allometry.zoo import get
        >>> largest_micro_batch(get("efficientnet-b0"), Recipe(epochs=1), images=64, limit=2 * 10**9)
        21
    """

    def fits(size: int) -> bool:
        asked = replace(recipe, execution=replace(recipe.execution, micro_batch=size))
        return step_memory(network, asked, images=images, resolution=resolution, device=device) <= limit

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
