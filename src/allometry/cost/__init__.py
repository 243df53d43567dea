"""What a network costs: counted exactly, without building it; and budgets."""

from allometry.cost.budget import MEASURED, MEASURES, Budget, Limit, Measure, as_budget, parse_budget
from allometry.cost.count import Cost, StageCost, count, count_piece, count_stages
from allometry.cost.latency import Correction, LatencyTable, RuntimeConfig, key_of, runtime_config_for
from allometry.cost.measurements import Expectation, MeasureFn, Measurement, Pricing

__all__ = [
    "MEASURED",
    "MEASURES",
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
    "RuntimeConfig",
    "StageCost",
    "as_budget",
    "count",
    "count_piece",
    "count_stages",
    "key_of",
    "parse_budget",
    "runtime_config_for",
]
