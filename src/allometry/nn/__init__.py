"""From data to torch: `build` gives an ordinary `torch.nn.Module`."""

from allometry.nn.blocks import CellBlock, FusedMBConvBlock, MBConvBlock
from allometry.nn.build import ConvNet, build, initialise
from allometry.nn.layers import (
    ChannelShuffle,
    SamePadConv2d,
    SamePool2d,
    Scaled,
    Shifted,
    SqueezeExcite,
    StochasticDepth,
)
from allometry.nn.modules import (
    ModuleCost,
    ModulePart,
    count_module,
    count_parts,
    names_module,
    open_module,
    timm_resolution,
)

__all__ = [
    "CellBlock",
    "ChannelShuffle",
    "ConvNet",
    "FusedMBConvBlock",
    "MBConvBlock",
    "ModuleCost",
    "ModulePart",
    "SamePadConv2d",
    "SamePool2d",
    "Scaled",
    "Shifted",
    "SqueezeExcite",
    "StochasticDepth",
    "build",
    "count_module",
    "count_parts",
    "initialise",
    "names_module",
    "open_module",
    "timm_resolution",
]
