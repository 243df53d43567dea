"""What a network says of images it has not trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allometry.base import Progress, SilentProgress
from allometry.base.progress import tracked
from allometry.data import Split, group_numbers, view_batches, with_levels
from allometry.runs import Interval
from allometry.training.metrics.intervals import Groups, fraction_interval
from allometry.training.metrics.labels import image_parts, mean_average_precision, precision_interval
from allometry.training.preprocessing import Preprocessing, to_input

_BATCH = 128


class Predictions(NamedTuple):
    """What a network says of a split.

    Attributes:
        labels: the truth, int64 [N], or uint8 [N, classes] of images with several labels.
        probabilities: float32 [N, classes]; of several labels each by itself.
        losses: cross-entropy of each image in nats, float32 [N], of several labels their mean. Taken from the logits:
            a probability that rounds to 0 has a loss that is finite.
        groups: of each image, int64 [N], by which intervals are; None for each image on its own.

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
    groups: Groups | None = None

    @property
    def group_count(self) -> int | None:
        """How many groups of images there are; None where each is on its own."""
        return None if self.groups is None else len(np.unique(self.groups))

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return float(self.losses.mean(dtype=np.float64))

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.labels.ndim == 2

    @property
    def correct(self) -> np.ndarray:
        """Whether the most probable class is the true one, bool [N]; of several labels, one that the image has."""
        places = self.probabilities.argmax(1)
        if self.multi_label:
            chosen: np.ndarray = np.take_along_axis(self.labels, places[:, None], 1)[:, 0] > 0
            return chosen
        correct: np.ndarray = places == self.labels
        return correct

    @property
    def image_scores(self) -> npt.NDArray[np.float64]:
        """What each image adds to `accuracy`, which is their mean, float64 [N]."""
        if self.multi_label:
            return image_parts(self.labels, self.probabilities)
        return self.correct.astype(np.float64)

    @property
    def accuracy(self) -> float:
        """Share of the images whose most probable class is the true one; of several labels, mean average precision."""
        if self.multi_label:
            return mean_average_precision(self.labels, self.probabilities)
        return float(self.correct.mean())

    def accuracy_interval(self, *, seed: int = 0) -> Interval:
        """The 95 % interval of `accuracy`: Wilson's, or by the bootstrap for mean average precision; by groups if any.

        Args:
            seed: of the bootstrap.
        """
        if self.multi_label:
            return precision_interval(self.labels, self.probabilities, seed=seed, groups=self.groups)
        return fraction_interval(self.correct, self.groups)


class Score(NamedTuple):
    """Accuracy and loss of a split, without the details; with several labels an image, mean average precision and loss.

    Example:
        >>> Score(accuracy=0.75, loss=0.6).accuracy
        0.75
    """

    accuracy: float
    loss: float


def evaluate(module: nn.Module, split: Split, *, preprocessing: Preprocessing, device: torch.device) -> Score:
    """Accuracy and mean cross-entropy of `module` on `split`. Puts the module into evaluation mode.

    With several labels an image the mean average precision stands for the accuracy.

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
    split = with_levels(split, preprocessing.levels)
    labels = np.asarray(split.labels)
    batches = view_batches(
        split, resolution=preprocessing.resolution, batch_size=_BATCH, crop=preprocessing.crop
    )
    with torch.inference_mode(), tracked(progress, "evaluating", len(labels)) as advance:
        for batch in batches:
            logits = module(to_input(batch.images, preprocessing, device)).float().cpu()
            losses.append(_losses(logits, torch.from_numpy(batch.labels)).numpy())
            probabilities.append((logits.sigmoid() if labels.ndim == 2 else logits.softmax(1)).numpy())
            advance(len(logits))
    return Predictions(labels, np.concatenate(probabilities), np.concatenate(losses), group_numbers(split))


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """The plain loss of each image, whatever was trained by."""
    if labels.ndim == 2:
        return F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none").mean(1)
    return F.cross_entropy(logits, labels, reduction="none")
