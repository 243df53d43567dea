"""A network that another one learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allometry.train.inputs import Preprocessing


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
