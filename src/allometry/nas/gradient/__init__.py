"""Search by gradient: one network with every candidate in it, whose weights and architecture are learned in turns."""

from allometry.nas.gradient.choices import Choices, Decision, Group, Layer, choices_of
from allometry.nas.gradient.config import (
    CostLoss,
    GradientConfig,
    budget_config,
    fbnet,
    paper_config,
    proxylessnas,
)
from allometry.nas.gradient.costs import ExpectedCost, LayerCost, counted, predicted
from allometry.nas.gradient.deriving import Derived, derive, sample
from allometry.nas.gradient.distribution import Distribution
from allometry.nas.gradient.job import GradientJob
from allometry.nas.gradient.mixed_network import (
    MixedNetwork,
    Mixture,
    OnePath,
    Relaxed,
    TwoPaths,
    build_mixed_network,
    draw_path,
    draw_relaxed,
    draw_two_paths,
)
from allometry.nas.gradient.narrowing import narrow, with_fixed_shapes
from allometry.nas.gradient.task import GradientResult, GradientTask, search_by_gradient

__all__ = [
    "Choices",
    "CostLoss",
    "Decision",
    "Derived",
    "Distribution",
    "ExpectedCost",
    "GradientConfig",
    "GradientJob",
    "GradientResult",
    "GradientTask",
    "Group",
    "Layer",
    "LayerCost",
    "MixedNetwork",
    "Mixture",
    "OnePath",
    "Relaxed",
    "TwoPaths",
    "budget_config",
    "build_mixed_network",
    "choices_of",
    "counted",
    "derive",
    "draw_path",
    "draw_relaxed",
    "draw_two_paths",
    "fbnet",
    "narrow",
    "paper_config",
    "predicted",
    "proxylessnas",
    "sample",
    "search_by_gradient",
    "with_fixed_shapes",
]
