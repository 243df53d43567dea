"""Training: recipes, one readable loop, checkpoints, evaluation."""

from allometry.train.checkpoint import Checkpoint, latest_checkpoint, load_weights
from allometry.train.evaluate import (
    Evaluation,
    Mistake,
    Predictions,
    evaluate,
    predict,
    summarise,
    wilson_interval,
)
from allometry.train.inputs import Preprocessing, to_input
from allometry.train.job import Job
from allometry.train.loop import Trained, train
from allometry.train.optimiser import RMSPropTF, make_optimiser
from allometry.train.recipe import Recipe, change, learning_rate
from allometry.train.recipes import RECIPES, RecipeMaker, efficientnet, small

__all__ = [
    "RECIPES",
    "Checkpoint",
    "Evaluation",
    "Job",
    "Mistake",
    "Predictions",
    "Preprocessing",
    "RMSPropTF",
    "Recipe",
    "RecipeMaker",
    "Trained",
    "change",
    "efficientnet",
    "evaluate",
    "latest_checkpoint",
    "learning_rate",
    "load_weights",
    "make_optimiser",
    "predict",
    "small",
    "summarise",
    "to_input",
    "train",
    "wilson_interval",
]
