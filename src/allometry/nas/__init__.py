"""Search: which law grows this network best on these images, and what very many networks of a space cost.

What needs torch or a database is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from allometry.nas.encodings import (
    ABSENT,
    Encoding,
    Encodings,
    Values,
    cross_encodings,
    encodings_of,
    mutate_encodings,
    network_of,
    sample_encodings,
)
from allometry.nas.hypervolume import hypervolume, hypervolumes, reference_point
from allometry.nas.law_choice import LawChoice, LawTrial, try_laws
from allometry.nas.law_grid import DEFAULT_GRID, Point, grid, grid_points
from allometry.nas.law_ranking import (
    CorrectMatrix,
    Extrapolation,
    LawDifference,
    LawRanking,
    extrapolate,
    law_difference,
    law_noise,
    rank_laws,
    read_correct,
    write_correct,
)
from allometry.nas.lookup import Costs, Latencies, Lookup, tabulate
from allometry.nas.objectives import (
    TRAINING_AWARE,
    TRIAL_METRICS,
    Objective,
    efficientnet,
    mnasnet,
    parse_objectives,
)
from allometry.nas.proposals import EncodingFilter, Proposals, follow
from allometry.nas.searchers import (
    SEARCHERS,
    EvolutionConfig,
    EvolutionSearcher,
    MakeSearcher,
    NamedSearcher,
    Proposal,
    RandomSearcher,
    Searcher,
    SearcherLike,
    dominates,
    front,
    make_searcher,
    searcher_name,
)
from allometry.nas.trials import NOTHING, Halving, Trial, TrialCandidate, TrialOutcome

if TYPE_CHECKING:
    from allometry.nas.driver import Evaluator, SearchProblem, drive
    from allometry.nas.fit_setup import FitConfig
    from allometry.nas.gradient import (
        CostLoss,
        GradientConfig,
        GradientJob,
        GradientResult,
        LayerCost,
        counted,
        fbnet,
        narrow,
        predicted,
        proxylessnas,
        search_by_gradient,
        with_fixed_shapes,
    )
    from allometry.nas.search_config import SearchConfig
    from allometry.nas.searchers.controller import Controller, ControllerConfig
    from allometry.nas.store import TrialClaim, TrialStore


_LATER = {
    "Controller": "searchers.controller",
    "ControllerConfig": "searchers.controller",
    "Evaluator": "driver",
    "FitConfig": "fit_setup",
    "SearchConfig": "search_config",
    "SearchProblem": "driver",
    "drive": "driver",
    "TrialStore": "store",
    "TrialClaim": "store",
    "CostLoss": "gradient",
    "GradientJob": "gradient",
    "GradientResult": "gradient",
    "GradientConfig": "gradient",
    "LayerCost": "gradient",
    "counted": "gradient",
    "fbnet": "gradient",
    "narrow": "gradient",
    "predicted": "gradient",
    "proxylessnas": "gradient",
    "search_by_gradient": "gradient",
    "with_fixed_shapes": "gradient",
}

__all__ = [
    "ABSENT",
    "DEFAULT_GRID",
    "NOTHING",
    "SEARCHERS",
    "TRAINING_AWARE",
    "TRIAL_METRICS",
    "Controller",
    "ControllerConfig",
    "CorrectMatrix",
    "CostLoss",
    "Costs",
    "Encoding",
    "EncodingFilter",
    "Encodings",
    "Evaluator",
    "EvolutionConfig",
    "EvolutionSearcher",
    "Extrapolation",
    "FitConfig",
    "GradientConfig",
    "GradientJob",
    "GradientResult",
    "Halving",
    "Latencies",
    "LawChoice",
    "LawDifference",
    "LawRanking",
    "LawTrial",
    "LayerCost",
    "Lookup",
    "MakeSearcher",
    "NamedSearcher",
    "Objective",
    "Point",
    "Proposal",
    "Proposals",
    "RandomSearcher",
    "SearchConfig",
    "SearchProblem",
    "Searcher",
    "SearcherLike",
    "Trial",
    "TrialCandidate",
    "TrialClaim",
    "TrialOutcome",
    "TrialStore",
    "Values",
    "counted",
    "cross_encodings",
    "dominates",
    "drive",
    "efficientnet",
    "encodings_of",
    "extrapolate",
    "fbnet",
    "follow",
    "front",
    "grid",
    "grid_points",
    "hypervolume",
    "hypervolumes",
    "law_difference",
    "law_noise",
    "make_searcher",
    "mnasnet",
    "mutate_encodings",
    "narrow",
    "network_of",
    "parse_objectives",
    "predicted",
    "proxylessnas",
    "rank_laws",
    "read_correct",
    "reference_point",
    "sample_encodings",
    "search_by_gradient",
    "searcher_name",
    "tabulate",
    "try_laws",
    "with_fixed_shapes",
    "write_correct",
]


if not TYPE_CHECKING:  # else a name that is not there would be no error to type checkers

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever that module exports
        if name in _LATER:
            return getattr(import_module(f"allometry.nas.{_LATER[name]}"), name)
        raise AttributeError(f"module 'allometry.nas' has no attribute {name!r}")
