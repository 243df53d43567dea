"""Search: which law grows this network best on these images, and what very many networks of a space cost.

What needs torch or a database is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from allometry.search.expressions import MEASURED
from allometry.search.grid import DEFAULT_GRID, Point, Trial, grid, grid_points, try_points
from allometry.search.law_fit import Outlook, Right, Standing, outlook, standings
from allometry.search.lookup import Costs, Latencies, Lookup, tabulate
from allometry.search.objective import (
    TRAINING_AWARE,
    Objective,
    efficientnet,
    mnasnet,
    parse_objectives,
)
from allometry.search.proposals import Allowed, Proposals, follow
from allometry.search.rows import ABSENT, Row, Rows, Values, draw_rows, network_of, rows_of
from allometry.search.searchers import (
    SEARCHERS,
    EvolutionSearcher,
    EvolutionSettings,
    RandomSearcher,
    Searcher,
    dominates,
    front,
    make_searcher,
)
from allometry.search.trials import NOTHING, Candidate, Halving, Outcome, Tried
from allometry.search.variation import cross_rows, mutate_rows

if TYPE_CHECKING:
    from allometry.search.controller import Controller, ControllerSettings
    from allometry.search.driving import Evaluator, Question, drive
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
    from allometry.search.store import Store, Ticket

_LATER = {
    "Controller": "controller",
    "ControllerSettings": "controller",
    "Evaluator": "driving",
    "Question": "driving",
    "drive": "driving",
    "Store": "store",
    "Ticket": "store",
    "CostLoss": "gradient",
    "GradientJob": "gradient",
    "GradientResult": "gradient",
    "GradientSettings": "gradient",
    "PieceCost": "gradient",
    "counted": "gradient",
    "fbnet": "gradient",
    "narrow": "gradient",
    "predicted": "gradient",
    "proxylessnas": "gradient",
    "rows_within": "gradient",
    "search_by_gradient": "gradient",
    "with_fixed_shapes": "gradient",
}

__all__ = [
    "ABSENT",
    "DEFAULT_GRID",
    "MEASURED",
    "NOTHING",
    "SEARCHERS",
    "TRAINING_AWARE",
    "Allowed",
    "Candidate",
    "Controller",
    "ControllerSettings",
    "CostLoss",
    "Costs",
    "Evaluator",
    "EvolutionSearcher",
    "EvolutionSettings",
    "GradientJob",
    "GradientResult",
    "GradientSettings",
    "Halving",
    "Latencies",
    "Lookup",
    "Objective",
    "Outcome",
    "Outlook",
    "PieceCost",
    "Point",
    "Proposals",
    "Question",
    "RandomSearcher",
    "Right",
    "Row",
    "Rows",
    "Searcher",
    "Standing",
    "Store",
    "Ticket",
    "Trial",
    "Tried",
    "Values",
    "counted",
    "cross_rows",
    "dominates",
    "draw_rows",
    "drive",
    "efficientnet",
    "fbnet",
    "follow",
    "front",
    "grid",
    "grid_points",
    "make_searcher",
    "mnasnet",
    "mutate_rows",
    "narrow",
    "network_of",
    "outlook",
    "parse_objectives",
    "predicted",
    "proxylessnas",
    "rows_of",
    "rows_within",
    "search_by_gradient",
    "standings",
    "tabulate",
    "try_points",
    "with_fixed_shapes",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever that module exports
    if name in _LATER:
        return getattr(import_module(f"allometry.search.{_LATER[name]}"), name)
    raise AttributeError(f"module 'allometry.search' has no attribute {name!r}")
