"""A recipe: everything about a training that is neither the network nor the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, get_args

from allometry.arch import Network
from allometry.base import RecipeError
from allometry.base.checks import check_choice, check_flag, check_integer, check_numbers
from allometry.data import Augmentation
from allometry.training.losses import CrossEntropy, Loss

_LARGEST_IMAGE = 4.0  # a training on images more than so many times the network's side is a slip of the pen


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressive:
    """Progressive learning: images and regularization grow together, stage by stage.

    The stages before the last share the first part of the epochs evenly. From the first stage to the last each
    quantity goes in equal steps from what is given here to what the recipe says itself; a quantity that is none
    here does not change. With one stage nothing changes.

    Attributes:
        stages: how many.
        early: fraction of the epochs that lie before the last stage.
        resolution: side of the first stage's images, as a fraction of the network's.
        magnitude: of the augmentation's policy in the first stage.
        mixup: of the augmentation in the first stage.
        cutmix: of the augmentation in the first stage.
        dropout: before the classifier, in the first stage.
        larger_batches: smaller images come in larger batches, of about as many pixels as the last stage's.
        rate: the learning rate follows the batch's growth to this power: 0 for not at all, 0.5 for its root.

    Raises:
        RecipeError: a field cannot have that value.

    Source: EfficientNetV2 (Tan & Le 2021), section 4, Algorithm 1: four stages of equal length.

    Example:
        >>> [round(Progressive(stages=4, resolution=0.5).share(stage), 3) for stage in range(4)]
        [0.0, 0.333, 0.667, 1.0]
    """

    stages: int = 1
    early: float = 0.75
    resolution: float = 1.0
    magnitude: float | None = None
    mixup: float | None = None
    cutmix: float | None = None
    dropout: float | None = None
    larger_batches: bool = False
    rate: float = 0.5

    def __post_init__(self) -> None:
        check_integer("progressive.stages", self.stages, minimum=1)
        check_numbers(self, "progressive.", _PROGRESSIVE)
        check_flag("progressive.larger_batches", self.larger_batches)

    def share(self, stage: int) -> float:
        """How far between the first stage and the last `stage` lies, from 0 to 1."""
        return stage / (self.stages - 1) if self.stages > 1 else 1.0

    def stage_of(self, epoch: int, epochs: int) -> int:
        """The stage of an epoch, both counted from 0.

        Example:
            >>> [Progressive(stages=3, early=0.5).stage_of(epoch, 8) for epoch in range(8)]
            [0, 0, 1, 1, 2, 2, 2, 2]
        """
        before = round(self.early * epochs)
        return epoch * (self.stages - 1) // before if epoch < before else self.stages - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """How much a teacher says; without a teacher nothing of it counts.

    Attributes:
        weight: fraction of the loss that compares with the teacher, from 0 to 1; the labels have the rest.
        temperature: both networks' scores are divided by it first; the loss is multiplied by its square.

    Raises:
        RecipeError: a field cannot have that value.

    Source: Hinton, Vinyals & Dean 2015, *Distilling the knowledge in a neural network*, section 2.

    Example:
        >>> Distillation(temperature=2).weight
        0.5
    """

    weight: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_numbers(self, "distillation.", {"weight": (0, 1), "temperature": (0.01, 100)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a step is computed: memory for time, and time for waiting.

    Attributes:
        micro_batch: images that pass at once; the gradients of a batch add up over several passes. 0 for the
            whole batch. Batch norm sees the images of one pass.
        memory: bytes that a step may take; the largest micro batch that fits is found before the training
            starts. 0 for what the device has.
        recompute: keep only what goes from block to block, and compute the inside again on the way back.
        compile: let `torch.compile` write the step; the first step of every size takes a minute or so.
        synchronize: batch norm looks at the batch of all processes, where several train together.

    Raises:
        RecipeError: a field cannot have that value.

    Source: `recompute`: Chen et al. 2016, *Training deep nets with sublinear memory cost*.

    Example:
        >>> Execution(micro_batch=16).recompute
        False
    """

    micro_batch: int = 0
    memory: int = 0
    recompute: bool = False
    compile: bool = False
    synchronize: bool = False

    def __post_init__(self) -> None:
        check_integer("execution.micro_batch", self.micro_batch, minimum=0)
        check_integer("execution.memory", self.memory, minimum=0)
        for name in ("recompute", "compile", "synchronize"):
            check_flag(f"execution.{name}", getattr(self, name))
        if self.recompute and self.compile:
            raise RecipeError(
                "execution.recompute and execution.compile do not go together: "
                "torch.compile decides itself what it computes again. Switch one of them off."
            )


