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

    Example:
        >>> predictions = Predictions(
        ...     labels=np.array([0, 1]),
        ...     probabilities=np.array([[0.75, 0.25], [0.5, 0.5]], np.float32),
        ...     losses=np.array([0.25, 0.75], np.float32),
        ... )
        >>> predictions.accuracy, predictions.loss, predictions.correct.tolist()
        (0.5, 0.5, [True, False])
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
    """Accuracy and loss of a split, without the details.

    Example:
        >>> Score(accuracy=0.75, loss=0.6).accuracy
        0.75
    """

    accuracy: float
    loss: float


def evaluate(module: nn.Module, split: Split, *, preprocessing: Preprocessing, device: torch.device) -> Score:
    """Accuracy and mean cross-entropy of `module` on `split`. Puts the module into evaluation mode.

    Example:
        >>> from allometry.data import ArraySplit
        >>> pixels = np.zeros((2, 1, 1, 1), np.uint8)
        >>> pixels[1] = 255
        >>> split = ArraySplit(images=pixels, labels=np.array([0, 1]), names=("dark", "bright"))
        >>> plain = Preprocessing(
        ...     channels=1, resolution=1, crop=1.0, mean=(0.0,), std=(1.0,), classes=("dark", "bright")
        ... )
        >>> module = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
        >>> weights = {"1.weight": torch.tensor([[0.0], [4.0]]), "1.bias": torch.tensor([2.0, 0.0])}
        >>> _ = module.load_state_dict(weights)
        >>> score = evaluate(module, split, preprocessing=plain, device=torch.device("cpu"))
        >>> score.accuracy, round(score.loss, 3)
        (1.0, 0.127)
    """
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
    """Probabilities of every image of `split`, in its order. Puts the module into evaluation mode.

    Example:
        >>> from allometry.data import ArraySplit
        >>> pixels = np.zeros((3, 2, 2, 1), np.uint8)
        >>> split = ArraySplit(images=pixels, labels=np.array([0, 1, 0]), names=("a", "b", "c"))
        >>> plain = Preprocessing(
        ...     channels=1, resolution=2, crop=1.0, mean=(0.0,), std=(1.0,), classes=("cat", "dog")
        ... )
        >>> module = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))  # black images: it cannot tell
        >>> predict(module, split, preprocessing=plain, device=torch.device("cpu")).probabilities.tolist()
        [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    """
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
