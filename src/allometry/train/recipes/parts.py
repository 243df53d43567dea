"""The parts of a recipe that belong together."""

from __future__ import annotations

from dataclasses import dataclass

from allometry.base import RecipeError
from allometry.base.checks import check_flag, check_integer, check_numbers

_LARGEST_PICTURE = (
    4.0  # a training on pictures more than so many times the network's side is a slip of the pen
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressive:
    """Progressive learning: pictures and regularization grow together, stage by stage.

    The stages before the last share the first part of the epochs evenly. From the first stage to the last each
    quantity goes in equal steps from what is given here to what the recipe says itself; a quantity that is none
    here does not change. With one stage nothing changes.

    Attributes:
        stages: how many.
        early: share of the epochs that lie before the last stage.
        resolution: side of the first stage's pictures, as a share of the network's.
        magnitude: of the augmentation's policy in the first stage.
        mixup: of the augmentation in the first stage.
        cutmix: of the augmentation in the first stage.
        dropout: before the classifier, in the first stage.
        larger_batches: smaller pictures come in larger batches, of about as many pixels as the last stage's.
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
        check_integer("progressive.stages", self.stages, least=1)
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
        weight: share of the loss that compares with the teacher, from 0 to 1; the labels have the rest.
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
        check_integer("execution.micro_batch", self.micro_batch, least=0)
        check_integer("execution.memory", self.memory, least=0)
        for name in ("recompute", "compile", "synchronize"):
            check_flag(f"execution.{name}", getattr(self, name))
        if self.recompute and self.compile:
            raise RecipeError(
                "execution.recompute and execution.compile do not go together: "
                "torch.compile decides itself what it computes again. Switch one of them off."
            )


_PROGRESSIVE: dict[str, tuple[float, float]] = {
    "early": (0, 1),
    "resolution": (0.05, _LARGEST_PICTURE),
    "magnitude": (0, 30),
    "mixup": (0, 10),
    "cutmix": (0, 10),
    "dropout": (0, 0.99),
    "rate": (0, 1),
}
