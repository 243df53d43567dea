"""Modules made larger or smaller, with the weights that they have."""

from allometry.nn.growing.filling import GROWTH_METHODS, GrowthMethod, filled
from allometry.nn.growing.grow import LARGEST_ERROR, Grown, check_growth, grow_module, output_difference
from allometry.nn.growing.own import weight_map_between
from allometry.nn.growing.shrink import IMPORTANCES, Importance, Shrunk, shrink_module
from allometry.nn.growing.weight_map import TensorSource, WeightMap, inherited

__all__ = [
    "GROWTH_METHODS",
    "IMPORTANCES",
    "LARGEST_ERROR",
    "Grown",
    "GrowthMethod",
    "Importance",
    "Shrunk",
    "TensorSource",
    "WeightMap",
    "check_growth",
    "filled",
    "grow_module",
    "inherited",
    "output_difference",
    "shrink_module",
    "weight_map_between",
]
