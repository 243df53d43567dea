"""Where the blocks of a network stand, as the layouts count them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from allometry.arch import Block, Network


class Place(NamedTuple):
    """A block with the numbers that layouts name it by.

    Attributes:
        ours: the prefix of its parameters in our module.
        block: the block.
        group: index of its stage in the papers' sense: a stage and those that continue it are one.
        turn: number of the block in that stage.
        number: of the block in the network.
        in_channels: of its input.
    """

    ours: str
    block: Block
    group: int
    turn: int
    number: int
    in_channels: int


def places(network: Network) -> Iterator[Place]:
    """Every block with its numbers.

    Example:
        >>> from allometry.catalog import get
        >>> [(p.ours, p.group, p.turn) for p in places(get("mobilenetv3-small"))][1:4]
        [('stages.1.0', 1, 0), ('stages.2.0', 1, 1), ('stages.3.0', 2, 0)]
    """
    group, turn, last, repeat = -1, 0, -1, 0
    for number, placed in enumerate(network.blocks()):
        new_stage = placed.stage != last
        repeat = 0 if new_stage else repeat + 1
        if new_stage and not network.stages[placed.stage].continues:
            group, turn = group + 1, 0
        elif number:
            turn += 1
        last = placed.stage
        yield Place(
            f"stages.{placed.stage}.{repeat}", placed.block, group, turn, number, placed.source.channels
        )


def pair(ours: str, conv: str, norm: str) -> dict[str, str]:
    """A convolution and its batch norm."""
    return {f"{ours}.0": conv, f"{ours}.1": norm}
