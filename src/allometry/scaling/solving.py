"""Solving for a budget: the largest network of a law that fits.

Rounding makes the networks of a law a staircase: channels come in eights, layers and pixels in ones. So the
answer is sought in three steps, from coarse to fine: the largest phi that fits; then depth, width and resolution
apart, in a neighborhood of that phi; then, where the nearest of those leave more than half a percent of the
budget unused, single layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from allometry.arch import Network, Stage, depth_exponents
from allometry.base import BudgetError, InputError
from allometry.cost import Budget, Cost, Expectation, Limit, MeasureFn, Pricing, Readings, as_budget, count
from allometry.cost.measurements import is_read, read_with
from allometry.scaling.laws import COMPOUND, IDENTITY, Multipliers, ScalingLaw
from allometry.scaling.neighborhood import Grower, best_near

_DEEPEST = 600.0  # the logarithm of a multiplier that a float still holds, with room for a start
_LARGEST = 1e4  # a multiplier beyond this is no network any more
_AIM = (
    0.98  # of what is measured: in the middle of what is near enough, for readings differ by a percent or two
)
_NEAR_ENOUGH = 0.965
_FULL = 0.995  # what was read to use more than this may as well use more than all
_MOST_READINGS = 12
_NEARLY = 0.95  # of a budget: as near as this, the largest network of a law that stops growing is an answer


@dataclass(frozen=True, slots=True)
class Solution:
    """The largest network found within a budget.

    Attributes:
        network: the network; its cost is within the budget.
        cost: `count(network)`, of a backbone without its head, with what was measured.
        budget: its limits.
        law: by which it was grown.
        phi: the largest phi whose network fits; the solution lies in its neighborhood.
        multipliers: depth, width and resolution against the network that was grown; of all depths that
            round to these layers, the largest.
        use: the largest fraction of a limit that is taken, at most 1.

    Example:
        >>> from allometry.catalog import get
        >>> solution = solve(get("efficientnet-b0"), "macs<=1G")
        >>> str(solution.budget), solution.law == COMPOUND, solution.network.resolution > 224
        ('macs <= 1.00G', True, True)
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
    start: Multipliers = IDENTITY,
    largest_resolution: int | None = None,
    measure: MeasureFn | None = None,
    features_only: bool = False,
) -> Solution:
    """Find the largest network within `budget` that `law` grows, or shrinks, from `network`.

    Never over a limit. Usually less than 1 % under the tightest one: see the accuracy of `solve` in the
    documentation. A limit of latency needs `measure`, and is met to a few percent by measuring some networks; so is one
    of memory where `measure` is given, and one of a measure that has a function of its own.

    Args:
        network: what to grow or shrink.
        budget: limits, or their text; in text, `4x` means four times the MACs of `network`.
        law: in what proportion to grow.
        start: multipliers that `network` is taken to have before the law is applied. Growing on from an
            earlier solution's multipliers rounds once, where growing its network would round twice.
        largest_resolution: the resolution stops growing here; depth and width go on. Where the law grows nothing
            else, the network at this resolution is the answer to budgets of which it uses 95 % or more.
        measure: says what a network takes on a device, by the names of measures, such as `profiling.LatencyMeter()`.
        features_only: the budget is that of a backbone: `count(network, features_only=True)`, without the head.

    Raises:
        BudgetError: no network of the law is that small (the message names the smallest reachable value), or
            the law changes nothing that the budget limits, or it limits a latency without `measure`.
        InputError: `features_only` with `measure`, which would measure the head, too.

    Source: EfficientNet (Tan & Le 2019), equation 2.

    Example:
        >>> from allometry.catalog import get
        >>> solution = solve(get("efficientnet-b0"), "macs<=1G, params<=10M")
        >>> solution.cost.macs <= 10**9, solution.cost.params <= 10**7, solution.use > 0.98
        (True, True, True)
        >>> solve(get("efficientnet-b0"), "1k")
        Traceback (most recent call last):
            ...
        allometry.base.errors.BudgetError: No network of this law meets macs <= 1.00k: the smallest has ...
    """
    price: Pricing = partial(count, features_only=True) if features_only else count
    budget = as_budget(budget, price(network))
    problem = _Problem(network, law, start, largest_resolution)
    read = read_with(budget.measures, measure)
    if read is None:
        return _named(_solve(problem, budget, price), network)
    if features_only:
        raise InputError(
            f"The budget {budget} of a backbone is counted, but only whole networks are measured: limit its macs, "
            "params, activations or memory, and leave measure out."
        )
    limits = [limit for limit in budget.limits if is_read(limit.measure, measure)]
    counted = tuple(limit for limit in budget.limits if limit not in limits)
    if counted:  # an impossible one is told before anything is measured
        _refuse_impossible(problem, Budget(counted), count)
    grow = problem.grower()
    solution = solve_by_measuring(
        lambda aim, price: _solve(problem, aim, price),
        budget,
        measured=limits,
        first=grow(law.multipliers(0, start)),
        smallest=grow(_floor(law, start)),
        read=read,
    )
    return _named(solution, network)


