"""Solving for a budget: the largest network of a law that fits.

Rounding makes the networks of a law a staircase: channels come in eights, layers and pixels in ones. So the
answer is sought in three steps, from coarse to fine: the largest phi that fits; then depth, width and resolution
apart, in a neighbourhood of that phi; then, where the nearest of those leave more than half a percent of the
budget unused, single layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from allometry.arch import Network, Stage, depth_exponents
from allometry.base import BudgetError
from allometry.cost import Budget, Cost, count, parse_budget
from allometry.cost.budget import show
from allometry.scaling.laws import COMPOUND, UNSCALED, Multipliers, ScalingLaw
from allometry.scaling.neighbourhood import Grower, best_near

_DEEPEST = 600.0  # the logarithm of a multiplier that a float still holds, with room for a start
_LARGEST = 1e4  # a multiplier beyond this is no network any more


@dataclass(frozen=True, slots=True)
class Solution:
    """The largest network found within a budget.

    Attributes:
        network: the network; its cost is within the budget.
        cost: `count(network)`.
        budget: what was asked.
        law: how it was grown.
        phi: the largest phi whose network fits; the solution lies in its neighbourhood.
        multipliers: depth, width and resolution against the network that was grown; of all depths that
            round to these layers, the largest.
        use: the largest share of a limit that is taken, at most 1.
    """

    network: Network
    cost: Cost
    budget: Budget
    law: ScalingLaw
    phi: float
    multipliers: Multipliers
    use: float


def solve(
    network: Network,
    budget: Budget | str,
    *,
    law: ScalingLaw = COMPOUND,
    start: Multipliers = UNSCALED,
    largest_resolution: int | None = None,
) -> Solution:
    """Find the largest network within `budget` that `law` grows, or shrinks, from `network`.

    Never over a limit. Usually less than 1 % under the tightest one: see the accuracy of `solve` in the
    documentation.

    Args:
        network: what to grow or shrink.
        budget: limits, or their text; in text, `4x` means four times the MACs of `network`.
        law: in what proportion to grow.
        start: multipliers that `network` is taken to have before the law is applied. Growing on from an
            earlier solution's multipliers rounds once, where growing its network would round twice.
        largest_resolution: the resolution stops growing here; depth and width go on.

    Raises:
        BudgetError: no network of the law is that small (the message names the smallest reachable value), or
            the law changes nothing that the budget limits.

    Source: EfficientNet (Tan & Le 2019), equation 2.

    Example:
        >>> from allometry.zoo import get
        >>> solution = solve(get("efficientnet-b0"), "macs<=1G, params<=10M")
        >>> solution.cost.macs <= 10**9, solution.cost.params <= 10**7, solution.use > 0.98
        (True, True, True)
        >>> solve(get("efficientnet-b0"), "1k")
        Traceback (most recent call last):
            ...
        allometry.base.errors.BudgetError: No network of this law meets macs <= 1.00k: the smallest has ...
    """
    if isinstance(budget, str):
        budget = parse_budget(budget, count(network))
    grow = Grower.of(network, law, largest_resolution)
    _refuse_impossible(network, budget, law, start, largest_resolution)
    phi = _largest_phi(network, budget, law, start, grow)
    centre = law.multipliers(phi, start)
    if not budget.allows(count(grow(centre))):
        centre = _floor(law, start)  # every layer rounds to its least there, and that is known to fit
    best = best_near(network, budget, law, centre, grow)
    multipliers = best.multipliers._replace(depth=_fullest_depth(network, best.network, law))
    named = replace(best.network, name=f"{network.name} within {budget}".strip())
    return Solution(named, best.cost, budget, law, phi, multipliers, best.use)


def smallest(network: Network, *, law: ScalingLaw = COMPOUND, start: Multipliers = UNSCALED) -> Network:
    """The smallest network that `law` can shrink `network` to.

    One layer in each stage, 8 channels, one pixel in the last feature map; dimensions that the law leaves
    alone stay.

    Example:
        >>> from allometry.zoo import get
        >>> least = smallest(get("efficientnet-b0"))
        >>> least.depth, least.stem.channels, least.resolution
        (7, 8, 32)
    """
    return Grower.of(network, law, None)(_floor(law, start))


def _floor(law: ScalingLaw, start: Multipliers) -> Multipliers:
    """Multipliers so small that whatever the law changes rounds to its least."""
    coefficients = (law.alpha, law.beta, law.gamma)
    return Multipliers(*(1e-9 if each > 1 else kept for each, kept in zip(coefficients, start, strict=True)))


def _refuse_impossible(
    network: Network, budget: Budget, law: ScalingLaw, start: Multipliers, largest_resolution: int | None
) -> None:
    least = smallest(network, law=law, start=start)
    if largest_resolution is not None and largest_resolution < least.resolution:
        raise BudgetError(
            f"The largest resolution {largest_resolution} is below the smallest one of this network, "
            f"{least.resolution}; take strides out of it first."
        )
    cost = count(least)
    for limit in budget.limits:
        value = getattr(cost, limit.measure)
        if value > limit.most:
            raise BudgetError(
                f"No network of this law meets {limit}: the smallest has {limit.measure} "
                f"{show(limit.measure, value)} ({value:,}). Raise the budget or start from a smaller network."
            )


def _largest_phi(
    network: Network, budget: Budget, law: ScalingLaw, start: Multipliers, grow: Grower
) -> float:
    def fits(phi: float) -> bool:
        return budget.allows(count(grow(law.multipliers(phi, start))))

    growing = [math.log(each) for each in (law.alpha, law.beta, law.gamma) if each > 1]
    # Upwards the fastest dimension ends the search, downwards the slowest, which reaches its floor last.
    high = math.log(_LARGEST) / max(growing)
    low = -min(math.log(_LARGEST) / min(growing), _DEEPEST / max(growing))
    if not fits(low):
        return low
    if fits(high):
        limited = ", ".join(limit.measure for limit in budget.limits)
        raise BudgetError(
            f"The budget {budget} is not reached by growing {network.name or 'this network'} even "
            f"{_LARGEST:g} times in each dimension: this law does not change {limited} enough. "
            "Limit another measure or take another law."
        )
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _fullest_depth(network: Network, grown: Network, law: ScalingLaw) -> float:
    """The largest depth multiplier that gives no stage more layers than it has in `grown`.

    A fifth of four layers is one layer, as is a quarter: growing on from the quarter, no step is lost.
    """
    exponents = depth_exponents(network, law.late)
    shares = [
        (_layers(large) / _layers(small)) ** (1 / exponent)
        for small, large, exponent in zip(network.groups, grown.groups, exponents, strict=True)
        if small[0].deepens
    ]
    return min(shares, default=1.0)


def _layers(group: tuple[Stage, ...]) -> int:
    return sum(stage.repeats for stage in group)
