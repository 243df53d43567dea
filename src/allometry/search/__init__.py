"""Search: which law grows this network best on these images, and what very many networks of a space cost."""

from allometry.search.grid import DEFAULT_GRID, Point, Trial, grid, grid_points, try_points
from allometry.search.lookup import Costs, Latencies, Lookup, lookup
from allometry.search.rows import ABSENT, Rows, draw_rows, network_of, rows_of

__all__ = [
    "ABSENT",
    "DEFAULT_GRID",
    "Costs",
    "Latencies",
    "Lookup",
    "Point",
    "Rows",
    "Trial",
    "draw_rows",
    "grid",
    "grid_points",
    "lookup",
    "network_of",
    "rows_of",
    "try_points",
]
