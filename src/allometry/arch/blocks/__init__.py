"""The kinds of blocks, one file each; what is imported here is registered under its name in JSON."""

from allometry.arch.blocks.base import (
    BLOCKS,
    INPUT,
    SKIP,
    Block,
    BlockKind,
    RegularBlock,
    block_kinds,
    check_block,
    graph_of,
    register_block,
)
from allometry.arch.blocks.basic import BasicBlock
from allometry.arch.blocks.bottleneck import Bottleneck
from allometry.arch.blocks.cell import Cell, Node
from allometry.arch.blocks.conv import ConvBlock
from allometry.arch.blocks.fused_mbconv import FusedMBConv
from allometry.arch.blocks.grouped import GroupedMBConv
from allometry.arch.blocks.inverted import MOBILENET_V3_GATE, SHORTCUTS, Shortcut, SqueezeExciteConfig
from allometry.arch.blocks.mbconv import MBConv
from allometry.arch.blocks.separable import SeparableConv
from allometry.arch.blocks.universal import UniversalInvertedBottleneck

__all__ = [
    "BLOCKS",
    "INPUT",
    "MOBILENET_V3_GATE",
    "SHORTCUTS",
    "SKIP",
    "BasicBlock",
    "Block",
    "BlockKind",
    "Bottleneck",
    "Cell",
    "ConvBlock",
    "FusedMBConv",
    "GroupedMBConv",
    "MBConv",
    "Node",
    "RegularBlock",
    "SeparableConv",
    "Shortcut",
    "SqueezeExciteConfig",
    "UniversalInvertedBottleneck",
    "block_kinds",
    "check_block",
    "graph_of",
    "register_block",
]
