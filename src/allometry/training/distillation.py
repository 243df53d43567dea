"""The losses of a batch by a recipe: against its labels, mixed ones too, and against a teacher's logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allometry.base import InputError
from allometry.data import Batch
from allometry.data.dataset import Labels
from allometry.training.losses import Loss
from allometry.training.preprocessing import Preprocessing, normalize, to_pixels
from allometry.training.recipes import Recipe


def label_losses(logits: Tensor, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
    """The loss of each image against its labels; of images that were mixed by the fraction of each.

    Args:
        logits: [N, classes].
        batch: whose images they are of.
        loss: how far logits are from labels.

    Returns:
        Losses [N] and labels, on the logits' device.

    Raises:
        InputError: the images have several labels, and the loss is for one.

    Example:
        >>> import numpy as np
        >>> from allometry.training.losses import CrossEntropy
        >>> images, labels = np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1])
        >>> batch = Batch(images, labels, np.arange(2), labels, np.ones(2, np.float32))
        >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
        >>> losses, _ = label_losses(logits, batch, CrossEntropy(label_smoothing=0))
        >>> [round(value, 2) for value in losses.tolist()]
        [0.13, 2.13]
    """
    device, logits = logits.device, logits.float()
    if batch.labels.ndim == 2 and not loss.multi_label:
        raise InputError(
            f"{loss.name} is for one label an image, and these have several: take loss=binary-cross-entropy, or a "
            "loss of your own with multi_label = True."
        )
    labels = _labels(batch.labels, device)
    losses = loss(logits, labels)
    if (batch.mix_weights < 1).any():
        weights = torch.from_numpy(batch.mix_weights).to(device, non_blocking=True)
        mixed = _labels(batch.mixed_labels, device)
        losses = weights * losses + (1 - weights) * loss(logits, mixed)
    return losses, labels


def _labels(labels: Labels, device: torch.device) -> Tensor:
    """Labels as a loss sees them."""
    moved = torch.from_numpy(labels).to(device, non_blocking=True)
    return moved.float() if moved.ndim == 2 else moved


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


def student_losses(
    logits: Tensor, batch: Batch, recipe: Recipe, *, teacher_logits: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The loss of each image by a recipe: against its labels, and with a teacher against that one's logits, too.

    Returns:
        Losses [N] and labels, on the logits' device.

    Example:
        >>> import numpy as np
        >>> images, labels = np.zeros((1, 8, 8, 1), np.uint8), np.array([0])
        >>> batch = Batch(images, labels, np.arange(1), labels, np.ones(1, np.float32))
        >>> from allometry.training.losses import CrossEntropy
        >>> logits, recipe = torch.tensor([[2.0, 0.0]]), Recipe(epochs=1, loss=CrossEntropy(label_smoothing=0))
        >>> losses, labels = student_losses(logits, batch, recipe, teacher_logits=None)
        >>> round(losses.item(), 2), labels.tolist()
        (0.13, [0])
    """
    losses, labels = label_losses(logits, batch, recipe.loss)
    if teacher_logits is not None:
        weight, temperature = recipe.distillation.weight, recipe.distillation.temperature
        taught = recipe.loss.distillation(logits.float(), teacher_logits.float(), temperature=temperature)
        losses = (1 - weight) * losses + weight * taught
    return losses, labels
