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
from allometry.scaling.solving import Solution, smallest, solve
from allometry.scaling.strides import fit_strides

__all__ = [
    "COMPOUND",
    "DEPTH",
    "FAST",
    "IDENTITY",
    "LAWS",
    "RESOLUTION",
    "V2",
    "WIDTH",
    "Multipliers",
    "ScalingLaw",
    "Solution",
    "as_law",
    "fit_strides",
    "scale",
    "smallest",
    "solve",
]
