"""Search: which law grows this network best on these images?"""

from allometry.search.grid import DEFAULT_GRID, Point, Trial, grid, grid_points, try_points

__all__ = ["DEFAULT_GRID", "Point", "Trial", "grid", "grid_points", "try_points"]
