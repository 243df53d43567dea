"""A network as data: layers, blocks, cells, stages, stem and head, rounding, growing, JSON."""

from allometry.arch.blocks import MOBILENET_V3_GATE, FusedMBConv, Gate, MBConv
from allometry.arch.cells import INPUT, SKIP, Cell, Node, passes_skip
from allometry.arch.growth import depth_exponents, multiply
from allometry.arch.layers import (
    ACTIVATIONS,
    Act,
    Activation,
    Conv,
    Depthwise,
    Drop,
    Excite,
    GateFunction,
    Layer,
    Norm,
    Pool,
    RowColumn,
    Scale,
    Shift,
)
from allometry.arch.network import Network, PlacedBlock, least_resolution
from allometry.arch.parts import BatchNorm, Block, Head, Stage, Stem
from allometry.arch.residual import BasicBlock, Bottleneck, SeparableConv
from allometry.arch.rounding import CHANNEL_MULTIPLE, round_channels, round_repeats, widen
from allometry.arch.serial import digest, form, from_json, load, save, to_json
from allometry.arch.shapes import Padding, Shape, slid, strided
from allometry.arch.transforms import lite

__all__ = [
    "ACTIVATIONS",
    "CHANNEL_MULTIPLE",
    "INPUT",
    "MOBILENET_V3_GATE",
    "SKIP",
    "Act",
    "Activation",
    "BasicBlock",
    "BatchNorm",
    "Block",
    "Bottleneck",
    "Cell",
    "Conv",
    "Depthwise",
    "Drop",
    "Excite",
    "FusedMBConv",
    "Gate",
    "GateFunction",
    "Head",
    "Layer",
    "MBConv",
    "Network",
    "Node",
    "Norm",
    "Padding",
    "PlacedBlock",
    "Pool",
    "RowColumn",
    "Scale",
    "SeparableConv",
    "Shape",
    "Shift",
    "Stage",
    "Stem",
    "depth_exponents",
    "digest",
    "form",
    "from_json",
    "least_resolution",
    "lite",
    "load",
    "multiply",
    "passes_skip",
    "round_channels",
    "round_repeats",
    "save",
    "slid",
    "strided",
    "to_json",
    "widen",
]
