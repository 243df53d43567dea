"""How good a network is on the validation images, looked at by all processes together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from allometry.data import Dataset, part_of, view_batches
from allometry.training.batch_norm import recalibrate_batch_norm
from allometry.training.job import Job, RecordT
from allometry.training.metrics.evaluate import Score, evaluate, predict
from allometry.training.metrics.labels import mean_average_precision
from allometry.training.preprocessing import Preprocessing, to_input
from allometry.training.recipes import Epoch

_RECALIBRATED = 1024  # images; more change the statistics by less than a tenth of a percent
_BATCH = 64


def validate(job: Job[RecordT], module: nn.Module, *, preprocessing: Preprocessing | None = None) -> Score:
    """Accuracy and loss on the validation images, which processes share among them; the same in each.

    Of images with several labels the mean average precision stands for the accuracy.

    Args:
        job: the training.
        module: the same in every process.
        preprocessing: how images become its input; by default the job's.
    """
    split = job.dataset.splits["val"]
    own = np.arange(job.dist.rank, len(split), job.dist.world_size)
    seen_as = preprocessing or job.preprocessing
    if job.dist.alone:
        return evaluate(module, split, preprocessing=seen_as, device=job.device)
    if job.dataset.multi_label:
        return _joint_score(job, module, seen_as, own)
    score = Score(0.0, 0.0)
    if len(own):
        score = evaluate(module, part_of(split, own), preprocessing=seen_as, device=job.device)
    sums = torch.tensor([score.accuracy, score.loss, 1.0], dtype=torch.float64, device=job.device) * len(own)
    correct, loss, seen = job.dist.all_reduce(sums).tolist()
    return Score(correct / seen, loss / seen)


def _joint_score(
    job: Job[RecordT], module: nn.Module, preprocessing: Preprocessing, own: npt.NDArray[np.int64]
) -> Score:
    """The score of all images together, which is no mean of those of parts."""
    split = job.dataset.splits["val"]
    whole = torch.zeros(len(split), len(job.dataset.classes) + 1, dtype=torch.float64, device=job.device)
    if len(own):
        predictions = predict(module, part_of(split, own), preprocessing=preprocessing, device=job.device)
        columns = np.column_stack([predictions.probabilities, predictions.losses]).astype(np.float64)
        whole[torch.from_numpy(own).to(job.device)] = torch.from_numpy(columns).to(job.device)
    values = job.dist.all_reduce(whole).cpu().numpy()
    return Score(mean_average_precision(split.labels, values[:, :-1]), float(values[:, -1].mean()))


def settle_statistics(
    job: Job[RecordT],
    module: nn.Module,
    average: nn.Module,
    epoch: Epoch,
    *,
    preprocessing: Preprocessing | None = None,
) -> None:
    """Give the average's batch norms the statistics that it is validated with, the same in every process.

    Where the recipe says so they are estimated anew, from training images as they are seen in evaluation. Of several
    processes the main one's count, as each has gathered them from its own images.

    Args:
        job: the training.
        module: what computes with the average's batch norms: itself, or a path through it.
        average: whose batch norms they are.
        epoch: that has ended.
        preprocessing: how images become its input; by default the job's.
    """
    job.dist.broadcast(average.buffers())
    if job.recipe.batch_norm == "re-estimated":
        seen_as = preprocessing or job.preprocessing
        views = training_views(job.dataset, seen_as, seed=(job.seed, epoch.number), device=job.device)
        recalibrate_batch_norm(module, views)
        job.dist.broadcast(average.buffers())


def training_views(
    dataset: Dataset, preprocessing: Preprocessing, *, seed: Sequence[int], device: torch.device
) -> Iterator[Tensor]:
    """Some training images as they are seen in evaluation, as inputs in batches, for the statistics of batch norms.

    Args:
        dataset: whose images they are.
        preprocessing: how these become inputs.
        seed: that decides which images they are.
        device: where they go.
    """
    split = dataset.splits["train"]
    chosen = np.random.default_rng(seed).permutation(len(split))[:_RECALIBRATED]
    for batch in view_batches(
        part_of(split, chosen),
        resolution=preprocessing.resolution,
        batch_size=_BATCH,
        crop=preprocessing.crop,
    ):
        yield to_input(batch.images, preprocessing, device)
