"""Whatever is grown computes what it did before, or is refused with the place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import allometry
from allometry.base import AllometryError
from tests.nn.foreign import traps_of_layers, traps_of_shapes, traps_of_structure
from tests.nn.foreign.trap_modules import TRAPS, Trap

FILES = (traps_of_layers, traps_of_shapes, traps_of_structure)
"""The files that fill TRAPS when they are imported."""


def tensors(output: Any) -> list[Tensor]:
    """All tensors that a module gave."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, dict):
        output = list(output.values())
    return [tensor for item in output for tensor in tensors(item)] if isinstance(output, Iterable) else []


def difference(one: Any, two: Any) -> float:
    """The largest difference of two outputs, relative to the largest entry; feature maps may have other widths."""
    found = []
    for left, right in zip(tensors(one), tensors(two), strict=True):
        if left.ndim < 3 or left.shape == right.shape:
            assert left.shape == right.shape
            found.append(float((left - right).abs().max() / left.abs().max().clamp_min(1e-12)))
    return max(found)


def negative(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Other inputs of the same shapes."""
    return tuple(-x if x.is_floating_point() else x.flip(0) for x in inputs)


def place_in(sentence: str, module: nn.Module) -> bool:
    """Whether a sentence names a part or a tensor of a module, or the module's class."""
    names = [
        name for name, _ in (*module.named_modules(), *module.named_parameters(), *module.named_buffers())
    ]
    return any(name and name in sentence for name in (*names, type(module).__name__))


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_a_module_grows_or_is_refused_with_the_place(trap: Trap) -> None:
    module, inputs = trap.make().eval(), trap.inputs()
    with torch.no_grad():
        before, other = module(*inputs), module(*negative(inputs))
    example = inputs[0] if len(inputs) == 1 else inputs
    refused = ""
    try:
        wider = allometry.scale(module, example_input=example, width=1.25)
    except AllometryError as error:
        refused = str(error)
    if refused:
        assert not trap.must_scale, refused
        assert place_in(refused, module), refused
        return
    counts = [sum(tensor.numel() for tensor in part.parameters()) for part in (module, wider)]
    assert counts[1] >= trap.least * counts[0]
    with torch.no_grad():
        assert difference(before, wider.eval()(*inputs)) < 1e-4
        assert difference(other, wider(*negative(inputs))) < 1e-4
        assert difference(before, module(*inputs)) == 0  # the module that was given is as it was
    wider.train()
    loss = sum(tensor.square().mean() for tensor in tensors(wider(*inputs)) if tensor.requires_grad)
    loss.backward()
    gradients = [tensor.grad for tensor in wider.parameters() if tensor.grad is not None]
    assert gradients
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


@pytest.mark.parametrize("name", ["GlobalResponseNorm", "SharedResponseNorm"])
def test_hidden_channels_under_a_response_norm_grow(name: str) -> None:
    trap = TRAPS[name]
    wider = allometry.scale(trap.make().eval(), example_input=trap.inputs()[0], width=1.25)
    assert wider.get_parameter("up.weight").shape[0] == 40
