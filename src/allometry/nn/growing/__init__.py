"""Modules made larger or smaller, with the weights that they have."""

from allometry.nn.growing.weight_map import TensorSource, WeightMap, inherited

__all__ = ["TensorSource", "WeightMap", "inherited"]
