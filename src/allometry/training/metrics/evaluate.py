"""What a network says of images it has not trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from allometry.base import Progress, SilentProgress
from allometry.base.progress import tracked
from allometry.data import Split, view_batches
from allometry.training.preprocessing import Preprocessing, to_input

_BATCH = 128


class Predictions(NamedTuple):
    """What a network says of a split.

    Attributes:
        labels: the truth, int64 [N].
        probabilities: float32 [N, classes].
        losses: cross-entropy of each image in nats, float32 [N]. Taken from the logits: a probability that rounds
            to 0 has a loss that is finite.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    losses: np.ndarray

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return float(self.losses.mean(dtype=np.float64))

    @property
    def correct(self) -> np.ndarray:
        """Whether the most probable class is the true one, bool [N]."""
        correct: np.ndarray = self.probabilities.argmax(1) == self.labels
        return correct

    @property
    def accuracy(self) -> float:
        """Share of the images whose most probable class is the true one."""
        return float(self.correct.mean())


class Score(NamedTuple):
    """Accuracy and loss of a split, without the details."""

    accuracy: float
    loss: float


def evaluate(module: nn.Module, split: Split, *, preprocessing: Preprocessing, device: torch.device) -> Score:
    """Accuracy and mean cross-entropy of `module` on `split`. Puts the module into evaluation mode."""
    predictions = predict(module, split, preprocessing=preprocessing, device=device)
    return Score(predictions.accuracy, predictions.loss)


def predict(
    module: nn.Module,
    split: Split,
    *,
    preprocessing: Preprocessing,
    device: torch.device,
    progress: Progress = SilentProgress(),
) -> Predictions:
    """Probabilities of every image of `split`, in its order. Puts the module into evaluation mode."""
    module.eval()
    probabilities, losses = [], []
    labels = np.asarray(split.labels)
    batches = view_batches(
        split, resolution=preprocessing.resolution, batch_size=_BATCH, crop=preprocessing.crop
    )
    with torch.inference_mode(), tracked(progress, "evaluating", len(labels)) as advance:
        for batch in batches:
            logits = module(to_input(batch.images, preprocessing, device)).float().cpu()
            losses.append(F.cross_entropy(logits, torch.from_numpy(batch.labels), reduction="none").numpy())
            probabilities.append(logits.softmax(1).numpy())
            advance(len(logits))
    return Predictions(labels, np.concatenate(probabilities), np.concatenate(losses))
