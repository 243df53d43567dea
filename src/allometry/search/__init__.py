"""Search: which law grows this network best on these images, and what very many networks of a space cost."""

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

__all__ = [
    "ABSENT",
    "DEFAULT_GRID",
    "MEASURED",
    "TRAINING_AWARE",
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
