"""Training: recipes, one readable loop, checkpoints, evaluation."""

from allometry.train.engine.average import Follower
from allometry.train.engine.checkpoint import (
    Checkpoint,
    latest_checkpoint,
    load_weights,
    remove_checkpoints,
    weights_metadata,
)
from allometry.train.engine.loop import FINAL, Trained, train
from allometry.train.engine.losses import label_losses
from allometry.train.engine.memory import largest_micro_batch, step_memory
from allometry.train.engine.normalization import re_estimate
from allometry.train.engine.optimizer import RMSPropTF, make_optimizer
from allometry.train.engine.precision import autocast, uses_bfloat16
from allometry.train.engine.ranks import ALONE, Ranks, join
from allometry.train.engine.recompute import recompute_blocks
from allometry.train.engine.saving import Saving
from allometry.train.engine.seeds import seed_step
from allometry.train.engine.teacher import Teacher, distillation_loss
from allometry.train.inputs import Preprocessing, normalize, to_input, to_pixels
from allometry.train.job import Job, refuse_other_images
from allometry.train.judging.calibration import Bin, calibration_error, chance_error, reliability
from allometry.train.judging.classes import ClassFigures, balanced_accuracy, class_figures, confusion_matrix
from allometry.train.judging.evaluate import Predictions, Score, evaluate, predict
from allometry.train.judging.intervals import bootstrap_interval, resamples, wilson_interval
from allometry.train.judging.probabilities import brier_score, ranks
from allometry.train.judging.summary import Evaluation, Mistake, summarize
from allometry.train.recipes import (
    RECIPES,
    Distillation,
    Epoch,
    Execution,
    Progressive,
    Recipe,
    RecipeMaker,
    at_full_size,
    change,
    efficientnet,
    efficientnetv2,
    epoch_of,
    full_epochs,
    images_until,
    learning_rate,
    plan_epochs,
    small,
    transfer,
)

__all__ = [
    "ALONE",
    "FINAL",
    "RECIPES",
    "Bin",
    "Checkpoint",
    "ClassFigures",
    "Distillation",
    "Epoch",
    "Evaluation",
    "Execution",
    "Follower",
    "Job",
    "Mistake",
    "Predictions",
    "Preprocessing",
    "Progressive",
    "RMSPropTF",
    "Ranks",
    "Recipe",
    "RecipeMaker",
    "Saving",
    "Score",
    "Teacher",
    "Trained",
    "at_full_size",
    "autocast",
    "balanced_accuracy",
    "bootstrap_interval",
    "brier_score",
    "calibration_error",
    "chance_error",
    "change",
    "class_figures",
    "confusion_matrix",
    "distillation_loss",
    "efficientnet",
    "efficientnetv2",
    "epoch_of",
    "evaluate",
    "full_epochs",
    "images_until",
    "join",
    "label_losses",
    "largest_micro_batch",
    "latest_checkpoint",
    "learning_rate",
    "load_weights",
    "make_optimizer",
    "normalize",
    "plan_epochs",
    "predict",
    "ranks",
    "re_estimate",
    "recompute_blocks",
    "refuse_other_images",
    "reliability",
    "remove_checkpoints",
    "resamples",
    "seed_step",
    "small",
    "step_memory",
    "summarize",
    "to_input",
    "to_pixels",
    "train",
    "transfer",
    "uses_bfloat16",
    "weights_metadata",
    "wilson_interval",
]
