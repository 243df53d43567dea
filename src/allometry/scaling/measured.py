"""Solving where a device has the say: expect, solve, measure what came out, and expect better."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace

from allometry.arch import Network
from allometry.base import BudgetError
from allometry.cost import MEASURED, Budget, Cost, Expectation, Limit, MeasureFn, Measurement, Pricing, count
from allometry.cost.budget import format_measure
from allometry.scaling.solution import Solution

_AIM = (
    0.98  # of what is measured: in the middle of what is near enough, for readings differ by a percent or two
)
_NEAR_ENOUGH = 0.965
_FULL = 0.995  # what was read to use more than this may as well use more than all
_MOST_READINGS = 12


def solve_by_measuring(
    solve: Callable[[Budget, Pricing], Solution],
    budget: Budget,
    *,
    first: Network,
    smallest: Network,
    measure: MeasureFn,
) -> Solution:
    """The largest network whose readings are within the budget, to a few percent.

    Args:
        solve: for a budget, by what networks are expected to cost.
        budget: with limits of latency or memory.
        first: a network to begin with, of the kind that is sought.
        smallest: the smallest one of that kind.
        measure: reads the device.

    Raises:
        BudgetError: not even the smallest is within the budget, or the law does not reach it.
    """
    aim = Budget(tuple(replace(each, most=each.most * _share(each)) for each in budget.limits))
    networks, within = [first], dict[Network, Solution]()
    measure(first)
    while len(networks) < _MOST_READINGS:
        readings = {network: measure(network) for network in networks}
        expect = Expectation(readings)
        try:
            found = solve(aim, expect)
        except BudgetError:
            if aim.allows(expect(smallest)):
                raise  # it is not too small a budget: the law does not reach it
            if smallest in readings:
                break
            networks.append(smallest)
            continue
        if found.network not in readings:
            networks.append(found.network)
        settled = found.network in readings
        cost = cost_with(found.network, measure(found.network))
        found = replace(found, cost=cost, budget=budget, use=budget.use(cost))
        if budget.allows(cost):
            within[found.network] = found
            if settled or _NEAR_ENOUGH <= found.use <= _FULL:
                break
    if not within:  # only the smallest is left
        return _smallest(solve, budget, smallest, measure)
    return max(within.values(), key=lambda each: each.use)


def _smallest(
    solve: Callable[[Budget, Pricing], Solution], budget: Budget, smallest: Network, measure: MeasureFn
) -> Solution:
    """The smallest network as the solution, or the refusal that tells what it took."""
    cost = cost_with(smallest, measure(smallest))
    if not budget.allows(cost):
        raise _impossible(budget, cost)
    beyond = cost._replace(latency=math.inf, memory=sys.maxsize)
    found = solve(budget, lambda network: cost if network == smallest else beyond)
    return replace(found, network=smallest, cost=cost, use=budget.use(cost))


def cost_with(network: Network, reading: Measurement) -> Cost:
    """The counted cost, with what the device says of latency and memory."""
    return count(network)._replace(latency=reading.latency, memory=reading.memory)


def _share(limit: Limit) -> float:
    return _AIM if limit.measure in MEASURED else 1.0


def _impossible(budget: Budget, cost: Cost) -> BudgetError:
    limit = max(budget.limits, key=lambda each: each.value(cost) / each.most)
    took = format_measure(limit.measure, limit.value(cost))
    return BudgetError(
        f"No network of this law meets {limit}: the smallest took {took} here. Raise the budget or start from a "
        "smaller network."
    )
