"""What new blocks are made of: copies of parts of the module, with other sizes where they are needed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from allometry.nn.channels import named_tensors
from allometry.nn.foreign.resize import resize
from allometry.nn.tracing.traced_int import AttributeSpot


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """An integer that counts channels, or what else of a part is other than it was.

    Attributes:
        module: that holds it.
        attribute: of the module.
        index: in a list or tuple; None where the attribute is the value itself.
        value: that it will have.
    """

    module: str
    attribute: str
    index: int | None
    value: int | bool | float


@dataclass(frozen=True, slots=True)
class ShapeChange:
    """A tensor of another shape.

    Attributes:
        tensor: its name.
        shape: that it will have.
    """

    tensor: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BlockForm:
    """What a new block is: copies of parts of the module, one behind the other, and what of them is other.

    Attributes:
        parts: their names.
        shapes: of the block's tensors that differ from those of the parts.
        attributes: of the block that differ.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        >>> shapes = (ShapeChange("0.weight", (8, 8, 3, 3)),)
        >>> form = BlockForm(("0", "1"), shapes, tuple(AttributeChange("0", "stride", i, 1) for i in (0, 1)))
        >>> new_block(net, form, seed=0)[0]
        Conv2d(8, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    """

    parts: tuple[str, ...]
    shapes: tuple[ShapeChange, ...] = ()
    attributes: tuple[AttributeChange, ...] = ()


def new_block(module: nn.Module, form: BlockForm, *, seed: int) -> nn.Module:
    """A block of that form; where tensors have other shapes their weights are new ones, as widely spread.

    Args:
        module: that has the parts; stays as it is.
        form: of the block.
        seed: of the new weights.
    """
    from allometry.nn.foreign.fill import fresh_values

    parts = [module.get_submodule(name) for name in form.parts]
    block = parts[0] if len(parts) == 1 else nn.Sequential(*parts)
    attributes = {
        AttributeSpot(change.module, change.attribute, change.index): change.value
        for change in form.attributes
    }
    result = resize(block, {change.tensor: change.shape for change in form.shapes}, attributes)
    before, after = dict(named_tensors(block)), dict(named_tensors(result))
    buffers = {name for name, _ in result.named_buffers()}
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in (change.tensor for change in form.shapes):
            own, like = before[name], after[name]
            like.copy_(fresh_values(name, own, like, generator, is_buffer=name in buffers))
    return result
