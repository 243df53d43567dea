"""The architecture beside the weights: a distribution over networks that learns from held-out images."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from allometry.data import Augmentation, Batch, batches_per_epoch, train_batches
from allometry.nas.gradient.distribution import Distribution
from allometry.nas.gradient.job import GradientJob
from allometry.nas.gradient.mixed_network import (
    MixedNetwork,
    Mixture,
    OnePath,
    Relaxed,
    TwoPaths,
    draw_path,
    draw_relaxed,
    draw_two_paths,
)
from allometry.nas.gradient.reinforce import blame, one_hot
from allometry.training import Epoch, autocast, label_losses, seed_step, to_input
from allometry.training.distributed import average_gradients
from allometry.training.loop import micro_batches
from allometry.training.task import SUMS, step_sums

_OF_WEIGHTS, _OF_ARCHITECTURE = 2, 3
_LATEST = 0.99  # what the latest rewards count in their running mean, as in ProxylessNAS's released code


class Architecture:
    """The distribution with its optimizer, the updates so far, and the running sums of the epoch.

    Attributes:
        distribution: that is learned.
        updates: of it, so far.
        baseline: the running mean of the rewards, where there are any.
        sums: losses, correct answers and images of the epoch so far, in this process.
    """

    def __init__(self, job: GradientJob) -> None:
        settings = job.settings
        self._job = job
        self.distribution = Distribution(
            job.choices, spread=settings.spread, seed=job.seed, device=job.device
        )
        self._optimizer = torch.optim.Adam(
            self.distribution.logits,
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
        )
        self.updates = 0
        self.baseline: float | None = None
        self.sums = torch.zeros(SUMS, dtype=torch.float64, device=job.device)

    def mixture(self, epoch: Epoch, step: int) -> Mixture:
        """What a step of the weights computes: one path, or all by how they are mixed."""
        random = np.random.default_rng([self._job.seed, _OF_WEIGHTS, step])
        with torch.no_grad():
            if self._job.settings.way == "gumbel":
                return draw_relaxed(self.distribution, random, temperature=self._temperature(epoch))
            return draw_path(self.distribution, random)

    def learn(self, module: MixedNetwork, batch: Batch, epoch: Epoch) -> None:
        """Let the architecture parameters learn from one held-out batch, the weights standing still."""
        seed_step(self._job.seed, 2 * self.updates + 1, rank=self._job.dist.rank)
        self._optimizer.zero_grad(set_to_none=True)
        if self._job.settings.way == "reinforce":
            self._learn_by_reward(module, batch)
        else:
            self._learn_by_gradient(module, batch, epoch)
        self.updates += 1

    def updates_until(self, epoch: Epoch) -> int:
        """How many updates there are at the end of an epoch, if each held-out image counts once in a warm epoch."""
        job = self._job
        epochs = epoch.number + 1 - job.settings.warmup_epochs(len(job.epochs))
        return max(0, epochs) * batches_per_epoch(job.splits[1], self._held_size)

    def _learn_by_reward(self, module: MixedNetwork, batch: Batch) -> None:
        """Make members likelier that are worth more than the average of late, and others less likely."""
        job, distribution = self._job, self.distribution
        options = distribution.draw(job.settings.members, self._random())
        rewards = np.array([self._reward(module, batch, tuple(member)) for member in options.tolist()])
        mean = float(rewards.mean())
        known = mean if self.baseline is None else self.baseline
        self.baseline = known + _LATEST * (mean - known)
        blame(distribution, options, rewards - self.baseline)
        self._optimizer.step()

    def _reward(self, module: MixedNetwork, batch: Batch, options: tuple[int, ...]) -> float:
        """What a member is worth on a batch, the same in every process."""
        job, sums = self._job, torch.zeros_like(self.sums)
        for part in micro_batches(batch, job.recipe.execution.micro_batch):
            with torch.no_grad(), autocast(job.recipe, job.device):
                logits = module(to_input(part.images, job.preprocessing, job.device), OnePath(options))
            losses, labels = label_losses(logits, part, job.recipe.loss.plain())
            sums += step_sums(losses, logits, labels)
        self.sums += sums
        _, correct, images = job.dist.all_reduce(sums)
        accuracy = correct / images
        if job.expected_cost is None:
            return float(accuracy)
        cost = job.expected_cost(one_hot(self.distribution, options))
        unit = job.expected_cost.cost.unit
        return float(job.settings.cost_loss.reward(accuracy, cost, unit=unit))

    def _learn_by_gradient(self, module: MixedNetwork, batch: Batch, epoch: Epoch) -> None:
        job, distribution = self._job, self.distribution
        mixture = self._comparison(epoch)
        with _standing(module):
            for number, part in enumerate(micro_batches(batch, job.recipe.execution.micro_batch)):
                if number and isinstance(mixture, Relaxed):
                    mixture = self._comparison(epoch)  # drawn likewise; each part has a way back of its own
                self._learn_from(module, part, mixture)
        if isinstance(mixture, TwoPaths):
            pass_on(distribution, mixture)
        average_gradients(job.dist, distribution.logits)
        if isinstance(mixture, TwoPaths):
            before = _pair_logsumexp(distribution, mixture)
            self._optimizer.step()
            _restore_pairs(distribution, mixture, before)
        else:
            self._optimizer.step()

    def held_batches(self) -> Generator[Batch]:
        """Held-out batches without end, as they are seen in evaluation but in random order, from the next one on."""
        job, (_, split) = self._job, self._job.splits
        number, start = divmod(self.updates, batches_per_epoch(split, self._held_size))
        while True:
            yield from train_batches(
                split,
                resolution=job.preprocessing.resolution,
                batch_size=self._held_size,
                augmentation=Augmentation(),
                seed=job.seed,
                epoch=number,
                start=start,
                workers=job.workers,
                rank=job.dist.rank,
                world_size=job.dist.world_size,
            )
            number, start = number + 1, 0

    def expected_cost(self) -> float | None:
        """The expected cost of the distribution; None where no cost counts."""
        if self._job.expected_cost is None:
            return None
        with torch.no_grad():
            return float(self._job.expected_cost(self.distribution.probabilities()))

    def weights(self) -> dict[str, Tensor]:
        """The logits, by names that no module has."""
        return {f"architecture.{n}": decision.detach() for n, decision in enumerate(self.distribution.logits)}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take back what `weights` gave, and leave the rest."""
        with torch.no_grad():
            for number, logits in enumerate(self.distribution.logits):
                logits.copy_(weights[f"architecture.{number}"])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs; all processes must call it."""
        return {
            "weights": self.weights(),
            "optimizer": self._optimizer.state_dict(),
            "updates": self.updates,
            "baseline": self.baseline,
            "sums": self._job.dist.all_reduce(self.sums).cpu(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.load_weights(state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.updates, self.baseline = state["updates"], state["baseline"]
        if self._job.dist.is_main:  # it has the sums of all
            self.sums = state["sums"].to(self.sums)

    @property
    def _held_size(self) -> int:
        return min(self._job.recipe.batch_size, len(self._job.splits[1]))

    def _temperature(self, epoch: Epoch) -> float:
        return self._job.settings.temperature(epoch.number, len(self._job.epochs))

    def _comparison(self, epoch: Epoch) -> Relaxed | TwoPaths:
        """What the next update computes, the same in every process."""
        if self._job.settings.way == "gumbel":
            return draw_relaxed(self.distribution, self._random(), temperature=self._temperature(epoch))
        return draw_two_paths(self.distribution, self._random())

    def _random(self) -> np.random.Generator:
        """The chance of the next update, the same in every process."""
        return np.random.default_rng([self._job.seed, _OF_ARCHITECTURE, self.updates])

    def _learn_from(self, module: MixedNetwork, batch: Batch, mixture: Relaxed | TwoPaths) -> None:
        """Add the gradients of a batch or a part of it; the cost counts by its share of the whole."""
        job = self._job
        with autocast(job.recipe, job.device):
            logits = module(to_input(batch.images, job.preprocessing, job.device), mixture)
        losses, labels = label_losses(logits, batch, job.recipe.loss.plain())
        total = losses.mean()
        if job.expected_cost is not None:
            relaxed = isinstance(mixture, Relaxed)
            weights: Sequence[Tensor] = mixture.weights if relaxed else self.distribution.probabilities()
            total = job.settings.cost_loss(
                total, job.expected_cost(weights), unit=job.expected_cost.cost.unit
            )
        if total.requires_grad:  # not where neither a gate is open nor a cost counts
            torch.autograd.backward(total * (job.dist.world_size * len(losses) / self._held_size))
        self.sums += step_sums(losses, logits, labels)


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
        pair = logits[[active, other]].softmax(0)
        torch.autograd.backward((pair * gates.grad[[active, other]]).sum())


@contextmanager
def _standing(module: MixedNetwork) -> Generator[None]:
    """Within, the weights do not learn."""
    learning = [weight for weight in module.parameters() if weight.requires_grad]
    _set(learning, learns=False)
    try:
        yield
    finally:
        _set(learning, learns=True)


def _set(weights: Sequence[Tensor], *, learns: bool) -> None:
    for weight in weights:
        weight.requires_grad_(learns)


def _pair_logsumexp(distribution: Distribution, mixture: TwoPaths) -> list[Tensor]:
    """The logarithm of the two options' exponentials' sum, for each decision."""
    return [
        logits.detach()[[active, active if other is None else other]].logsumexp(0)
        for logits, active, other in zip(distribution.logits, mixture.active, mixture.other, strict=True)
    ]


def _restore_pairs(distribution: Distribution, mixture: TwoPaths, before: list[Tensor]) -> None:
    """Shift the two logits so that together they are as probable as before: nothing was learned of the others.

    Source: ProxylessNAS (Cai et al. 2019), section 3.2.1.
    """
    with torch.no_grad():
        for logits, active, other, was, now in zip(
            distribution.logits,
            mixture.active,
            mixture.other,
            before,
            _pair_logsumexp(distribution, mixture),
            strict=True,
        ):
            if other is not None:
                logits[[active, other]] += was - now
