"""One step of a supernet's training: some subnets see the same images, and their gradients add up."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from allometry.arch import Option, Space
from allometry.data import Batch
from allometry.nas import ABSENT, Encoding, sample_encodings
from allometry.runs.phases import dimension_of
from allometry.supernets.coupling import couple_rows
from allometry.supernets.job import SupernetJob
from allometry.supernets.state import SupernetState
from allometry.training import (
    Epoch,
    autocast,
    cross_entropy,
    distillation_loss,
    learning_rate,
    seed_step,
    to_input,
)
from allometry.training.batch_norm import batch_norms

_DRAWN = 5


def train_step(job: SupernetJob, state: SupernetState, epoch: Epoch, batch: Batch) -> None:
    """Let the step's subnets learn from one batch."""
    recipe, phase = job.recipe, job.phases[state.phase]
    rate = learning_rate(job.recipe_of(state.phase), epoch, state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["scale"]
    seed_step(job.seed, state.steps(job), rank=job.dist.rank)
    subnets = [state.supernet.subnet(each) for each in drawn(job, state.phase, state.step)]
    images = to_input(batch.images, job.preprocessing, job.device)
    state.supernet.train()
    state.optimizer.zero_grad(set_to_none=True)  # what no subnet uses does not even decay
    with autocast(recipe, job.device):
        answers = taught(job, state, images)
    share = job.dist.world_size / (epoch.images_per_step * len(subnets))
    for subnet in subnets:
        with autocast(recipe, job.device):
            scores = state.supernet(images, subnet).float()
        losses, labels = cross_entropy(scores, batch, label_smoothing=recipe.label_smoothing)
        if answers is not None:
            weight, temperature = recipe.distillation.weight, recipe.distillation.temperature
            losses = (1 - weight) * losses + weight * distillation_loss(
                scores, answers, temperature=temperature
            )
        torch.autograd.backward(losses.sum() * share)
        if phase.teacher == "itself" and answers is None:  # the first one is the largest
            answers = scores.detach()
        _add(state, losses, (scores.detach().argmax(1) == labels).sum())
    _average_gradients(job, state)
    norm = state.sums.new_zeros(())
    if recipe.clip:
        norm = nn.utils.clip_grad_norm_(state.supernet.parameters(), recipe.clip).double()
    state.optimizer.step()
    state.sums[3] += norm
    state.step += 1
    if recipe.ema or state.step == epoch.last_step:
        state.update_average(recipe.ema)


def drawn(job: SupernetJob, phase: int, step: int) -> list[dict[str, Option]]:
    """What the subnets of a step decide, the same in every process; all are for images of one size."""
    asked, space = job.phases[phase], job.spaces[phase]
    random = np.random.default_rng([job.seed, _DRAWN, phase, step])
    rows = sample_encodings(space, random, asked.subnets, by="choice")
    if job.coupled:
        rows = couple_rows(space, rows)
    found = [decisions_of(space, row) for row in rows]
    if asked.sampling == "sandwich":
        found[:2] = [{choice.name: choice.options[place] for choice in space.choices} for place in (-1, 0)]
    names = [choice.name for choice in space.choices if dimension_of(choice) == "resolution"]
    side = {name: decisions_of(space, rows[0])[name] for name in names}
    return [{**chosen, **side} for chosen in found]


def side_of(job: SupernetJob, phase: int, step: int) -> int:
    """The side of a step's images, in pixels.

    Images are made at that size, as they will be when a subnet is used: images of the largest size that are shrunk
    once more would be softer.
    """
    return job.spaces[phase].network(drawn(job, phase, step)[0]).resolution


def decisions_of(space: Space, row: Encoding) -> dict[str, Option]:
    """What a row of a space decides."""
    return {
        choice.name: choice.options[number]
        for choice, number in zip(space.choices, row.tolist(), strict=True)
        if number != ABSENT
    }


def taught(job: SupernetJob, state: SupernetState, images: Tensor) -> Tensor | None:
    """The scores of a teacher that does not learn from this step; None without one.

    Its batch norms use the batch's own statistics, as images come in many sizes.

    Source: Once-for-All, released code.
    """
    teacher = job.phases[state.phase].teacher
    scores: Tensor | None = None
    with torch.no_grad():
        if teacher == "average":
            scores = state.average(images, state.largest)
        elif teacher == "largest" and state.teacher is not None:
            for norm in batch_norms(state.teacher):
                norm.training, norm.track_running_stats = True, False
            scores = state.teacher(images)
    return scores


def _average_gradients(job: SupernetJob, state: SupernetState) -> None:
    """The mean of the processes' gradients; all have drawn the same subnets, and so have the same gradients."""
    if job.dist.alone:
        return
    gradients = [weight.grad for weight in state.supernet.parameters() if weight.grad is not None]
    whole = job.dist.all_reduce(torch.cat([each.flatten() for each in gradients])) / job.dist.world_size
    place = 0
    for gradient in gradients:
        gradient.copy_(whole[place : place + gradient.numel()].view_as(gradient))
        place += gradient.numel()


def _add(state: SupernetState, losses: Tensor, right: Tensor) -> None:
    total = losses.detach().sum()
    state.sums[:3] += torch.stack([total, right, total.new_tensor(len(losses))]).double()
