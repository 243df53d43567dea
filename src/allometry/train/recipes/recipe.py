"""A recipe: everything about a training that is neither the network nor the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, get_args

from allometry.arch import Network
from allometry.base import RecipeError
from allometry.base.checks import check_choice, check_integer, check_numbers
from allometry.data import Augmentation
from allometry.train.recipes.parts import (
    Distillation,
    Execution,
    Progressive,
)

Optimizer = Literal["adamw", "rmsprop"]
Schedule = Literal["cosine", "exponential", "constant"]
Precision = Literal["auto", "float32", "bfloat16"]
Statistics = Literal["train", "frozen", "re-estimated"]
Kept = Literal["last", "best"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train, as frozen data.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step, over all processes.
        optimizer: `adamw`, or the paper's `rmsprop`.
        learning_rate: the highest of the schedule.
        layer_decay: from the classifier towards the stem, each stage learns at this share of the next one's rate;
            1 for the same everywhere.
        weight_decay: decoupled for `adamw`, an L2 term for `rmsprop`.
        head_epochs: in so many epochs at the start only the classifier learns, at the constant rate.
        warmup: share of the other epochs in which the learning rate rises from 0, linearly.
        schedule: what follows: `cosine` to 0, `exponential` (times `decay` every `decay_epochs`), `constant`.
        decay: factor of the exponential schedule.
        decay_epochs: epochs between two such factors.
        label_smoothing: share of the target spread over all classes.
        ema: decay of the exponential moving average of the weights, which is what is evaluated and kept;
            0 keeps the weights themselves.
        clip: largest norm of the gradient; 0 for no clipping.
        precision: of the arithmetic; `auto` is bfloat16 on GPUs that have it, float32 elsewhere.
        dropout: before the classifier; None keeps the network's own.
        stochastic_depth: None keeps the network's own.
        batch_norm_momentum: weight of the new batch; None keeps the network's own.
        residual_scale: of the last batch norm in every residual branch at the start, unless there are weights to start
            from. With 0 deep networks begin as shallow ones, which short trainings need; 1 is the papers'.
        batch_norm: where its statistics come from: `train`, from the batches; `frozen`, from the weights that the
            training starts from; `re-estimated`, as `train`, and after each epoch anew for the averaged weights.
        keep: which epoch's weights are the result: the `last`, or the `best` on the validation images.
        patience: stop after so many epochs without a better one; 0 for never.
        train_resolution: side of the training images, as a share of the network's; EfficientNetV2 trains on
            smaller ones than it is tested on.
        crop: share of the shorter side that the evaluation view shows.
        progressive: how images and regularization grow during the training.
        distillation: what a teacher is worth.
        augmentation: what happens to each training image.
        execution: how a step is computed.

    Raises:
        RecipeError: a field cannot have that value.

    Example:
        >>> Recipe(epochs=10, learning_rate=0.01).batch_size
        64
    """

    epochs: int
    batch_size: int = 64
    optimizer: Optimizer = "adamw"
    learning_rate: float = 0.004
    layer_decay: float = 1.0
    weight_decay: float = 0.05
    head_epochs: int = 0
    warmup: float = 0.1
    schedule: Schedule = "cosine"
    decay: float = 0.97
    decay_epochs: float = 2.4
    label_smoothing: float = 0.1
    ema: float = 0.995
    clip: float = 5.0
    precision: Precision = "auto"
    dropout: float | None = None
    stochastic_depth: float | None = None
    batch_norm_momentum: float | None = None
    residual_scale: float = 1.0
    batch_norm: Statistics = "train"
    keep: Kept = "last"
    patience: int = 0
    train_resolution: float = 1.0
    crop: float = 1.0
    progressive: Progressive = field(default_factory=Progressive)
    distillation: Distillation = field(default_factory=Distillation)
    augmentation: Augmentation = field(default_factory=Augmentation)
    execution: Execution = field(default_factory=Execution)

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("head_epochs", 0), ("patience", 0)):
            check_integer(name, getattr(self, name), least=least)
        check_numbers(self, "", _RANGES)
        for name, possible in _CHOICES.items():
            check_choice(name, getattr(self, name), possible)
        if self.head_epochs >= self.epochs:
            raise RecipeError(
                f"head_epochs must be below epochs, which is {self.epochs}, not {self.head_epochs}: "
                "the other layers learn in the rest."
            )

    def applied_to(self, network: Network) -> Network:
        """The network as this recipe trains it: with the recipe's dropout, stochastic depth and momentum.

        Example:
            >>> from allometry.zoo import get
            >>> Recipe(epochs=1, dropout=0.5).applied_to(get("efficientnet-b0")).head.dropout
            0.5
        """
        if self.dropout is not None:
            network = replace(network, head=replace(network.head, dropout=self.dropout))
        if self.stochastic_depth is not None:
            network = replace(network, stochastic_depth=self.stochastic_depth)
        if self.batch_norm_momentum is not None:
            norm = replace(network.batch_norm, momentum=self.batch_norm_momentum)
            network = replace(network, batch_norm=norm)
        return network

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values; those of the parts are named `augmentation.rotation` and so on.

        Example:
            >>> Recipe(epochs=2).to_dict()["augmentation.flip"]
            False
        """
        plain: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if is_dataclass(value) and not isinstance(value, type):
                plain |= {f"{each.name}.{inner}": held for inner, held in asdict(value).items()}
            else:
                plain[each.name] = value
        return plain


_RANGES: dict[str, tuple[float, float]] = {
    "learning_rate": (0, 1e3),
    "layer_decay": (0.01, 1),
    "weight_decay": (0, 1e3),
    "warmup": (0, 1),
    "decay": (0, 1),
    "decay_epochs": (1e-6, 1e6),
    "label_smoothing": (0, 1),
    "ema": (0, 1),
    "clip": (0, 1e6),
    "train_resolution": (0.05, 4),
    "crop": (0.05, 1),
    "dropout": (0, 0.99),
    "stochastic_depth": (0, 0.99),
    "batch_norm_momentum": (0, 1),
    "residual_scale": (0, 1),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
    "batch_norm": get_args(Statistics),
    "keep": get_args(Kept),
}