_PROGRESSIVE: dict[str, tuple[float, float]] = {
    "early": (0, 1),
    "resolution": (0.05, _LARGEST_IMAGE),
    "magnitude": (0, 30),
    "mixup": (0, 10),
    "cutmix": (0, 10),
    "dropout": (0, 0.99),
    "rate": (0, 1),
}

Optimizer = Literal["adamw", "rmsprop"]
Schedule = Literal["cosine", "exponential", "constant"]
Precision = Literal["auto", "float32", "bfloat16"]
Statistics = Literal["train", "frozen", "re-estimated"]
Kept = Literal["last", "best"]
Decayed = Literal["kernels", "kernels-and-biases"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train, as frozen data.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step, over all processes.
        optimizer: `adamw`, or the paper's `rmsprop`.
        learning_rate: the highest of the schedule.
        layer_decay: from the classifier towards the stem, each stage learns at this fraction of the next one's rate;
            1 for the same everywhere.
        weight_decay: decoupled for `adamw`, an L2 term for `rmsprop`.
        decayed: what the weight decay is for: `kernels` of convolutions and linear layers, or `kernels-and-biases`,
            which is all but batch norm.
        head_epochs: in so many epochs at the start only the classifier learns, at the constant rate.
        warmup: fraction of the other epochs in which the learning rate rises from 0, linearly.
        schedule: what follows: `cosine` to 0, `exponential` (times `decay` every `decay_epochs`), `constant`.
        decay: factor of the exponential schedule.
        decay_epochs: epochs between two such factors.
        loss: how far logits are from labels: a value, such as one of `allometry.losses`.
        ema: decay of the exponential moving average of the weights, which is what is evaluated and kept;
            0 keeps the weights themselves.
        clip: largest norm of the gradient; 0 for no clipping.
        precision: of the arithmetic; `auto` is bfloat16 on GPUs that have it, float32 elsewhere.
        dropout: before the classifier; None keeps the network's own.
        stochastic_depth: None keeps the network's own; that of supernets and searches by gradient is none, as their
            layers come and go anyway.
        batch_norm_momentum: weight of the new batch; None keeps the network's own.
        residual_scale: of the last batch norm in every residual branch at the start, unless there are weights to start
            from. With 0 deep networks begin as shallow ones, which short trainings need; 1 is the papers'.
        batch_norm: where its statistics come from: `train`, from the batches; `frozen`, from the weights that the
            training starts from; `re-estimated`, as `train`, and after each epoch anew for the averaged weights.
        keep: which epoch's weights are the result: the `last`, or the `best` on the validation images.
        patience: stop after so many epochs without a better one; 0 for never.
        train_resolution: side of the training images, as a fraction of the network's; EfficientNetV2 trains on
            smaller ones than it is tested on.
        crop: fraction of the shorter side that the evaluation view shows.
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
    decayed: Decayed = "kernels"
    head_epochs: int = 0
    warmup: float = 0.1
    schedule: Schedule = "cosine"
    decay: float = 0.97
    decay_epochs: float = 2.4
    loss: Loss = field(default_factory=CrossEntropy)
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
            check_integer(name, getattr(self, name), minimum=least)
        check_numbers(self, "", _RANGES)
        for name, possible in _CHOICES.items():
            check_choice(name, getattr(self, name), possible)
        if not isinstance(self.loss, Loss):
            raise RecipeError(f"loss must be a Loss, such as CrossEntropy(), not {self.loss!r}.")
        if self.head_epochs >= self.epochs:
            raise RecipeError(
                f"head_epochs is {self.head_epochs} and must be below epochs, which is {self.epochs}: "
                "the other layers learn in the rest."
            )

    def applied_to(self, network: Network) -> Network:
        """The network as this recipe trains it: with the recipe's dropout, stochastic depth and momentum.

        Example:
            >>> from allometry.catalog import get
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
            >>> plain = Recipe(epochs=2).to_dict()
            >>> plain["augmentation.flip"], plain["loss"], plain["loss.label_smoothing"]
            (False, 'cross-entropy', 0.1)
        """
        plain: dict[str, Any] = {}
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, Loss):
                plain[part.name] = value.name
            if is_dataclass(value) and not isinstance(value, type):
                plain |= {f"{part.name}.{inner}": held for inner, held in asdict(value).items()}
            else:
                plain[part.name] = value
        return plain


_RANGES: dict[str, tuple[float, float]] = {
    "learning_rate": (0, 1e3),
    "layer_decay": (0.01, 1),
    "weight_decay": (0, 1e3),
    "warmup": (0, 1),
    "decay": (0, 1),
    "decay_epochs": (1e-6, 1e6),
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
    "decayed": get_args(Decayed),
}
