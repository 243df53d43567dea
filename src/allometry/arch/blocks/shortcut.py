"""A branch beside a shortcut, as residual networks have them."""

from __future__ import annotations

from collections.abc import Mapping

from allometry.arch.blocks.base import INPUT, RegularBlock
from allometry.arch.blocks.cell import Cell, Node
from allometry.arch.convolutions import Activation, Conv
from allometry.arch.layers import Act, DropPath, Layer


def beside_shortcut(
    block: RegularBlock,
    in_channels: int,
    branch: Mapping[str, Layer | tuple[Layer, ...] | None],
    *,
    activation: Activation,
) -> Cell:
    """The branch, then the shortcut if shapes need one, then their sum and its activation.

    Args:
        block: of which channels, stride and label are taken.
        in_channels: of its input.
        branch: layers one after the other, as `Cell.chain` takes them; stochastic depth may drop it.
        activation: after the sum.
    """
    plain = block.stride == 1 and block.channels == in_channels
    projection = Conv(channels=block.channels, stride=block.stride)
    shortcut = () if plain else (Node(name="shortcut", inputs=(INPUT,), layers=(projection,)),)
    nodes = Cell.chain({**branch, "drop_path": DropPath()}).nodes
    output = Node(
        name="output",
        inputs=("drop_path", INPUT if plain else "shortcut"),
        layers=(Act(function=activation),),
    )
    return Cell(label=block.label, nodes=(*nodes, *shortcut, output))
