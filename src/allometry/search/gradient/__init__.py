"""Search by gradient: one network with every candidate in it, whose weights and architecture are learned in turns."""

from allometry.search.gradient.candidates import choices_of
from allometry.search.gradient.choices import Choices, Decision, Group, Layer
from allometry.search.gradient.costs import ExpectedCost, PieceCost, counted, predicted
from allometry.search.gradient.deriving import Derived, derive, rows_within
from allometry.search.gradient.distribution import Distribution
from allometry.search.gradient.job import GradientJob
from allometry.search.gradient.loop import GradientResult, search_by_gradient
from allometry.search.gradient.mixtures import (
    Mixture,
    OnePath,
    Relaxed,
    TwoPaths,
    draw_path,
    draw_relaxed,
    draw_two_paths,
)
from allometry.search.gradient.narrowing import narrow, with_fixed_shapes
from allometry.search.gradient.settings import CostLoss, GradientSettings, fbnet, proxylessnas
from allometry.search.gradient.supernet import Supernet, build_supernet

__all__ = [
    "Choices",
    "CostLoss",
    "Decision",
    "Derived",
    "Distribution",
    "ExpectedCost",
    "GradientJob",
    "GradientResult",
    "GradientSettings",
    "Group",
    "Layer",
    "Mixture",
    "OnePath",
    "PieceCost",
    "Relaxed",
    "Supernet",
    "TwoPaths",
    "build_supernet",
    "choices_of",
    "counted",
    "derive",
    "draw_path",
    "draw_relaxed",
    "draw_two_paths",
    "fbnet",
    "narrow",
    "predicted",
    "proxylessnas",
    "rows_within",
    "search_by_gradient",
    "with_fixed_shapes",
]
