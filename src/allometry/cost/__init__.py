"""What a network costs: counted exactly, without building it; and budgets."""

from allometry.cost.budget import MEASURES, Budget, Limit, Measure, parse_budget
from allometry.cost.count import Cost, StageCost, count, count_stages
from allometry.cost.latency import Correction, LatencyTable, Setting

__all__ = [
    "MEASURES",
    "Budget",
    "Correction",
    "Cost",
    "LatencyTable",
    "Limit",
    "Measure",
    "Setting",
    "StageCost",
    "count",
    "count_stages",
    "parse_budget",
]
