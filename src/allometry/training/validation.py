"""After each epoch: how good the averaged weights are on the validation images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from allometry.data import part_of, view_batches
from allometry.training.batch_norm import recalibrate_batch_norm
from allometry.training.job import Job
from allometry.training.metrics.evaluate import Score, evaluate
from allometry.training.preprocessing import to_input
from allometry.training.recipes import Epoch
from allometry.training.state import State

_RE_ESTIMATED = 1024  # images; more change the statistics by less than a tenth of a percent
_BATCH = 64


def validate(job: Job, state: State, epoch: Epoch) -> Score:
    """Accuracy and loss of the average; several processes share the images among them.

    Where the recipe says so, its batch-norm statistics are first estimated anew, from training images as they are
    seen in evaluation.
    """
    state.spread_average(job)
    if job.recipe.batch_norm == "re-estimated":
        recalibrate_batch_norm(state.average, _inputs(job, epoch))
        state.spread_average(job)
    split = job.dataset.splits["val"]
    mine = np.arange(job.dist.rank, len(split), job.dist.world_size)
    if not len(mine):
        score = Score(0.0, 0.0)
    else:
        part = split if job.dist.alone else part_of(split, mine)
        score = evaluate(state.average, part, preprocessing=job.preprocessing, device=job.device)
    if job.dist.alone:
        return score
    sums = torch.tensor([score.accuracy, score.loss, 1.0], dtype=torch.float64, device=job.device) * len(mine)
    right, loss, seen = job.dist.all_reduce(sums).tolist()
    return Score(right / seen, loss / seen)


def _inputs(job: Job, epoch: Epoch) -> Iterator[Tensor]:
    split, asked = job.dataset.splits["train"], job.preprocessing
    random = np.random.default_rng([job.seed, epoch.number])
    chosen = random.permutation(len(split))[:_RE_ESTIMATED]
    for batch in view_batches(
        part_of(split, chosen), resolution=asked.resolution, batch_size=_BATCH, crop=asked.crop
    ):
        yield to_input(batch.images, asked, job.device)
