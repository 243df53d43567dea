"""What a network costs: counted exactly, without building it; and budgets."""

from allometry.cost.budget import MEASURED, MEASURES, Budget, Limit, Measure, parse_budget
from allometry.cost.count import Cost, StageCost, count, count_piece, count_stages
from allometry.cost.latency import Correction, LatencyTable, Setting, key_of, setting_for
from allometry.cost.readings import Expectation, Meter, Pricing, Reading

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
    "Meter",
    "Pricing",
    "Reading",
    "Setting",
    "StageCost",
    "count",
    "count_piece",
    "count_stages",
    "key_of",
    "parse_budget",
    "setting_for",
]
