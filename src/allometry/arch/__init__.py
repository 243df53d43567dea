"""A network as data: layers, blocks, cells, stages, stem and head, rounding, growing, JSON."""

from allometry.arch import blocks
from allometry.arch.blocks import *  # noqa: F403 - the kinds of blocks are listed there alone
from allometry.arch.choices import Choice, Decisions, Option
from allometry.arch.convolutions import ACTIVATIONS, Activation, Conv, Depthwise, RowColumn
from allometry.arch.features import FeatureMap, check_features_only, feature_indices, feature_maps
from allometry.arch.layers import (
    Act,
    DropPath,
    GateFunction,
    Layer,
    Norm,
    Pool,
    Scale,
    Shift,
    Shuffle,
    SqueezeExcite,
)
from allometry.arch.module_parts import ModuleChoice
from allometry.arch.module_space import ModuleMember, ModuleSpace
from allometry.arch.network import Network, PlacedBlock, min_resolution
from allometry.arch.pieces import Piece, pieces, wrap_alone
from allometry.arch.rounding import CHANNEL_MULTIPLE, round_channels
from allometry.arch.sampling import cross, encode, members, mutate, sample
from allometry.arch.serial import digest, from_json, load, save, to_json, weight_signature
from allometry.arch.shapes import Padding, Shape, conv_output_size, strided
from allometry.arch.space import Space
from allometry.arch.space_serial import load_space, save_space, space_from_json, space_to_json
from allometry.arch.stages import BatchNorm, Head, Stage, Stem
from allometry.arch.transforms import apply_multipliers, depth_exponents, lite
from allometry.arch.walk import StageOptions, WalkState, WalkStep, distinct_blocks, walk

__all__ = [
    "ACTIVATIONS",
    "CHANNEL_MULTIPLE",
    "Act",
    "Activation",
    "BatchNorm",
    "Choice",
    "Conv",
    "Decisions",
    "Depthwise",
    "DropPath",
    "FeatureMap",
    "GateFunction",
    "Head",
    "Layer",
    "ModuleChoice",
    "ModuleMember",
    "ModuleSpace",
    "Network",
    "Norm",
    "Option",
    "Padding",
    "Piece",
    "PlacedBlock",
    "Pool",
    "RowColumn",
    "Scale",
    "Shape",
    "Shift",
    "Shuffle",
    "Space",
    "SqueezeExcite",
    "Stage",
    "StageOptions",
    "Stem",
    "WalkState",
    "WalkStep",
    "apply_multipliers",
    "check_features_only",
    "conv_output_size",
    "cross",
    "depth_exponents",
    "digest",
    "distinct_blocks",
    "encode",
    "feature_indices",
    "feature_maps",
    "from_json",
    "lite",
    "load",
    "load_space",
    "members",
    "min_resolution",
    "mutate",
    "pieces",
    "round_channels",
    "sample",
    "save",
    "save_space",
    "space_from_json",
    "space_to_json",
    "strided",
    "to_json",
    "walk",
    "weight_signature",
    "wrap_alone",
]
__all__ += blocks.__all__
