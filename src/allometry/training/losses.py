"""How far logits are from the labels, and from those of a teacher, image by image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allometry.data import Batch
from allometry.training.preprocessing import Preprocessing


def cross_entropy(scores: Tensor, batch: Batch, *, label_smoothing: float) -> tuple[Tensor, Tensor]:
    """The cross-entropy of each image, of images that were mixed by the share of each, and the labels.

    Args:
        scores: [N, classes].
        batch: whose images they are of.
        label_smoothing: share of the target spread over all classes.

    Returns:
        Losses [N] and labels [N], on the scores' device.
    """
    device, scores = scores.device, scores.float()

    def against(labels: Tensor) -> Tensor:
        return F.cross_entropy(scores, labels, label_smoothing=label_smoothing, reduction="none")

    labels = torch.from_numpy(batch.labels).to(device, non_blocking=True)
    losses = against(labels)
    if (batch.mix_weights < 1).any():
        weights = torch.from_numpy(batch.mix_weights).to(device, non_blocking=True)
        mixed = torch.from_numpy(batch.mixed_labels).to(device, non_blocking=True)
        losses = weights * losses + (1 - weights) * against(mixed)
    return losses, labels


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained network whose answers the student imitates.

    Attributes:
        module: in evaluation mode; it does not learn.
        preprocessing: how images become its input.
    """

    module: nn.Module
    preprocessing: Preprocessing

    def answers(self, pixels: Tensor) -> Tensor:
        """The teacher's scores for pixels from 0 to 255, brought to its own size and normalization.

        Shape:
            [N, channels, H, W] -> [N, classes]
        """
        asked = self.preprocessing
        side = asked.resolution
        with torch.no_grad():
            if pixels.shape[-1] != side:
                # Without the filter a larger view would be sampled, and fine lines lost.
                pixels = F.interpolate(
                    pixels, size=(side, side), mode="bilinear", align_corners=False, antialias=True
                )
            mean = torch.tensor(asked.mean, device=pixels.device).view(1, -1, 1, 1) * 255
            std = torch.tensor(asked.std, device=pixels.device).view(1, -1, 1, 1) * 255
            answers: Tensor = self.module((pixels - mean) / std)
        return answers


def distillation_loss(scores: Tensor, answers: Tensor, *, temperature: float) -> Tensor:
    """How far the student's probabilities are from the teacher's, for each image.

    The Kullback-Leibler divergence of the softened probabilities times the temperature's square, which keeps the
    gradient's size when the temperature changes.

    Shape:
        two [N, classes] -> [N]

    Source: Hinton, Vinyals & Dean 2015, *Distilling the knowledge in a neural network*, section 2.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0]])
        >>> distillation_loss(scores, scores, temperature=2.0).item()
        0.0
    """
    said = F.log_softmax(scores.float() / temperature, dim=1)
    taught = F.log_softmax(answers.float() / temperature, dim=1)
    return F.kl_div(said, taught, reduction="none", log_target=True).sum(1) * temperature**2
