"""One step: scores, loss, gradients, weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from allometry.data import Batch
from allometry.training.devices import autocast
from allometry.training.job import Job
from allometry.training.losses import cross_entropy, distillation_loss
from allometry.training.preprocessing import normalize, to_pixels
from allometry.training.recipes import Epoch, Recipe, learning_rate
from allometry.training.seeds import seed_step
from allometry.training.state import State


def train_step(job: Job, state: State, epoch: Epoch, batch: Batch) -> None:
    """Learn from one batch, in as many passes as the recipe's micro batches need."""
    recipe = job.recipe
    rate = learning_rate(recipe, epoch, state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["scale"]
    seed_step(job.seed, state.step, rank=job.dist.rank)
    state.optimizer.zero_grad(set_to_none=True)
    seen, parts = len(batch.labels), list(_parts(batch, recipe))
    # Processes average their gradients; a part of the batch counts by its images.
    share = job.dist.world_size / epoch.images_per_step
    loss_sum, right = torch.zeros((), device=job.device), torch.zeros((), device=job.device)
    for number, part in enumerate(parts, start=1):
        with nullcontext() if number == len(parts) else state.adding_up():
            losses, scores, labels = _losses(job, state, part)
            torch.autograd.backward(losses.sum() * share)
        loss_sum += losses.detach().sum()
        right += (scores.argmax(1) == labels).sum()
    norm = loss_sum.new_zeros(())
    if recipe.clip:
        norm = nn.utils.clip_grad_norm_(state.module.parameters(), recipe.clip)
    state.optimizer.step()
    state.step += 1
    if recipe.ema or state.step == epoch.last_step:
        state.update_average(recipe.ema)
    state.sums += torch.stack([loss_sum, right, loss_sum.new_tensor(seen), norm]).double()


def _losses(job: Job, state: State, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of each image, the scores and the labels."""
    recipe, device = job.recipe, job.device
    pixels = to_pixels(batch.images, device)
    answers = None
    with autocast(recipe, device):
        if job.teacher is not None:
            answers = job.teacher.answers(pixels)
        scores = state.forward(normalize(pixels, job.preprocessing))
    losses, labels = cross_entropy(scores, batch, label_smoothing=recipe.label_smoothing)
    if answers is not None:
        weight = recipe.distillation.weight
        taught = distillation_loss(scores, answers, temperature=recipe.distillation.temperature)
        losses = (1 - weight) * losses + weight * taught
    return losses, scores.detach(), labels


def _parts(batch: Batch, recipe: Recipe) -> Iterator[Batch]:
    most, size = recipe.execution.micro_batch, len(batch.labels)
    if not most or size <= most:
        yield batch
        return
    passes = -(-size // most)
    for number in range(passes):
        # Passes of nearly equal size: batch norm would make little of a rest of one or two images.
        chosen = slice(number * size // passes, (number + 1) * size // passes)
        yield Batch._make(values[chosen] for values in batch)
