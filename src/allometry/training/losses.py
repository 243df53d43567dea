"""Losses as values: what a recipe trains by, for one label an image and for several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Self, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from allometry.base import RecipeError
from allometry.base.checks import check_numbers
from allometry.base.plugins import Registry

ClassWeights = str | tuple[float, ...]
"""`none`, `balanced`, or a number for each class; as text divided by commas."""
NONE, BALANCED = "none", "balanced"


@dataclass(frozen=True, kw_only=True)
class Loss(ABC):
    """How far logits are from labels. One of your own is a frozen dataclass that says it in `__call__`.

    Images that were mixed (mixup, cutmix), micro-batches, processes, supernets and searches by gradient are the
    library's affair: a loss sees logits and labels of a batch, and gives a number for each image. The forecast of a
    step's memory calls it on tensors without content, so it must not read single values.

    Its fields are numbers, flags and text, so that `--set loss.gamma=3` can change them.

    Attributes:
        name: by which `--set loss=NAME` finds it once it is in `LOSSES`, and by which `recipe.json` has it.
        multi_label: whether it takes several labels an image, too.

    Example:
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Margin(Loss):
        ...     name: ClassVar[str] = "margin"
        ...     width: float = 1.0
        ...
        ...     def __call__(self, logits, labels):
        ...         return F.multi_margin_loss(logits, labels, margin=self.width, reduction="none")
        >>> Margin(width=0.5)(torch.tensor([[2.0, 0.0]]), torch.tensor([1])).tolist()
        [1.25]
        >>> str(Margin(width=0.5))
        'margin(width=0.5)'
    """

    name: ClassVar[str]
    multi_label: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each image.

        Args:
            logits: float32 [N, classes].
            labels: int64 [N], the class of each image; or, where the loss takes several labels an image and the data
                has them, float32 [N, classes], 1 for each label that an image has, else 0.

        Returns:
            [N].
        """

    def distillation(self, logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
        """How far a student is from its teacher, for each image: the divergence of their softened probabilities.

        The Kullback-Leibler divergence times the temperature's square, which keeps the gradient's size when the
        temperature changes.

        Args:
            logits: of the student, float32 [N, classes].
            teacher_logits: as many.
            temperature: both are divided by it.

        Returns:
            [N].

        Source: Hinton, Vinyals & Dean 2015, *Distilling the knowledge in a neural network*, section 2.

        Example:
            >>> logits = torch.tensor([[2.0, 0.0]])
            >>> CrossEntropy().distillation(logits, logits, temperature=2.0).item()
            0.0
        """
        student = F.log_softmax(logits / temperature, dim=1)
        teacher = F.log_softmax(teacher_logits / temperature, dim=1)
        return F.kl_div(student, teacher, reduction="none", log_target=True).sum(1) * temperature**2

    def plain(self) -> Self:
        """The loss without what only regularizes weights, by which architecture parameters are judged."""
        return self

    def fitted(self, class_counts: Sequence[int], *, images: int) -> Self:
        """The loss with what it takes from the training images.

        Args:
            class_counts: how many of them have each label.
            images: how many there are.
        """
        del class_counts, images
        return self

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value}' for key, value in asdict(self).items())})"


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Loss):
    """The cross-entropy of the softmax: one label an image.

    Attributes:
        label_smoothing: fraction of the target spread over all classes.
        class_weights: of the images of each class; `balanced` for weights by which all classes count alike.

    Raises:
        RecipeError: a field cannot have that value.

    Source: label smoothing: Szegedy et al. 2016, *Rethinking the Inception architecture*, section 7.

    Example:
        >>> loss = CrossEntropy(label_smoothing=0)
        >>> [round(value, 2) for value in loss(torch.tensor([[2.0, 0.0]] * 2), torch.tensor([0, 1])).tolist()]
        [0.13, 2.13]
        >>> CrossEntropy(class_weights="balanced").fitted([30, 10], images=40).class_weights
        (0.6666666666666666, 2.0)
    """

    name: ClassVar[str] = "cross-entropy"
    label_smoothing: float = 0.1
    class_weights: ClassWeights = NONE

    def __post_init__(self) -> None:
        check_numbers(self, "loss.", {"label_smoothing": (0, 1)})
        object.__setattr__(self, "class_weights", _class_weights(self.class_weights))

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each image [N], in nats."""
        weights = _tensor(self.class_weights, logits)
        return F.cross_entropy(
            logits, labels, weight=weights, label_smoothing=self.label_smoothing, reduction="none"
        )

    def plain(self) -> Self:
        """Without label smoothing."""
        return replace(self, label_smoothing=0.0)

    def fitted(self, class_counts: Sequence[int], *, images: int) -> Self:
        """With weights that make all classes count alike, where they are `balanced`; one on average over the images."""
        if self.class_weights != BALANCED:
            return _sized(self, self.class_weights, len(class_counts))
        return replace(
            self, class_weights=tuple(images / (len(class_counts) * max(1, count)) for count in class_counts)
        )


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(Loss):
    """The cross-entropy of a sigmoid for each class, averaged over the classes: any number of labels an image.

    Attributes:
        label_smoothing: fraction by which each target is moved towards one half.
        class_weights: of the images that have a label, for each class; `balanced` lets those with and those without it
            count alike.

    Raises:
        RecipeError: a field cannot have that value.

    Example:
        >>> loss = BinaryCrossEntropy()
        >>> several = torch.tensor([[1.0, 1.0, 0.0]])
        >>> [round(loss(torch.tensor([logits]), several).item(), 3) for logits in ([3.0, 3, -3], [0.0, 0, 0])]
        [0.049, 0.693]
        >>> BinaryCrossEntropy(class_weights="balanced").fitted([30, 10], images=40).class_weights
        (0.3333333333333333, 3.0)
    """

    name: ClassVar[str] = "binary-cross-entropy"
    multi_label: ClassVar[bool] = True
    label_smoothing: float = 0.0
    class_weights: ClassWeights = NONE

    def __post_init__(self) -> None:
        check_numbers(self, "loss.", {"label_smoothing": (0, 1)})
        object.__setattr__(self, "class_weights", _class_weights(self.class_weights))

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each image [N], in nats, the mean over the classes."""
        targets = multi_hot(labels, logits)
        if self.label_smoothing:
            targets = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        weights = _tensor(self.class_weights, logits)
        return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="none").mean(
            1
        )

    def distillation(self, logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
        """The mean divergence of student and teacher over the classes, each a matter of yes or no."""
        student, teacher = logits / temperature, teacher_logits / temperature
        divergence = sum(
            F.kl_div(
                F.logsigmoid(sign * student), F.logsigmoid(sign * teacher), reduction="none", log_target=True
            )
            for sign in (1, -1)
        )
        assert isinstance(divergence, Tensor)  # noqa: S101
        return divergence.mean(1) * temperature**2

    def plain(self) -> Self:
        """Without label smoothing."""
        return replace(self, label_smoothing=0.0)

    def fitted(self, class_counts: Sequence[int], *, images: int) -> Self:
        """With weights that make images with and without a label count alike, where they are `balanced`."""
        if self.class_weights != BALANCED:
            return _sized(self, self.class_weights, len(class_counts))
        return replace(self, class_weights=tuple((images - count) / max(1, count) for count in class_counts))


def multi_hot(labels: Tensor, logits: Tensor) -> Tensor:
    """Labels as a number for each class, 1 for those that an image has.

    Shape:
        int64 [N] or [N, classes], [N, classes] -> [N, classes]

    Example:
        >>> multi_hot(torch.tensor([1, 0]), torch.zeros(2, 3)).tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    if labels.ndim == 1:
        labels = torch.zeros_like(logits).scatter_(1, labels[:, None], 1.0)
    return labels.to(logits.dtype)


def empty_labels(loss: Loss, images: int, classes: int, *, device: torch.device | None = None) -> Tensor:
    """Labels of the kind that a loss takes, for forecasts.

    Example:
        >>> empty_labels(CrossEntropy(), 2, 5).shape, empty_labels(BinaryCrossEntropy(), 2, 5).shape
        (torch.Size([2]), torch.Size([2, 5]))
    """
    if loss.multi_label:
        return torch.zeros(images, classes, device=device)
    return torch.zeros(images, dtype=torch.long, device=device)


def _class_weights(value: object) -> ClassWeights:
    """Weights as they are kept."""
    if isinstance(value, str) and value not in (NONE, BALANCED):
        value = value.split(",")
    if isinstance(value, str):
        return value
    try:
        weights = tuple(float(weight) for weight in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        weights = ()
    if not weights or not all(0 <= weight < float("inf") for weight in weights):
        raise RecipeError(
            f"loss.class_weights must be {NONE}, {BALANCED}, or a number of at least 0 for each class, not {value!r}."
        )
    return weights


def _tensor(weights: ClassWeights, logits: Tensor) -> Tensor | None:
    """The weights beside logits; None for none."""
    if weights == BALANCED:
        raise RecipeError("Balanced class weights are taken from the training images: call fitted first.")
    return None if isinstance(weights, str) else logits.new_tensor(weights)


_LossT = TypeVar("_LossT", bound=Loss)


def _sized(loss: _LossT, weights: ClassWeights, classes: int) -> _LossT:
    """The loss, if its weights are as many as the classes."""
    if not isinstance(weights, str) and len(weights) != classes:
        raise RecipeError(f"loss.class_weights has {len(weights)} numbers, but there are {classes} classes.")
    return loss


LOSSES: Registry[Loss] = Registry("loss")
"""The losses that `--set loss=NAME` takes, each with its usual settings; a plugin adds one by `LOSSES.register`."""
LOSSES.register(CrossEntropy())
LOSSES.register(BinaryCrossEntropy())

__all__ = ["LOSSES", "BinaryCrossEntropy", "CrossEntropy", "Loss", "empty_labels", "multi_hot"]


def __dir__() -> list[str]:
    """What `allometry.losses` offers."""
    return ["LOSSES", "BinaryCrossEntropy", "CrossEntropy", "Loss"]
