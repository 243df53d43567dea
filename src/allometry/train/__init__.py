"""Training: recipes, one readable loop, checkpoints, evaluation."""

from allometry.train.calibration import Bin, calibration_error, chance_error, reliability
from allometry.train.checkpoint import Checkpoint, latest_checkpoint, load_weights
from allometry.train.classes import ClassFigures, balanced_accuracy, class_figures, confusion_matrix
from allometry.train.evaluate import Predictions, evaluate, predict
from allometry.train.inputs import Preprocessing, to_input
from allometry.train.intervals import bootstrap_interval, resamples, wilson_interval
from allometry.train.job import Job
from allometry.train.loop import Trained, train
from allometry.train.optimiser import RMSPropTF, make_optimiser
from allometry.train.probabilities import brier_score, ranks
from allometry.train.recipe import Recipe, change, learning_rate
from allometry.train.recipes import RECIPES, RecipeMaker, efficientnet, small
from allometry.train.summary import Evaluation, Mistake, summarise

__all__ = [
    "RECIPES",
    "Bin",
    "Checkpoint",
    "ClassFigures",
    "Evaluation",
    "Job",
    "Mistake",
    "Predictions",
    "Preprocessing",
    "RMSPropTF",
    "Recipe",
    "RecipeMaker",
    "Trained",
    "balanced_accuracy",
    "bootstrap_interval",
    "brier_score",
    "calibration_error",
    "chance_error",
    "change",
    "class_figures",
    "confusion_matrix",
    "efficientnet",
    "evaluate",
    "latest_checkpoint",
    "learning_rate",
    "load_weights",
    "make_optimiser",
    "predict",
    "ranks",
    "reliability",
    "resamples",
    "small",
    "summarise",
    "to_input",
    "train",
    "wilson_interval",
]