@dataclass(frozen=True, slots=True)
class _Problem:
    """What is grown, and how."""

    network: Network
    law: ScalingLaw
    start: Multipliers
    largest_resolution: int | None

    def grower(self) -> Grower:
        return Grower.of(self.network, self.law, self.largest_resolution)


def _solve(problem: _Problem, budget: Budget, price: Pricing) -> Solution:
    network, law = problem.network, problem.law
    grow = problem.grower()
    _refuse_impossible(problem, budget, price)
    phi = _largest_phi(problem, budget, grow, price)
    center = law.multipliers(phi, problem.start)
    if not budget.allows(price(grow(center))):
        center = _floor(law, problem.start)  # every layer rounds to its least there, and that is known to fit
    best = best_near(network, budget, law, center, grow, price)
    multipliers = best.multipliers._replace(depth=_fullest_depth(network, best.network, law))
    return Solution(best.network, best.cost, budget, law, phi, multipliers, best.use)


def _named(solution: Solution, network: Network) -> Solution:
    name = f"{network.name} within {solution.budget}".strip()
    return replace(solution, network=replace(solution.network, name=name))


def smallest(network: Network, *, law: ScalingLaw = COMPOUND, start: Multipliers = IDENTITY) -> Network:
    """The smallest network that `law` can shrink `network` to.

    One layer in each stage, one multiple of channels, one pixel in the last feature map; dimensions that the law
    leaves alone stay.

    Example:
        >>> from allometry.catalog import get
        >>> network_ = smallest(get("efficientnet-b0"))
        >>> network_.depth, network_.stem.channels, network_.resolution
        (7, 8, 32)
    """
    return Grower.of(network, law, None)(_floor(law, start))


def _floor(law: ScalingLaw, start: Multipliers) -> Multipliers:
    """Multipliers so small that whatever the law changes rounds to its least."""
    coefficients = (law.alpha, law.beta, law.gamma)
    return Multipliers(
        *(1e-9 if factor > 1 else kept for factor, kept in zip(coefficients, start, strict=True))
    )


def _refuse_impossible(problem: _Problem, budget: Budget, price: Pricing) -> None:
    smallest_network = smallest(problem.network, law=problem.law, start=problem.start)
    largest_resolution = problem.largest_resolution
    if largest_resolution is not None and largest_resolution < smallest_network.resolution:
        raise BudgetError(
            f"The largest resolution {largest_resolution} is below the smallest one of this network, "
            f"{smallest_network.resolution}; take strides out of it first."
        )
    cost = price(smallest_network)
    for limit in budget.limits:
        value, measure = limit.value(cost), limit.measure
        if not limit.allows(value):
            exactly = f" ({value:,.0f})" if measure.unit.whole else ""
            raise BudgetError(
                f"No network of this law meets {limit}: the smallest has {measure.name} "
                f"{measure.format(value)}{exactly}. Raise the budget or start from a smaller network."
            )


def _largest_phi(problem: _Problem, budget: Budget, grow: Grower, price: Pricing) -> float:
    law = problem.law

    def fits(phi: float) -> bool:
        return budget.allows(price(grow(law.multipliers(phi, problem.start))))

    growing = [math.log(coefficient) for coefficient in (law.alpha, law.beta, law.gamma) if coefficient > 1]
    # Upwards the fastest dimension ends the search, downwards the slowest, which reaches its floor last.
    high = math.log(_LARGEST) / max(growing)
    low = -min(math.log(_LARGEST) / min(growing), _DEEPEST / max(growing))
    if not fits(low):
        return low
    if fits(high):
        largest = grow(law.multipliers(high, problem.start))
        if budget.use(price(largest)) < _NEARLY:
            raise _never_reached(problem, budget, law.multipliers(high, problem.start), price)
        return _bisected(low, high, lambda phi: grow(law.multipliers(phi, problem.start)) != largest)
    return _bisected(low, high, fits)


def _bisected(low: float, high: float, still: Callable[[float], bool]) -> float:
    """The largest phi between `low` and `high` up to which `still` is true."""
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if still(middle) else (low, middle)
    return low


