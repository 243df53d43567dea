"""From data to torch: `build` gives an ordinary `torch.nn.Module`."""

from allometry.nn.build import ConvNet, build, initialise
from allometry.nn.layers import MBConvBlock, SamePadConv2d, SqueezeExcite, StochasticDepth

__all__ = [
    "ConvNet",
    "MBConvBlock",
    "SamePadConv2d",
    "SqueezeExcite",
    "StochasticDepth",
    "build",
    "initialise",
]
