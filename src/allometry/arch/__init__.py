"""A network as data: layers, blocks, cells, stages, stem and head, rounding, growing, JSON."""

from allometry.arch.blocks import MOBILENET_V3_GATE, FusedMBConv, Gate, MBConv
from allometry.arch.cells import INPUT, SKIP, Cell, Node, passes_skip
from allometry.arch.growth import depth_exponents, multiply
from allometry.arch.knobs import Decisions, Knob, Option
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
from allometry.arch.pieces import Piece, around, pieces
from allometry.arch.residual import BasicBlock, Bottleneck, SeparableConv
from allometry.arch.rounding import CHANNEL_MULTIPLE, round_channels, round_repeats, widen
from allometry.arch.sampling import cross, encode, members, mutate, sample
from allometry.arch.serial import digest, form, from_json, load, save, to_json
from allometry.arch.shapes import Padding, Shape, slid, strided
from allometry.arch.space import Space
from allometry.arch.space_serial import load_space, save_space, space_from_json, space_to_json
from allometry.arch.transforms import lite
from allometry.arch.walk import Site, State, Step, distinct_blocks, walk

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
    "Decisions",
    "Depthwise",
    "Drop",
    "Excite",
    "FusedMBConv",
    "Gate",
    "GateFunction",
    "Head",
    "Knob",
    "Layer",
    "MBConv",
    "Network",
    "Node",
    "Norm",
    "Option",
    "Padding",
    "Piece",
    "PlacedBlock",
    "Pool",
    "RowColumn",
    "Scale",
    "SeparableConv",
    "Shape",
    "Shift",
    "Site",
    "Space",
    "Stage",
    "State",
    "Stem",
    "Step",
    "around",
    "cross",
    "depth_exponents",
    "digest",
    "distinct_blocks",
    "encode",
    "form",
    "from_json",
    "least_resolution",
    "lite",
    "load",
    "load_space",
    "members",
    "multiply",
    "mutate",
    "passes_skip",
    "pieces",
    "round_channels",
    "round_repeats",
    "sample",
    "save",
    "save_space",
    "slid",
    "space_from_json",
    "space_to_json",
    "strided",
    "to_json",
    "walk",
    "widen",
]
