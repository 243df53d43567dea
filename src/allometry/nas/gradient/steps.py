"""The two kinds of step: one of the weights, one of the architecture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from allometry.data import Batch
from allometry.nas.gradient.distribution import Distribution
from allometry.nas.gradient.job import GradientJob
from allometry.nas.gradient.mixed_network import (
    Mixture,
    Relaxed,
    TwoPaths,
    draw_path,
    draw_relaxed,
    draw_two_paths,
)
from allometry.nas.gradient.state import GradientState
from allometry.training import Epoch, autocast, cross_entropy, learning_rate, seed_step, to_input

_OF_WEIGHTS, _OF_ARCHITECTURE = 2, 3


def step_weights(job: GradientJob, state: GradientState, epoch: Epoch, batch: Batch) -> None:
    """Let the weights learn from one batch: those of one path, or all by how they are mixed.

    The cost is left out of their loss: for the weights it is a constant factor, or a constant.
    """
    recipe = job.recipe
    rate = learning_rate(recipe, epoch, state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["scale"]
    # Steps of the weights have even numbers, those of the architecture odd ones.
    seed_step(job.seed, 2 * state.step)
    random = np.random.default_rng([job.seed, _OF_WEIGHTS, state.step])
    state.optimizer.zero_grad(set_to_none=True)  # what is not on the path does not even decay
    with torch.no_grad():
        mixture = _mixture(job, state.distribution, epoch, random)
    losses, right = _losses(job, state, batch, mixture, smoothing=recipe.label_smoothing)
    losses.mean().backward()  # type: ignore[no-untyped-call]
    if recipe.clip:
        nn.utils.clip_grad_norm_(state.supernet.parameters(), recipe.clip)
    state.optimizer.step()
    state.step += 1
    _add(state, 0, losses, right)


def step_architecture(job: GradientJob, state: GradientState, epoch: Epoch, batch: Batch) -> None:
    """Let the architecture parameters learn from one held-out batch, the weights standing still."""
    seed_step(job.seed, 2 * state.updates + 1)
    random = np.random.default_rng([job.seed, _OF_ARCHITECTURE, state.updates])
    distribution = state.distribution
    mixture: Relaxed | TwoPaths
    if job.settings.way == "gumbel":
        mixture = draw_relaxed(distribution, random, temperature=_temperature(job, epoch))
        weights = mixture.weights
    else:
        mixture = draw_two_paths(distribution, random)
        weights = distribution.probabilities()
    state.architect.zero_grad(set_to_none=True)
    state.supernet.requires_grad_(False)
    try:
        losses, right = _losses(job, state, batch, mixture, smoothing=0.0)
        total = losses.mean()
        if job.expected_cost is not None:
            total = job.settings.cost_loss(
                total, job.expected_cost(weights), unit=job.expected_cost.cost.unit
            )
        if total.requires_grad:  # not where neither a gate is open nor a cost counts
            total.backward()  # type: ignore[no-untyped-call]
    finally:
        state.supernet.requires_grad_(True)
    if isinstance(mixture, TwoPaths):
        pass_on(distribution, mixture)
        before = _shares(distribution, mixture)
        state.architect.step()
        _restore_shares(distribution, mixture, before)
    else:
        state.architect.step()
    state.updates += 1
    _add(state, 1, losses, right)


def pass_on(distribution: Distribution, mixture: TwoPaths) -> None:
    """Add to the logits' gradients what the gates have gathered.

    With q the softmax of the two logits and g the gates: dL/dlogit_i = sum over j of dL/dg_j * q_j * (delta_ij - q_i).

    Source: ProxylessNAS (Cai et al. 2019), section 3.2.1, over the two paths.
    """
    for logits, active, other, gates in zip(
        distribution.logits, mixture.active, mixture.other, mixture.weights, strict=True
    ):
        if other is None or gates.grad is None:
            continue
        shares = logits[[active, other]].softmax(0)
        (shares * gates.grad[[active, other]]).sum().backward()  # type: ignore[no-untyped-call]


def _shares(distribution: Distribution, mixture: TwoPaths) -> list[Tensor]:
    """The logarithm of the two options' exponentials' sum, for each decision."""
    return [
        logits.detach()[[active, active if other is None else other]].logsumexp(0)
        for logits, active, other in zip(distribution.logits, mixture.active, mixture.other, strict=True)
    ]


def _restore_shares(distribution: Distribution, mixture: TwoPaths, before: list[Tensor]) -> None:
    """Shift the two logits so that together they are as probable as before: nothing was learned of the others.

    Source: ProxylessNAS (Cai et al. 2019), section 3.2.1.
    """
    with torch.no_grad():
        for logits, active, other, was, now in zip(
            distribution.logits,
            mixture.active,
            mixture.other,
            before,
            _shares(distribution, mixture),
            strict=True,
        ):
            if other is not None:
                logits[[active, other]] += was - now


def _mixture(
    job: GradientJob, distribution: Distribution, epoch: Epoch, random: np.random.Generator
) -> Mixture:
    """What the weights' step computes."""
    if job.settings.way == "gumbel":
        return draw_relaxed(distribution, random, temperature=_temperature(job, epoch))
    return draw_path(distribution, random)


def _temperature(job: GradientJob, epoch: Epoch) -> float:
    return job.settings.temperature(epoch.number, len(job.epochs))


def _losses(
    job: GradientJob, state: GradientState, batch: Batch, mixture: Mixture, *, smoothing: float
) -> tuple[Tensor, Tensor]:
    """The loss of each image [N], and how many answers were right."""
    with autocast(job.recipe, job.device):
        scores = state.supernet(to_input(batch.images, job.preprocessing, job.device), mixture)
    losses, labels = cross_entropy(scores, batch, label_smoothing=smoothing)
    return losses, (scores.detach().argmax(1) == labels).sum()


def _add(state: GradientState, which: int, losses: Tensor, right: Tensor) -> None:
    total = losses.detach().sum()
    state.sums[which] += torch.stack([total, right, total.new_tensor(len(losses))]).double()
