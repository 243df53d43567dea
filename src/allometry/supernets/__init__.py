"""Once for all: one network trained with all the choices of a space, from which each device takes its subnet.

What needs torch is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from allometry.supernets.coupling import couple_encodings, coupled_size
from allometry.supernets.evolution import Transform
from allometry.supernets.extremes import Extreme, least, least_counted, least_latency
from allometry.supernets.features import encode_options, space_digest
from allometry.supernets.pareto import Front, ParetoConfig, pareto
from allometry.supernets.plans import (
    PLANS,
    at_once,
    bignas,
    coupled_shrinking,
    epochs_together,
    sandwich,
    shrinking,
)
from allometry.supernets.predictor import Predictor, RegressionConfig, fit_predictor
from allometry.supernets.predictor_quality import (
    MIN_TAU,
    Predicts,
    Split,
    attainable_tau,
    evaluate_predictor,
    kendall_tau,
    refuse_unreliable,
    split_encodings,
)
from allometry.supernets.specialize import THOROUGH, SpecializeConfig, Specialized, specialize

if TYPE_CHECKING:
    from allometry.supernets.accuracy_predictor import PredictorConfig
    from allometry.supernets.config import SupernetConfig
    from allometry.supernets.elastic import Supernet, build_supernet, supernet_of
    from allometry.supernets.elastic_module import ElasticModule, ModuleSubnet, supernet_of_module
    from allometry.supernets.elastic_net import ElasticNet, LayerOptions
    from allometry.supernets.extract import ESTIMATED, extract_subnet, preprocessing_of
    from allometry.supernets.job import SupernetJob
    from allometry.supernets.module_sorting import sort_module_channels
    from allometry.supernets.module_task import ModuleSupernetJob, ModuleSupernetTask, train_module_supernet
    from allometry.supernets.sorting import Axis, Spot, axes_of, sort_channels
    from allometry.supernets.subnet_parts import Part, Subnet
    from allometry.supernets.task import (
        SUPERNET,
        SupernetTask,
        TrainedSupernet,
        load_supernet,
        train_supernet,
    )


_LATER = {
    "Axis": "sorting",
    "ESTIMATED": "extract",
    "ModuleSubnet": "elastic_module",
    "ModuleSupernetJob": "module_task",
    "ModuleSupernetTask": "module_task",
    "Part": "subnet_parts",
    "PredictorConfig": "accuracy_predictor",
    "SupernetConfig": "config",
    "SUPERNET": "task",
    "Spot": "sorting",
    "Subnet": "subnet_parts",
    "Supernet": "elastic",
    "SupernetJob": "job",
    "SupernetTask": "task",
    "ElasticModule": "elastic_module",
    "ElasticNet": "elastic_net",
    "LayerOptions": "elastic_net",
    "TrainedSupernet": "task",
    "axes_of": "sorting",
    "build_supernet": "elastic",
    "supernet_of_module": "elastic_module",
    "load_supernet": "task",
    "preprocessing_of": "extract",
    "sort_channels": "sorting",
    "sort_module_channels": "module_sorting",
    "supernet_of": "elastic",
    "extract_subnet": "extract",
    "train_module_supernet": "module_task",
    "train_supernet": "task",
}

__all__ = [
    "ESTIMATED",
    "MIN_TAU",
    "PLANS",
    "SUPERNET",
    "THOROUGH",
    "Axis",
    "ElasticModule",
    "ElasticNet",
    "Extreme",
    "Front",
    "LayerOptions",
    "ModuleSubnet",
    "ModuleSupernetJob",
    "ModuleSupernetTask",
    "ParetoConfig",
    "Part",
    "Predictor",
    "PredictorConfig",
    "Predicts",
    "RegressionConfig",
    "SpecializeConfig",
    "Specialized",
    "Split",
    "Spot",
    "Subnet",
    "Supernet",
    "SupernetConfig",
    "SupernetJob",
    "SupernetTask",
    "TrainedSupernet",
    "Transform",
    "at_once",
    "attainable_tau",
    "axes_of",
    "bignas",
    "build_supernet",
    "couple_encodings",
    "coupled_shrinking",
    "coupled_size",
    "encode_options",
    "epochs_together",
    "evaluate_predictor",
    "extract_subnet",
    "fit_predictor",
    "kendall_tau",
    "least",
    "least_counted",
    "least_latency",
    "load_supernet",
    "pareto",
    "preprocessing_of",
    "refuse_unreliable",
    "sandwich",
    "shrinking",
    "sort_channels",
    "sort_module_channels",
    "space_digest",
    "specialize",
    "split_encodings",
    "supernet_of",
    "supernet_of_module",
    "train_module_supernet",
    "train_supernet",
]


if not TYPE_CHECKING:  # else a name that is not there would be no error to type checkers

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever that module exports
        if name in _LATER:
            return getattr(import_module(f"allometry.supernets.{_LATER[name]}"), name)
        raise AttributeError(f"module 'allometry.supernets' has no attribute {name!r}")
