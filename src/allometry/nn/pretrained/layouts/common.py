"""What layouts have in common: where blocks stand, and the names of ResNets and RegNets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from allometry.arch import BasicBlock, Block, Network

_BASIC = {"first": 1, "second": 2}
_BOTTLENECK = {"reduce": 1, "spatial": 2, "restore": 3}


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


def resnet(network: Network) -> dict[str, str]:
    """Our prefixes with theirs, of a ResNet or ResNeXt."""
    names = pair("stem", "conv1", "bn1")
    for place in places(network):
        theirs = f"layer{place.group + 1}.{place.turn}"
        nodes = _BASIC if isinstance(place.block, BasicBlock) else _BOTTLENECK
        for node, number in nodes.items():
            names |= pair(f"{place.ours}.{node}", f"{theirs}.conv{number}", f"{theirs}.bn{number}")
        shortcut = f"{place.ours}.shortcut"
        names |= pair(shortcut, f"{theirs}.downsample.0", f"{theirs}.downsample.1")
    return {**names, "classifier": "fc"}


def regnet(
    network: Network,
    *,
    block: Callable[[Place], str],
    nodes: Mapping[str, str],
    halves: tuple[str, str],
    ends: Mapping[str, str],
) -> dict[str, str]:
    """Our prefixes with theirs, of a RegNet.

    Args:
        network: the RegNet.
        block: what they call the block in a place.
        nodes: what they call our nodes, and `gate` the layers of squeeze-excite, within a block.
        halves: what they call a convolution and its batch norm, within a node.
        ends: what they call the stem and the classifier.
    """
    names = pair("stem", *(f"{ends['stem']}.{half}" for half in halves))
    for place in places(network):
        theirs = block(place)
        for node in ("reduce", "spatial", "restore", "shortcut"):
            names |= pair(f"{place.ours}.{node}", *(f"{theirs}.{nodes[node]}.{half}" for half in halves))
        for ours, number in (("reduce", 1), ("expand", 2)):
            names[f"{place.ours}.squeeze_excite.{ours}"] = f"{theirs}.{nodes['gate']}.fc{number}"
    return {**names, "classifier": ends["classifier"]}
