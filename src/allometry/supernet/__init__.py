"""Once for all: one network trained with all the choices of a space, from which each device takes its subnet.

What needs torch is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from allometry.supernet.attainable import attainable_tau
from allometry.supernet.breeding import Transform
from allometry.supernet.coupling import couple_rows, coupled_size
from allometry.supernet.encoding import encode_rows, space_digest
from allometry.supernet.extremes import Extreme, least, least_counted, least_latency
from allometry.supernet.fitting import PredictorSettings, fit_predictor
from allometry.supernet.fronts import Front, ParetoSettings, pareto
from allometry.supernet.judging import (
    MIN_TAU,
    Judgment,
    PredictedBin,
    Predicts,
    Split,
    judge,
    kendall_tau,
    refuse_unreliable,
    split_rows,
)
from allometry.supernet.phases import (
    ALL,
    DIMENSIONS,
    Dimension,
    Phase,
    dimension_of,
    load_phases,
    phases_from_json,
    phases_to_json,
)
from allometry.supernet.plans import (
    PLANS,
    at_once,
    coupled_shrinking,
    epochs_together,
    sandwich,
    shrinking,
)
from allometry.supernet.predictor import Predictor
from allometry.supernet.specializing import THOROUGH, Specialized, SpecializingSettings, specialize

if TYPE_CHECKING:
    from allometry.supernet.axes import Axis, Spot, axes_of
    from allometry.supernet.elastic import Part, Subnet, Supernet, build_supernet, supernet_of
    from allometry.supernet.job import SupernetJob
    from allometry.supernet.loop import SUPERNET, TrainedSupernet, load_supernet, train_supernet
    from allometry.supernet.sorting import sort_channels
    from allometry.supernet.taking import ESTIMATED, preprocessing_of, take

_LATER = {
    "Axis": "axes",
    "ESTIMATED": "taking",
    "Part": "elastic",
    "SUPERNET": "loop",
    "Spot": "axes",
    "Subnet": "elastic",
    "Supernet": "elastic",
    "SupernetJob": "job",
    "TrainedSupernet": "loop",
    "axes_of": "axes",
    "build_supernet": "elastic",
    "load_supernet": "loop",
    "preprocessing_of": "taking",
    "sort_channels": "sorting",
    "supernet_of": "elastic",
    "take": "taking",
    "train_supernet": "loop",
}

__all__ = [
    "ALL",
    "DIMENSIONS",
    "ESTIMATED",
    "MIN_TAU",
    "PLANS",
    "SUPERNET",
    "THOROUGH",
    "Axis",
    "Dimension",
    "Extreme",
    "Front",
    "Judgment",
    "ParetoSettings",
    "Part",
    "Phase",
    "PredictedBin",
    "Predictor",
    "PredictorSettings",
    "Predicts",
    "Specialized",
    "SpecializingSettings",
    "Split",
    "Spot",
    "Subnet",
    "Supernet",
    "SupernetJob",
    "TrainedSupernet",
    "Transform",
    "at_once",
    "attainable_tau",
    "axes_of",
    "build_supernet",
    "couple_rows",
    "coupled_shrinking",
    "coupled_size",
    "dimension_of",
    "encode_rows",
    "epochs_together",
    "fit_predictor",
    "judge",
    "kendall_tau",
    "least",
    "least_counted",
    "least_latency",
    "load_phases",
    "load_supernet",
    "pareto",
    "phases_from_json",
    "phases_to_json",
    "preprocessing_of",
    "refuse_unreliable",
    "sandwich",
    "shrinking",
    "sort_channels",
    "space_digest",
    "specialize",
    "split_rows",
    "supernet_of",
    "take",
    "train_supernet",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever that module exports
    if name in _LATER:
        return getattr(import_module(f"allometry.supernet.{_LATER[name]}"), name)
    raise AttributeError(f"module 'allometry.supernet' has no attribute {name!r}")
