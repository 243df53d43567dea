"""From a learned distribution to one network."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from allometry.base import BudgetError
from allometry.base.checks import check_integer
from allometry.nas.encodings import Encodings
from allometry.nas.gradient.choices import Options
from allometry.nas.gradient.distribution import Distribution

_FLATNESS = (1.0, 2.0, 4.0, 8.0, 1e9)  # the last draws every option alike


class Derived(NamedTuple):
    """The network that a distribution stands for.

    Attributes:
        encoding: of the space, [choices].
        budgeted: whether the most probable options, or networks that were drawn, exceeded the budget, so that it is
            another network.
        score: the logarithm of the probability of its decisions.

    Example:
        >>> from allometry.catalog import find_space
        >>> from allometry.nas.gradient import choices_of
        >>> derived = derive(Distribution(choices_of(find_space("fbnet"))))
        >>> derived.budgeted, derived.encoding.shape
        (False, (28,))
    """

    encoding: npt.NDArray[np.int8]
    budgeted: bool
    score: float


def derive(
    distribution: Distribution,
    *,
    allows: Callable[[Encodings], npt.NDArray[np.bool_]] | None = None,
    seed: int = 0,
    draws: int = 20_000,
) -> Derived:
    """The network of the most probable options, or the most probable one found that a hard budget allows.

    Where the budget excludes the former, networks are drawn from the distribution, and from ever flatter ones; the
    smallest is among them. The best by the learned probability is taken, and improved as long as one decision can be
    changed for a likelier one within the budget.

    Args:
        distribution: that was learned.
        allows: which encodings the budget allows; None for no budget.
        seed: of the draws.
        draws: from each of the distributions.

    Raises:
        BudgetError: none of those found is allowed.

    Source: ProxylessNAS (Cai et al. 2019), section 3.2 (the most probable path).

    Example:
        >>> from allometry.nas.gradient import Distribution, choices_of
        >>> from allometry.catalog import find_space
        >>> even = Distribution(choices_of(find_space("fbnet")))
        >>> derive(even).budgeted, derive(even, allows=lambda encodings: encodings[:, 0] == 1, draws=10).budgeted
        (False, True)
    """
    choices = distribution.choices
    mode = np.array([distribution.mode()])
    if allows is None or allows(choices.encodings(mode))[0]:
        return Derived(choices.encodings(mode)[0], budgeted=False, score=float(distribution.scores(mode)[0]))
    random = np.random.default_rng([seed, 4])
    drawn = [distribution.draw(draws, random, flatness=flatness) for flatness in _FLATNESS]
    options = np.unique(np.concatenate([np.zeros_like(mode), *drawn]), axis=0)
    options = options[allows(choices.encodings(options))]
    if not len(options):
        raise BudgetError(
            f"Of {draws * len(_FLATNESS):,} networks drawn from {choices.space!r}, and its smallest, none is within "
            "the budget; raise it, or take another space."
        )
    best, score = _best(distribution, options)
    while True:
        near = _neighbors(distribution, best)
        improved, higher = _best(distribution, near[allows(choices.encodings(near))])
        if higher <= score:
            return Derived(choices.encodings(best[None])[0], budgeted=True, score=score)
        best, score = improved, higher


def sample(
    distribution: Distribution,
    number: int,
    *,
    allows: Callable[[Encodings], npt.NDArray[np.bool_]] | None = None,
    seed: int = 0,
    draws: int = 20_000,
) -> tuple[Derived, ...]:
    """Different networks that are drawn by the learned probabilities, in the order of drawing.

    What a hard budget excludes is drawn again. There are fewer than wanted if no others come up, and where none does,
    the one that `derive` gives.

    Args:
        distribution: that was learned.
        number: of networks, at most.
        allows: which encodings the budget allows; None for no budget.
        seed: of the draws.
        draws: at most.

    Raises:
        InputError: `number` is below 1.
        BudgetError: no network that the budget allows was found.

    Source: FBNet (Wu et al. 2019), section 3.3: several architectures are sampled, trained, and the best is taken.

    Example:
        >>> from allometry.catalog import find_space
        >>> from allometry.nas.gradient import choices_of
        >>> even = Distribution(choices_of(find_space("fbnet")))
        >>> len(sample(even, 6)), len({derived.encoding.tobytes() for derived in sample(even, 6)})
        (6, 6)
    """
    check_integer("number", number, minimum=1)
    choices = distribution.choices
    options = distribution.draw(draws, np.random.default_rng([seed, 5]))
    encodings = choices.encodings(options)
    _, first = np.unique(encodings, axis=0, return_index=True)
    places = np.sort(first)
    allowed = np.ones(len(places), np.bool_) if allows is None else allows(encodings[places])
    taken = places[allowed][:number]
    if not len(taken):
        return (derive(distribution, allows=allows, seed=seed, draws=draws),)
    left_out = not allowed[places <= taken[-1]].all()
    scores = distribution.scores(options[taken])
    return tuple(
        Derived(encodings[place], budgeted=left_out, score=float(score))
        for place, score in zip(taken, scores, strict=True)
    )


def _best(distribution: Distribution, options: Options) -> tuple[npt.NDArray[np.int64], float]:
    """The most probable of some members [N, decisions], and its score."""
    scores = distribution.scores(options)
    place = int(scores.argmax())
    return options[place], float(scores[place])


def _neighbors(distribution: Distribution, options: npt.NDArray[np.int64]) -> Options:
    """A member and all that differ from it in one decision, [N, decisions]."""
    members = [options]
    for place, decision in enumerate(distribution.choices.decisions):
        for option in range(len(decision.options)):
            other = options.copy()
            other[place] = option
            members.append(other)
    return np.stack(members)
