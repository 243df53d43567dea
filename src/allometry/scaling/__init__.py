"""How a network grows: laws, solving for a budget, fitting to small images."""

from allometry.scaling.laws import (
    COMPOUND,
    DEPTH,
    FAST,
    IDENTITY,
    LAWS,
    RESOLUTION,
    V2,
    WIDTH,
    Multipliers,
    ScalingLaw,
    as_law,
    scale,
)
from allometry.scaling.schedules import GrowthStep, grows_into, growth_networks, parse_growth
from allometry.scaling.solving import Solution, smallest, solve
from allometry.scaling.strides import fit_strides
from allometry.scaling.surface import (
    Expected,
    LawAccuracy,
    LawSurface,
    Region,
    Shares,
    best_region,
    expected_accuracy,
    fit_surface,
    shares_of,
    spread_out,
)

__all__ = [
    "COMPOUND",
    "DEPTH",
    "FAST",
    "IDENTITY",
    "LAWS",
    "RESOLUTION",
    "V2",
    "WIDTH",
    "Expected",
    "GrowthStep",
    "LawAccuracy",
    "LawSurface",
    "Multipliers",
    "Region",
    "ScalingLaw",
    "Shares",
    "Solution",
    "as_law",
    "best_region",
    "expected_accuracy",
    "fit_strides",
    "fit_surface",
    "grows_into",
    "growth_networks",
    "parse_growth",
    "scale",
    "shares_of",
    "smallest",
    "solve",
    "spread_out",
]
