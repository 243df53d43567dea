"""Callbacks: the protocol, and one file for each of our own, with the import here that registers it."""

from allometry.training.callbacks.base import (
    CALLBACKS,
    Callback,
    EpochEnd,
    StepEnd,
    TrainEnd,
    TrainStart,
    as_callbacks,
    register_callback,
)
from allometry.training.callbacks.mlflow import MLflow
from allometry.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "CALLBACKS",
    "Callback",
    "EpochEnd",
    "MLflow",
    "StepEnd",
    "TensorBoard",
    "TrainEnd",
    "TrainStart",
    "as_callbacks",
    "register_callback",
]
