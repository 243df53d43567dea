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

__all__ = [
    "CellBlock",
    "ChannelShuffle",
    "ConvNet",
    "FusedMBConvBlock",
    "MBConvBlock",
    "SamePadConv2d",
    "SamePool2d",
    "Scaled",
    "Shifted",
    "SqueezeExcite",
    "StochasticDepth",
    "build",
    "initialise",
]
