"""A network as data: blocks, stages, stem and head, rounding, growing, JSON."""

from allometry.arch.blocks import ACTIVATIONS, Activation, Block, MBConv
from allometry.arch.growth import multiply
from allometry.arch.network import BatchNorm, Head, Network, Padding, PlacedBlock, Stage, Stem, strided
from allometry.arch.rounding import CHANNEL_MULTIPLE, round_channels, round_repeats
from allometry.arch.serial import digest, from_json, load, save, to_json

__all__ = [
    "ACTIVATIONS",
    "CHANNEL_MULTIPLE",
    "Activation",
    "BatchNorm",
    "Block",
    "Head",
    "MBConv",
    "Network",
    "Padding",
    "PlacedBlock",
    "Stage",
    "Stem",
    "digest",
    "from_json",
    "load",
    "multiply",
    "round_channels",
    "round_repeats",
    "save",
    "strided",
    "to_json",
]
