"""What a network costs: measures, exact counts without building it, and budgets."""

from allometry.base.units import Unit
from allometry.cost.budget import Budget, Limit, as_budget, parse_budget
from allometry.cost.cost import Cost
from allometry.cost.count import StageCost, count, count_piece, count_stages
from allometry.cost.latency import Correction, LatencyTable, RuntimeConfig, key_of, runtime_config_for
from allometry.cost.measurements import Expectation, Pricing
from allometry.cost.measures import (
    ACTIVATIONS,
    LATENCY,
    MACS,
    MEASURES,
    MEMORY,
    PARAMS,
    Measure,
    MeasureFn,
    Measurement,
    Readings,
    as_measure,
    register_measure,
)

__all__ = [
    "ACTIVATIONS",
    "LATENCY",
    "MACS",
    "MEASURES",
    "MEMORY",
    "PARAMS",
    "Budget",
    "Correction",
    "Cost",
    "Expectation",
    "LatencyTable",
    "Limit",
    "Measure",
    "MeasureFn",
    "Measurement",
    "Pricing",
    "Readings",
    "RuntimeConfig",
    "StageCost",
    "Unit",
    "as_budget",
    "as_measure",
    "count",
    "count_piece",
    "count_stages",
    "key_of",
    "parse_budget",
    "register_measure",
    "runtime_config_for",
]
