"""Once for all: one network trained with all the choices of a space, from which each device takes its subnet."""

from __future__ import annotations

from allometry.supernet.breeding import Transform
from allometry.supernet.coupling import couple_rows, coupled_size
from allometry.supernet.encoding import encode_rows, space_digest
from allometry.supernet.extremes import Extreme, least, least_counted, least_latency
from allometry.supernet.fitting import PredictorSettings, fit_predictor
from allometry.supernet.fronts import Front, ParetoSettings, pareto
from allometry.supernet.judging import (
    MIN_TAU,
    Judgement,
    PredictedBin,
    Predicts,
    Split,
    judge,
    kendall_tau,
    refuse_unreliable,
    split_rows,
)
from allometry.supernet.predictor import Predictor
from allometry.supernet.specialising import THOROUGH, Specialised, SpecialisingSettings, specialise

__all__ = [
    "MIN_TAU",
    "THOROUGH",
    "Extreme",
    "Front",
    "Judgement",
    "ParetoSettings",
    "PredictedBin",
    "Predictor",
    "PredictorSettings",
    "Predicts",
    "Specialised",
    "SpecialisingSettings",
    "Split",
    "Transform",
    "couple_rows",
    "coupled_size",
    "encode_rows",
    "fit_predictor",
    "judge",
    "kendall_tau",
    "least",
    "least_counted",
    "least_latency",
    "pareto",
    "refuse_unreliable",
    "space_digest",
    "specialise",
    "split_rows",
]
