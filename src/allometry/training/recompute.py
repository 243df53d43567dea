"""Activation checkpointing: keep what goes from block to block, compute the inside again on the way back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

from torch import nn
from torch.utils.checkpoint import checkpoint

from allometry.nn import ConvNet
from allometry.training.batch_norm import batch_norms


def recompute_blocks(module: ConvNet) -> None:
    """Let every block of `module` forget its inside in training; results and gradients stay the same, bit for bit.

    Source: Chen et al. 2016, *Training deep nets with sublinear memory cost*.

    Example:
        >>> import torch
        >>> from allometry.nn import build
        >>> from allometry.catalog import get
        >>> module = build(get("mobilenetv3-small"), seed=0)
        >>> recompute_blocks(module)
        >>> module(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 1000])
    """
    recompute_each(block for stage in module.stages for block in cast("nn.Sequential", stage))


def recompute_each(blocks: Iterable[nn.Module]) -> None:
    """Let each of some modules forget its inside in training, as `recompute_blocks` does."""
    for block in blocks:
        # A checkpoint's state names must stay, so the method is replaced and the block is not wrapped.
        block.forward = _forgetting(block, block.forward)


def _forgetting(block: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_stay(block)

    @functools.wraps(forward)
    def forgetting(*inputs: Any) -> Any:  # noqa: ANN401 - tensors, as the block has them
        if not block.training:
            return forward(*inputs)
        return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)

    return forgetting


@contextmanager
def _statistics_stay(block: nn.Module) -> Iterator[None]:
    """The second pass sees the batch again: batch norm must not count it twice.

    It has to save what the first pass saved, so it goes on tracking, with a weight of 0.
    """
    norms = [norm for norm in batch_norms(block) if norm.training]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.sub_(1)
