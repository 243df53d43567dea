"""How far scores are from the labels, image by image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from allometry.data import Batch


def label_losses(scores: Tensor, batch: Batch, *, label_smoothing: float) -> tuple[Tensor, Tensor]:
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
    if (batch.shares < 1).any():
        shares = torch.from_numpy(batch.shares).to(device, non_blocking=True)
        others = torch.from_numpy(batch.others).to(device, non_blocking=True)
        losses = shares * losses + (1 - shares) * against(others)
    return losses, labels
