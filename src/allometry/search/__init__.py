"""Search: which law grows this network best on these images, and what very many networks of a space cost.

The controller needs torch, which is loaded when it is first used.
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

__all__ = [
    "ABSENT",
    "DEFAULT_GRID",
    "MEASURED",
    "TRAINING_AWARE",
    "Controller",
    "ControllerSettings",
    "Costs",
    "Latencies",
    "Lookup",
    "Objective",
    "Point",
    "Rows",
    "Trial",
    "draw_rows",
    "efficientnet",
    "grid",
    "grid_points",
    "mnasnet",
    "network_of",
    "parse_objectives",
    "rows_of",
    "tabulate",
    "try_points",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the controller's module exports
    if name in ("Controller", "ControllerSettings"):
        return getattr(import_module("allometry.search.controller"), name)
    raise AttributeError(f"module 'allometry.search' has no attribute {name!r}")
