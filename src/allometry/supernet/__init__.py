"""Once for all: one network trained with all the choices of a space, from which each device takes its subnet.

What needs torch is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from allometry.supernet.coupling import couple_rows, coupled_size
from allometry.supernet.encoding import features_of
from allometry.supernet.extremes import Extreme, least, least_counted, least_latency
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

if TYPE_CHECKING:
    from allometry.supernet.axes import Axis, Spot, axes_of
    from allometry.supernet.elastic import Part, Subnet, Supernet, build_supernet
    from allometry.supernet.job import SupernetJob
    from allometry.supernet.loop import TrainedSupernet, load_supernet, train_supernet
    from allometry.supernet.sorting import sort_channels
    from allometry.supernet.taking import preprocessing_of, take

_LATER = {
    "Axis": "axes",
    "Spot": "axes",
    "axes_of": "axes",
    "Part": "elastic",
    "Subnet": "elastic",
    "Supernet": "elastic",
    "build_supernet": "elastic",
    "SupernetJob": "job",
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
    "PLANS",
    "Axis",
    "Dimension",
    "Part",
    "Phase",
    "Spot",
    "Subnet",
    "Supernet",
    "SupernetJob",
    "TrainedSupernet",
    "at_once",
    "axes_of",
    "build_supernet",
    "dimension_of",
    "load_phases",
    "load_supernet",
    "phases_from_json",
    "phases_to_json",
    "preprocessing_of",
    "sandwich",
    "shrinking",
    "sort_channels",
    "take",
    "train_supernet",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever that module exports
    if name in _LATER:
        return getattr(import_module(f"allometry.supernet.{_LATER[name]}"), name)
    raise AttributeError(f"module 'allometry.supernet' has no attribute {name!r}")
