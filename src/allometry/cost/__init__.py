"""What a network costs: counted exactly, without building it; and budgets."""

from allometry.cost.budget import MEASURES, Budget, Limit, Measure, parse_budget
from allometry.cost.count import Cost, StageCost, count, count_stages

__all__ = [
    "MEASURES",
    "Budget",
    "Cost",
    "Limit",
    "Measure",
    "StageCost",
    "count",
    "count_stages",
    "parse_budget",
]
