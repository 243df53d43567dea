"""How a distribution learns from what its members are worth, without a gradient of that: REINFORCE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from allometry.nas.encodings import ABSENT
from allometry.nas.gradient.choices import Options
from allometry.nas.gradient.distribution import Distribution


def blame(distribution: Distribution, options: Options, advantages: npt.NDArray[np.float64]) -> None:
    """Set the logits' gradients so that a step makes members with an advantage likelier.

    The gradient is minus the mean over members of advantage * d log p(member) / d logits, where the logarithm's slope
    is 1 for the option that was drawn less the options' probabilities. What a member's depth leaves out had no part in
    its worth and gets no gradient: on average that changes nothing, and takes chance out.

    Args:
        distribution: that learns.
        options: of members that were drawn from it, [N, decisions].
        advantages: what each is worth beyond the average, [N].

    Source: ProxylessNAS (Cai et al. 2019), section 3.3.2; Williams 1992, *Simple statistical gradient-following
    algorithms for connectionist reinforcement learning*.

    Example:
        >>> from allometry.catalog import find_space
        >>> from allometry.nas.gradient import choices_of
        >>> even = Distribution(choices_of(find_space("fbnet")))
        >>> blame(even, even.draw(2, np.random.default_rng(0)), np.array([1.0, -1.0]))
        >>> all(abs(logits.grad.sum().item()) < 1e-6 for logits in even.logits)
        True
    """
    there = distribution.choices.encodings(options) != ABSENT
    places = zip(distribution.choices.decisions, distribution.logits, strict=True)
    for place, (decision, logits) in enumerate(places):
        weights = torch.as_tensor(advantages * there[:, decision.choices[0]]).to(logits)
        drawn = torch.nn.functional.one_hot(torch.as_tensor(options[:, place]), len(logits)).to(logits)
        slopes = drawn - logits.detach().softmax(0)
        logits.grad = -(weights[:, None] * slopes).mean(0)


def one_hot(distribution: Distribution, options: Sequence[int]) -> list[Tensor]:
    """The weights of each decision's options where one member is certain, [options] each.

    Example:
        >>> from allometry.catalog import find_space
        >>> from allometry.nas.gradient import choices_of
        >>> one_hot(Distribution(choices_of(find_space("fbnet"))), [1] * 28)[0].tolist()
        [0.0, 1.0]
    """
    weights = []
    for logits, option in zip(distribution.logits, options, strict=True):
        weight = torch.zeros_like(logits, requires_grad=False)
        weight[option] = 1
        weights.append(weight)
    return weights