def _never_reached(
    problem: _Problem, budget: Budget, multipliers: Multipliers, price: Pricing
) -> BudgetError:
    """Why the law reaches no network of that size: its resolution stops, or it changes something else."""
    name = problem.network.name or "this network"
    free = Grower.of(problem.network, replace(problem.law, largest_resolution=None), None)
    if not budget.allows(price(free(multipliers))):
        largest = problem.grower()(multipliers)
        cost, images = price(largest), problem.largest_resolution == largest.resolution
        reached = ", ".join(
            f"{limit.measure.name} {limit.measure.format(limit.value(cost))}" for limit in budget.limits
        )
        return BudgetError(
            f"The budget {budget} is not reached: the resolution stops at {largest.resolution} px"
            f"{', as large as the images are' * images}, where {name} has {reached}, and this law grows nothing else "
            f"enough. Take a smaller budget{', larger images' * images} or a law that grows depth or width, too."
        )
    limited = ", ".join(measure.name for measure in budget.measures)
    return BudgetError(
        f"The budget {budget} is not reached by growing {name} even {_LARGEST:g} times in each dimension: this law "
        f"does not change {limited} enough. Limit another measure or take another law."
    )


def _fullest_depth(network: Network, grown: Network, law: ScalingLaw) -> float:
    """The largest depth multiplier that gives no stage more layers than it has in `grown`.

    A fifth of four layers is one layer, as is a quarter: growing on from the quarter, no step is lost.
    """
    exponents = depth_exponents(network, law.late_stage_bias)
    shares = [
        (_layers(large) / _layers(small)) ** (1 / exponent)
        for small, large, exponent in zip(network.groups, grown.groups, exponents, strict=True)
        if small[0].deepens
    ]
    return min(shares, default=1.0)


def _layers(group: tuple[Stage, ...]) -> int:
    return sum(stage.repeats for stage in group)


def solve_by_measuring(
    solve: Callable[[Budget, Pricing], Solution],
    budget: Budget,
    *,
    measured: Sequence[Limit],
    first: Network,
    smallest: Network,
    read: MeasureFn,
) -> Solution:
    """The largest network whose readings are within the budget, to a few percent.

    Args:
        solve: for a budget, by what networks are expected to cost.
        budget: with limits of what is measured.
        measured: these limits.
        first: a network to begin with, of the kind that is sought.
        smallest: the smallest one of that kind.
        read: measures a network.

    Raises:
        BudgetError: not even the smallest is within the budget, or the law does not reach it.
        MeasurementError: a reading is not a positive number.
    """
    aim = Budget(tuple(_tightened(limit) if limit in measured else limit for limit in budget.limits))
    networks, fitting = [first], dict[Network, Solution]()
    read(first)
    while len(networks) < _MOST_READINGS:
        readings = {network: read(network) for network in networks}
        expect = Expectation(readings, budget.measures)
        try:
            solution = solve(aim, expect)
        except BudgetError:
            if aim.allows(expect(smallest)):
                raise  # it is not too small a budget: the law does not reach it
            if smallest in readings:
                break
            networks.append(smallest)
            continue
        if solution.network not in readings:
            networks.append(solution.network)
        settled = solution.network in readings
        cost = cost_with(solution.network, read(solution.network))
        solution = replace(solution, cost=cost, budget=budget, use=budget.use(cost))
        if budget.allows(cost):
            fitting[solution.network] = solution
            if settled or _NEAR_ENOUGH <= solution.use <= _FULL:
                break
    if not fitting:  # only the smallest is left
        return _smallest(solve, budget, measured, smallest, read)
    return max(fitting.values(), key=lambda candidate: candidate.use)


def _smallest(
    solve: Callable[[Budget, Pricing], Solution],
    budget: Budget,
    measured: Sequence[Limit],
    smallest: Network,
    read: MeasureFn,
) -> Solution:
    """The smallest network as the solution, or the refusal that tells what it took."""
    cost = cost_with(smallest, read(smallest))
    if not budget.allows(cost):
        raise _impossible(budget, cost)
    worst = {limit.measure.name: math.inf if limit.measure.sign > 0 else 0.0 for limit in measured}
    beyond = cost.with_readings(worst)
    solution = solve(budget, lambda network: cost if network == smallest else beyond)
    return replace(solution, network=smallest, cost=cost, use=budget.use(cost))


def cost_with(network: Network, readings: Readings) -> Cost:
    """The counted cost, with what was measured."""
    return count(network).with_readings(readings)


def _tightened(limit: Limit) -> Limit:
    """What is aimed at, so that a reading of a little more still keeps the limit."""
    return replace(limit, most=limit.most * _AIM if limit.measure.sign > 0 else limit.most / _AIM)


def _impossible(budget: Budget, cost: Cost) -> BudgetError:
    limit = max(budget.limits, key=lambda limit: limit.use(limit.value(cost)))
    took = limit.measure.format(limit.value(cost))
    return BudgetError(
        f"No network of this law meets {limit}: the smallest took {took} here. Raise the budget or start from a "
        "smaller network."
    )
