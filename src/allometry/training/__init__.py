"""Training: recipes, one readable loop, checkpoints, evaluation."""

from allometry.training.batch_norm import recalibrate_batch_norm
from allometry.training.callbacks import (
    CALLBACKS,
    Callback,
    EpochEnd,
    StepEnd,
    TrainEnd,
    TrainStart,
    register_callback,
)
from allometry.training.checkpoint import (
    Checkpoint,
    CheckpointTimer,
    latest_checkpoint,
    load_weights,
    remove_checkpoints,
    weights_metadata,
)
from allometry.training.classification import ClassificationJob, ClassificationTask, NetworkEpochs, Trained
from allometry.training.devices import autocast, uses_bfloat16
from allometry.training.distillation import Teacher, label_losses, student_losses
from allometry.training.distributed import ALONE, DistContext, join
from allometry.training.ema import ModelEma
from allometry.training.growing import GrowingTask, train
from allometry.training.inheritance import inherit_optimizer, settle_new_statistics
from allometry.training.job import Job, refuse_other_images
from allometry.training.loop import run_task
from allometry.training.losses import LOSSES, BinaryCrossEntropy, CrossEntropy, Loss
from allometry.training.memory import largest_micro_batch, step_memory
from allometry.training.metrics.calibration import calibration_error, chance_error, reliability
from allometry.training.metrics.classes import (
    balanced_accuracy,
    brier_score,
    class_metrics,
    confusion_matrix,
    ranks,
)
from allometry.training.metrics.evaluate import Predictions, Score, evaluate, predict
from allometry.training.metrics.intervals import (
    bootstrap_interval,
    fraction_interval,
    resamples,
    wilson_interval,
)
from allometry.training.metrics.label_summary import summarize_labels
from allometry.training.metrics.labels import average_precision, best_thresholds, mean_average_precision
from allometry.training.metrics.summary import summarize
from allometry.training.optimizer import RMSPropTF, make_optimizer
from allometry.training.preprocessing import Preprocessing, normalize, to_input, to_pixels
from allometry.training.recipes import (
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
from allometry.training.recompute import recompute_blocks
from allometry.training.seeds import seed_step
from allometry.training.task import FINAL, EpochSummary, Task, TaskPhase, Validation

__all__ = [
    "ALONE",
    "CALLBACKS",
    "FINAL",
    "LOSSES",
    "RECIPES",
    "BinaryCrossEntropy",
    "Callback",
    "Checkpoint",
    "CheckpointTimer",
    "ClassificationJob",
    "ClassificationTask",
    "CrossEntropy",
    "DistContext",
    "Distillation",
    "Epoch",
    "EpochEnd",
    "EpochSummary",
    "Execution",
    "GrowingTask",
    "Job",
    "Loss",
    "ModelEma",
    "NetworkEpochs",
    "Predictions",
    "Preprocessing",
    "Progressive",
    "RMSPropTF",
    "Recipe",
    "RecipeMaker",
    "Score",
    "StepEnd",
    "Task",
    "TaskPhase",
    "Teacher",
    "TrainEnd",
    "TrainStart",
    "Trained",
    "Validation",
    "at_full_size",
    "autocast",
    "average_precision",
    "balanced_accuracy",
    "best_thresholds",
    "bootstrap_interval",
    "brier_score",
    "calibration_error",
    "chance_error",
    "change",
    "class_metrics",
    "confusion_matrix",
    "efficientnet",
    "efficientnetv2",
    "epoch_of",
    "evaluate",
    "fraction_interval",
    "full_epochs",
    "images_until",
    "inherit_optimizer",
    "join",
    "label_losses",
    "largest_micro_batch",
    "latest_checkpoint",
    "learning_rate",
    "load_weights",
    "make_optimizer",
    "mean_average_precision",
    "normalize",
    "plan_epochs",
    "predict",
    "ranks",
    "recalibrate_batch_norm",
    "recompute_blocks",
    "refuse_other_images",
    "register_callback",
    "reliability",
    "remove_checkpoints",
    "resamples",
    "run_task",
    "seed_step",
    "settle_new_statistics",
    "small",
    "step_memory",
    "student_losses",
    "summarize",
    "summarize_labels",
    "to_input",
    "to_pixels",
    "train",
    "transfer",
    "uses_bfloat16",
    "weights_metadata",
    "wilson_interval",
]
