"""Once for all: one network trained with all the choices of a space, from which each device takes its subnet.

What needs torch is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from allometry.supernet.coupling import couple_rows, coupled_size
from allometry.supernet.encoding import encode_rows
from allometry.supernet.extremes import Extreme, least, least_counted, least_latency
from allometry.supernet.fronts import Front, pareto
from allometry.supernet.judging import (
    MIN_TAU,
    Judgement,
    PredictedBin,
    judge,
    kendall_tau,
    refuse_unreliable,
    split_rows,
)
from allometry.supernet.phases import (
    ALL,
    DIMENSIONS,
    PLANS,
    Dimension,
    Phase,
    at_once,
    dimension_of,
    load_phases,
    phases_from_json,
    phases_to_json,
    sandwich,
    shrinking,
)
from allometry.supernet.specialising import Specialised, SpecialisingSettings, specialise

if TYPE_CHECKING:
    from allometry.supernet.axes import Axis, Spot, axes_of
    from allometry.supernet.elastic import Part, Subnet, Supernet, build_supernet
    from allometry.supernet.fitting import PredictorSettings, fit_predictor
    from allometry.supernet.job import SupernetJob
    from allometry.supernet.loop import SUPERNET, TrainedSupernet, load_supernet, train_supernet
    from allometry.supernet.predictor import Predictor
    from allometry.supernet.sorting import sort_channels
    from allometry.supernet.taking import ESTIMATED, preprocessing_of, take

_LATER = {
    "Axis": "axes",
    "Spot": "axes",
    "axes_of": "axes",
    "Part": "elastic",
    "Subnet": "elastic",
    "Supernet": "elastic",
    "build_supernet": "elastic",
    "PredictorSettings": "fitting",
    "fit_predictor": "fitting",
    "SupernetJob": "job",
    "Predictor": "predictor",
    "SUPERNET": "loop",
    "ESTIMATED": "taking",
    "TrainedSupernet": "loop",
    "load_supernet": "loop",
    "train_supernet": "loop",
    "sort_channels": "sorting",
    "preprocessing_of": "taking",
    "take": "taking",
}

__all__ = [
    "ALL",
    "DIMENSIONS",
    "ESTIMATED",
    "MIN_TAU",
    "PLANS",
    "SUPERNET",
    "Axis",
    "Dimension",
    "Extreme",
    "Front",
    "Judgement",
    "Part",
    "Phase",
    "PredictedBin",
    "Predictor",
    "PredictorSettings",
    "Specialised",
    "SpecialisingSettings",
    "Spot",
    "Subnet",
    "Supernet",
    "SupernetJob",
    "TrainedSupernet",
    "at_once",
    "axes_of",
    "build_supernet",
    "couple_rows",
    "coupled_size",
    "dimension_of",
    "encode_rows",
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
    "specialise",
    "split_rows",
    "take",
    "train_supernet",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever that module exports
    if name in _LATER:
        return getattr(import_module(f"allometry.supernet.{_LATER[name]}"), name)
    raise AttributeError(f"module 'allometry.supernet' has no attribute {name!r}")
