"""What of the supernet one step computes: a path, two paths with binary gates, or a mixture of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from allometry.nas.gradient.distribution import Distribution


@dataclass(frozen=True, slots=True)
class OnePath:
    """One member.

    Attributes:
        options: the number of the option of each decision.
    """

    options: tuple[int, ...]

    def kept(self, decision: int) -> tuple[int, ...]:
        """The options of a decision that are computed."""
        return (self.options[decision],)


@dataclass(frozen=True, slots=True)
class TwoPaths:
    """Of each decision two options with binary gates: that of the active one is 1, the other's 0.

    Attributes:
        active: the option that is taken.
        other: the one that is compared with it; None where there is none.
        weights: the gates of each decision's options, [options] each, which gather gradients.
    """

    active: tuple[int, ...]
    other: tuple[int | None, ...]
    weights: tuple[Tensor, ...]

    def kept(self, decision: int) -> tuple[int, ...]:
        """The options of a decision that are computed, the active one first."""
        other = self.other[decision]
        return (self.active[decision],) if other is None else (self.active[decision], other)


@dataclass(frozen=True, slots=True)
class Relaxed:
    """All members, mixed in every layer.

    Attributes:
        weights: of each decision's options, [options] each, with a sum of 1.
    """

    weights: tuple[Tensor, ...]

    def kept(self, decision: int) -> tuple[int, ...]:
        """The options of a decision that are computed."""
        return tuple(range(len(self.weights[decision])))


Mixture = OnePath | TwoPaths | Relaxed


def draw_path(distribution: Distribution, random: np.random.Generator) -> OnePath:
    """One member by the distribution."""
    return OnePath(tuple(_ranked(logs, random)[0] for logs in distribution.log_probabilities()))


def draw_two_paths(distribution: Distribution, random: np.random.Generator) -> TwoPaths:
    """Of each decision two different options by the distribution, and which of the two is active.

    Source: ProxylessNAS (Cai et al. 2019), section 3.2.1.
    """
    active: list[int] = []
    other: list[int | None] = []
    gates: list[Tensor] = []
    for logs, logits in zip(distribution.log_probabilities(), distribution.logits, strict=True):
        first, *rest = _ranked(logs, random)[:2]
        beside = rest[0] if rest else None
        if beside is not None:
            # The pair is drawn; which of them is active is drawn again, by their probabilities alone.
            share = np.exp(logs[first] - np.logaddexp(logs[first], logs[beside]))
            if random.random() >= share:
                first, beside = beside, first
        gate = torch.zeros_like(logits, requires_grad=False)
        gate[first] = 1
        active.append(first)
        other.append(beside)
        gates.append(gate.requires_grad_(beside is not None))
    return TwoPaths(tuple(active), tuple(other), tuple(gates))


def draw_relaxed(distribution: Distribution, random: np.random.Generator, *, temperature: float) -> Relaxed:
    """The Gumbel softmax of each decision: a draw that the architecture parameters can be blamed for.

    Source: FBNet (Wu et al. 2019), section 3.3; Jang et al. 2017.
    """
    weights = []
    for logits in distribution.logits:
        noise = torch.from_numpy(random.gumbel(size=len(logits))).to(logits)
        weights.append(((logits + noise) / temperature).softmax(0))
    return Relaxed(tuple(weights))


def _ranked(logs: npt.NDArray[np.float64], random: np.random.Generator) -> list[int]:
    """All options, drawn one after the other without putting back: the order of their noisy logarithms."""
    order: list[int] = np.argsort(-(logs + random.gumbel(size=len(logs))), kind="stable").tolist()
    return order
