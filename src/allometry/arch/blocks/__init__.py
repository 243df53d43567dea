"""The kinds of blocks, one file each; what is imported here is registered under its name in JSON."""

from allometry.arch.blocks.base import (
    INPUT,
    SKIP,
    Block,
    RegularBlock,
    block_kinds,
    check_block,
    graph_of,
    register_block,
)
from allometry.arch.blocks.basic import BasicBlock
from allometry.arch.blocks.bottleneck import Bottleneck
from allometry.arch.blocks.cell import Cell, Node
from allometry.arch.blocks.fused_mbconv import FusedMBConv
from allometry.arch.blocks.inverted import MOBILENET_V3_GATE, SqueezeExciteConfig
from allometry.arch.blocks.mbconv import MBConv
from allometry.arch.blocks.separable import SeparableConv

__all__ = [
    "INPUT",
    "MOBILENET_V3_GATE",
    "SKIP",
    "BasicBlock",
    "Block",
    "Bottleneck",
    "Cell",
    "FusedMBConv",
    "MBConv",
    "Node",
    "RegularBlock",
    "SeparableConv",
    "SqueezeExciteConfig",
    "block_kinds",
    "check_block",
    "graph_of",
    "register_block",
]
