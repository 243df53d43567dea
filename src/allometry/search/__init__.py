"""Search: which law grows this network best on these images, and what very many networks of a space cost.

The controller and the search by gradient need torch, which is loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from allometry.search.expressions import MEASURED
from allometry.search.grid import DEFAULT_GRID, Point, Trial, grid, grid_points, try_points
from allometry.search.lookup import Costs, Latencies, Lookup, tabulate
from allometry.search.objective import (
    TRAINING_AWARE,
    Objective,
    efficientnet,
    mnasnet,
    parse_objectives,
)
from allometry.search.rows import ABSENT, Rows, draw_rows, network_of, rows_of

if TYPE_CHECKING:
    from allometry.search.controller import Controller, ControllerSettings
    from allometry.search.gradient import (
        CostLoss,
        GradientJob,
        GradientResult,
        GradientSettings,
        PieceCost,
        counted,
        fbnet,
        narrow,
        predicted,
        proxylessnas,
        rows_within,
        search_by_gradient,
        with_fixed_shapes,
    )

_GRADIENT = (
    "CostLoss",
    "GradientJob",
    "GradientResult",
    "GradientSettings",
    "PieceCost",
    "counted",
    "fbnet",
    "narrow",
    "predicted",
    "proxylessnas",
    "rows_within",
    "search_by_gradient",
    "with_fixed_shapes",
)

__all__ = [
    "ABSENT",
    "DEFAULT_GRID",
    "MEASURED",
    "TRAINING_AWARE",
    "Controller",
    "ControllerSettings",
    "CostLoss",
    "Costs",
    "GradientJob",
    "GradientResult",
    "GradientSettings",
    "Latencies",
    "Lookup",
    "Objective",
    "PieceCost",
    "Point",
    "Rows",
    "Trial",
    "counted",
    "draw_rows",
    "efficientnet",
    "fbnet",
    "grid",
    "grid_points",
    "mnasnet",
    "narrow",
    "network_of",
    "parse_objectives",
    "predicted",
    "proxylessnas",
    "rows_of",
    "rows_within",
    "search_by_gradient",
    "tabulate",
    "try_points",
    "with_fixed_shapes",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever those modules export
    if name in ("Controller", "ControllerSettings"):
        return getattr(import_module("allometry.search.controller"), name)
    if name in _GRADIENT:
        return getattr(import_module("allometry.search.gradient"), name)
    raise AttributeError(f"module 'allometry.search' has no attribute {name!r}")
