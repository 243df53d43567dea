"""How far logits are from the labels, and from those of a teacher, image by image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allometry.data import Batch
from allometry.training.preprocessing import Preprocessing, normalize, to_pixels
from allometry.training.recipes import Recipe


def cross_entropy(logits: Tensor, batch: Batch, *, label_smoothing: float) -> tuple[Tensor, Tensor]:
    """The cross-entropy of each image, of images that were mixed by the fraction of each, and the labels.

    Args:
        logits: [N, classes].
        batch: whose images they are of.
        label_smoothing: fraction of the target spread over all classes.

    Returns:
        Losses [N] and labels [N], on the logits' device.

    Example:
        >>> import numpy as np
        >>> images, labels = np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1])
        >>> batch = Batch(images, labels, np.arange(2), labels, np.ones(2, np.float32))
        >>> losses, _ = cross_entropy(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), batch, label_smoothing=0.0)
        >>> [round(loss, 2) for loss in losses.tolist()]
        [0.13, 2.13]
    """
    device, logits = logits.device, logits.float()

    def against(labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="none")

    labels = torch.from_numpy(batch.labels).to(device, non_blocking=True)
    losses = against(labels)
    if (batch.mix_weights < 1).any():
        weights = torch.from_numpy(batch.mix_weights).to(device, non_blocking=True)
        mixed = torch.from_numpy(batch.mixed_labels).to(device, non_blocking=True)
        losses = weights * losses + (1 - weights) * against(mixed)
    return losses, labels


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained network whose logits the student imitates.

    Attributes:
        module: in evaluation mode; it does not learn.
        preprocessing: how images become its input.

    Example:
        >>> plain = Preprocessing(
        ...     channels=1, resolution=2, crop=1.0, mean=(0.0,), std=(1.0,), classes=("w", "x", "y", "z")
        ... )
        >>> teacher = Teacher(nn.Flatten().eval(), plain)
        >>> teacher.logits(torch.full((1, 1, 4, 4), 255.0)).shape
        torch.Size([1, 4])
    """

    module: nn.Module
    preprocessing: Preprocessing

    def logits(self, pixels: Tensor) -> Tensor:
        """The teacher's logits for pixels from 0 to 255, brought to its own size and normalization.

        Shape:
            [N, channels, H, W] -> [N, classes]
        """
        preprocessing = self.preprocessing
        side = preprocessing.resolution
        with torch.no_grad():
            if pixels.shape[-1] != side:
                # Without the filter a larger view would be sampled, and fine lines lost.
                pixels = F.interpolate(
                    pixels, size=(side, side), mode="bilinear", align_corners=False, antialias=True
                )
            mean = torch.tensor(preprocessing.mean, device=pixels.device).view(1, -1, 1, 1) * 255
            std = torch.tensor(preprocessing.std, device=pixels.device).view(1, -1, 1, 1) * 255
            logits: Tensor = self.module((pixels - mean) / std)
        return logits


def input_and_teacher_logits(
    batch: Batch, preprocessing: Preprocessing, *, teacher: Teacher | None, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """A batch as a network's input, and what the teacher makes of it, if there is one."""
    pixels = to_pixels(batch.images, device)
    taught = None if teacher is None else teacher.logits(pixels)
    return normalize(pixels, preprocessing), taught


def distillation_loss(logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """How far the student's probabilities are from the teacher's, for each image.

    The Kullback-Leibler divergence of the softened probabilities times the temperature's square, which keeps the
    gradient's size when the temperature changes.

    Shape:
        two [N, classes] -> [N]

    Source: Hinton, Vinyals & Dean 2015, *Distilling the knowledge in a neural network*, section 2.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0]])
        >>> distillation_loss(logits, logits, temperature=2.0).item()
        0.0
    """
    student = F.log_softmax(logits.float() / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits.float() / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="none", log_target=True).sum(1) * temperature**2


def student_losses(
    logits: Tensor, batch: Batch, recipe: Recipe, *, teacher_logits: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The loss of each image by a recipe: against its labels, and with a teacher against that one's logits, too.

    Returns:
        Losses [N] and labels [N], on the logits' device.

    Example:
        >>> import numpy as np
        >>> images, labels = np.zeros((1, 8, 8, 1), np.uint8), np.array([0])
        >>> batch = Batch(images, labels, np.arange(1), labels, np.ones(1, np.float32))
        >>> logits, recipe = torch.tensor([[2.0, 0.0]]), Recipe(epochs=1, label_smoothing=0.0)
        >>> losses, labels = student_losses(logits, batch, recipe, teacher_logits=None)
        >>> round(losses.item(), 2), labels.tolist()
        (0.13, [0])
    """
    losses, labels = cross_entropy(logits, batch, label_smoothing=recipe.label_smoothing)
    if teacher_logits is not None:
        weight, temperature = recipe.distillation.weight, recipe.distillation.temperature
        losses = (1 - weight) * losses + weight * distillation_loss(
            logits, teacher_logits, temperature=temperature
        )
    return losses, labels
