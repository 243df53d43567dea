"""The search of a trained supernet's subnets: what they cost, the best predicted ones, and those confirmed."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from allometry.arch import ModuleSpace
from allometry.arch.any_space import save_member
from allometry.base import BudgetError, InputError
from allometry.cost import (
    MACS,
    MEASURES,
    PARAMS,
    Budget,
    LatencyTable,
    Measure,
    Readings,
    RuntimeConfig,
    count,
)
from allometry.nas import Encodings, network_of
from allometry.nas.confirming import confirmed
from allometry.nas.space_costs import SpaceCosts, table_for
from allometry.profiling.latency_meter import open_meter
from allometry.runs import Subnet, SubnetCandidate, SubnetFront
from allometry.runs.files import FRONT, NETWORK, SUBNET, SUBNETS
from allometry.supernets.accuracy_predictor import (
    PredictorConfig,
    evaluate_subnet,
    measure_subnets,
    predictor_for,
    record_measurements,
)
from allometry.supernets.extract import ESTIMATED
from allometry.supernets.extremes import least_counted, least_latency
from allometry.supernets.module_latency import measure_latencies, predict_latencies, quick_enough
from allometry.supernets.module_search import (
    MemberCosts,
    SubnetCosts,
    best_of_all,
    counted_part,
    front_of_all,
    is_small,
)
from allometry.supernets.opened import OpenSupernet
from allometry.supernets.pareto import Front, pareto
from allometry.supernets.specialize import Specialized, specialize

_CONFIRMED = 5  # of the best predicted subnets are measured, and the best of those is given


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetRequest:
    """What subnets are searched for.

    Attributes:
        budget: that they keep; None for nothing.
        config: how many subnets are measured for the predictor, and how good that must be.
        table: a latency table of the space, or its file; without one, it is built where a latency is asked for.
        runtime_config: in which latency counts, if it does.
    """

    budget: Budget | None
    config: PredictorConfig
    table: LatencyTable | str | Path | None
    runtime_config: RuntimeConfig | None


def search_subnet(opened: OpenSupernet, budget: Budget, request: SubnetRequest) -> Subnet:
    """The subnet that is predicted to be best within a budget, confirmed and written down.

    Raises:
        BudgetError: no subnet keeps the budget; the message names the nearest value that one has.
        InputError: the predictor cannot be trusted, or something does not go together.
        Stopped: the user asked for it.
    """
    costs, cheapest = _costs(opened, request)
    allows, tau = costs.within(budget), None
    if is_small(opened.space, request.config.subnets + request.config.held_out):
        best, seconds = best_of_all(opened, allows), 0.0
    else:
        predictor, quality = predictor_for(opened, request.config)
        began, tau = time.monotonic(), quality.tau
        best = specialize(
            opened.space,
            predictor,
            allows=allows,
            seed=opened.session.seed,
            transform=opened.transform,
            start=cheapest,
        )
        seconds = time.monotonic() - began
        opened.session.progress.say(f"searched: {best.examined:,} subnets in {seconds:.1f} s")
    subnet = _confirmed(opened, budget, request.runtime_config, costs, best)
    subnet = replace(subnet, search_seconds=round(seconds, 2), tau=tau)
    folder = opened.session.run.path / SUBNETS / subnet.name
    save_member(subnet.network, folder / NETWORK)
    opened.session.run.record_cost("search", subnet.name, seconds=subnet.search_seconds)
    SUBNET.write(folder, subnet)
    return subnet


def search_front(opened: OpenSupernet, measure: Measure, points: int, request: SubnetRequest) -> SubnetFront:
    """The subnets than which none is predicted to be both cheaper and better; some of them measured and written.

    Args:
        opened: the supernet.
        measure: what they cost.
        points: how many of them are measured and written down, evenly spaced by the logarithm of their cost.
        request: what they keep besides.

    Raises:
        BudgetError: no subnet keeps the budget.
        InputError: the predictor cannot be trusted, or something does not go together.
        Stopped: the user asked for it.
    """
    _refuse_unknown(measure)
    costs, cheapest = _costs(opened, request)
    best, seconds, tau = _best_by_cost(opened, measure, costs, cheapest, request)
    opened.session.progress.say(
        f"front: {len(best.encodings)} subnets of {best.examined:,} that were looked at in {seconds:.1f} s"
    )
    chosen = _spaced(best.costs, points)
    accuracies = measure_subnets(opened, best.encodings[chosen])
    record_measurements(opened)
    folder = opened.session.run.path / SUBNETS / f"front-{measure.name}"
    subnets: list[Subnet] = []
    for place, accuracy in zip(chosen.tolist(), accuracies.tolist(), strict=True):
        network = network_of(opened.space, best.encodings[place])
        number = len(subnets) + 1
        save_member(network, folder / f"{number}.json")
        subnet = Subnet(
            name=f"{folder.name}-{number}",
            network=network,
            cost=count(network),
            predicted_accuracy=float(best.accuracies[place]),
            validation_accuracy=accuracy,
            predicted_latency=float(best.costs[place]) if measure == LatencyTable.measure else None,
        )
        subnets.append(subnet)
    front = SubnetFront(
        name=folder.name,
        measure=measure.name,
        budget=None if request.budget is None else str(request.budget),
        subnets=tuple(subnets),
        size=len(best.encodings),
        examined=best.examined,
        search_seconds=round(seconds, 2),
        tau=tau,
        folder=folder,
    )
    opened.session.run.record_cost("search", folder.name, seconds=seconds)
    FRONT.write(folder, front)
    return front


def _best_by_cost(
    opened: OpenSupernet,
    measure: Measure,
    costs: SubnetCosts,
    cheapest: Encodings,
    request: SubnetRequest,
) -> tuple[Front, float, float | None]:
    """The front, the seconds that its search took, and Kendall's tau of the predictor, where one was needed."""
    costs(cheapest, [measure])  # refuses what is not known of subnets before any is measured
    allows = costs.within(request.budget)
    if is_small(opened.space, request.config.subnets + request.config.held_out):
        return front_of_all(opened, costs, measure, allows), 0.0, None
    predictor, quality = predictor_for(opened, request.config)
    began = time.monotonic()
    best = pareto(
        opened.space,
        predictor,
        cost=lambda encodings: costs(encodings, [measure])[measure.name],
        allows=allows,
        seed=opened.session.seed,
        transform=opened.transform,
        start=cheapest,
    )
    return best, time.monotonic() - began, quality.tau


def subnet_name(budget: Budget) -> str:
    """What a subnet for a budget is called.

    Example:
        >>> from allometry.cost import parse_budget
        >>> subnet_name(parse_budget("latency<=5ms, params<=1M"))
        'latency-5ms-params-1.00M'
    """
    words = [f"{limit.measure.name}-{limit.measure.format(limit.most)}" for limit in budget.limits]
    return "-".join(words).replace(" ", "")


def _costs(opened: OpenSupernet, request: SubnetRequest) -> tuple[SubnetCosts, Encodings]:
    """What subnets cost, and the cheapest of them, from which an evolution can start under any limit.

    An impossible limit is refused before anything is measured.

    Raises:
        BudgetError: no subnet keeps a limit; the message names the nearest value that one has.
        InputError: the table is of another setting, or of no use.
    """
    session, space, runtime_config = opened.session, opened.space, request.runtime_config
    if isinstance(space, ModuleSpace):
        return _member_costs(opened, space, request)
    limited = request.budget.measures if request.budget else ()
    sums = dict.fromkeys(
        measure for measure in (*MEASURES, *limited) if measure.additive and measure.sign > 0
    )
    least = {measure: least_counted(space, measure) for measure in sums}
    _refuse_impossible(request.budget, {measure: extreme.value for measure, extreme in least.items()})
    file = "" if runtime_config is None else re.sub(r"[^\w.-]+", "-", f"latency-table-{runtime_config}.json")
    began = time.monotonic()
    table = table_for(session, space, runtime_config, request.table, file=file)
    if table is not None and request.table is None:
        session.run.record_cost("measure", f"blocks in {runtime_config}", seconds=time.monotonic() - began)
    cheapest = [extreme.encoding for extreme in least.values()]
    if table is not None:
        quickest = least_latency(space, table)
        _refuse_impossible(request.budget, {table.measure: quickest.value})
        cheapest.append(quickest.encoding)
    return SpaceCosts(space, table), np.array(cheapest)


def _member_costs(
    opened: OpenSupernet, space: ModuleSpace, request: SubnetRequest
) -> tuple[SubnetCosts, Encodings]:
    """The same of a module's subnets, of which the smallest has the fewest MACs and params."""
    if request.table is not None:
        raise InputError("A latency table is of networks that are data; leave it out for a module's subnets.")
    smallest, start = count(space.smallest()), np.zeros((1, len(space.choices)), np.int8)
    costs = MemberCosts(space)
    costs.within(counted_part(request.budget))  # refuses what is not counted before anything is measured
    _refuse_impossible(
        request.budget, {measure: float(measure.of(smallest) or 0) for measure in (MACS, PARAMS)}
    )
    if request.runtime_config is None:
        return costs, start
    fitted = predict_latencies(opened, space, request.runtime_config)
    quickest = float(measure_latencies(opened, space, start, request.runtime_config)[0])
    _refuse_impossible(request.budget, {LatencyTable.measure: quickest})
    return MemberCosts(space, fitted), start


def _refuse_unknown(measure: Measure) -> None:
    """Refuse a front of what is neither counted nor told by a table, or of what is better when it is more."""
    if measure.sign > 0 and (measure.count is not None or measure == LatencyTable.measure):
        return
    raise InputError(
        f"There is no front of accuracy against {measure.name}: it takes a measure of which less is better and that is "
        f"counted, or {LatencyTable.measure.name}."
    )


def _refuse_impossible(budget: Budget | None, least: Mapping[Measure, float]) -> None:
    for limit in budget.limits if budget else ():
        measure = limit.measure
        if measure in least and not limit.allows(least[measure]):
            raise BudgetError(
                f"No subnet keeps {limit}: the least {measure.name} of any is {measure.format(least[measure])}. Raise "
                "the limit to that or more, or train a supernet of smaller networks."
            )


def _confirmed(
    opened: OpenSupernet,
    budget: Budget,
    runtime_config: RuntimeConfig | None,
    costs: SubnetCosts,
    best: Specialized,
) -> Subnet:
    """The best of the best predicted subnets, as measured: by validation accuracy, within the measured limits."""
    encodings = best.encodings[:_CONFIRMED]
    accuracies = measure_subnets(opened, encodings)
    record_measurements(opened)
    began, name = time.monotonic(), subnet_name(budget)
    ranked = [int(place) for place in np.argsort(-accuracies, kind="stable")]
    place, readings = _within(opened, budget, runtime_config, encodings, ranked)
    encoding, network = encodings[place], network_of(opened.space, encodings[place])
    split = opened.images.dataset.splits["test"]
    test = evaluate_subnet(opened, encoding, split, images=ESTIMATED)
    opened.session.run.record_cost(
        "confirm", name, seconds=time.monotonic() - began, images=ESTIMATED + len(split)
    )
    table = LatencyTable.measure
    timed = table.name in readings
    return Subnet(
        name=name,
        network=network,
        cost=count(network).with_readings(readings),
        predicted_accuracy=float(best.accuracies[place]),
        validation_accuracy=float(accuracies[place]),
        budget=str(budget),
        predicted_latency=costs.of(encoding)[table.name] if timed else None,
        measured=runtime_config if timed else None,
        test_accuracy=test.accuracy,
        test_interval=test.accuracy_interval(),
        test_images=len(split),
        candidates=tuple(
            SubnetCandidate(predicted=float(predicted), measured=float(measured))
            for predicted, measured in zip(best.accuracies[:_CONFIRMED], accuracies, strict=True)
        ),
        history=tuple(float(accuracy) for accuracy in best.history),
        examined=best.examined,
        folder=opened.session.run.path / SUBNETS / name,
    )


def _within(
    opened: OpenSupernet,
    budget: Budget,
    runtime_config: RuntimeConfig | None,
    encodings: Encodings,
    ranked: Sequence[int],
) -> tuple[int, Readings]:
    """The first of these subnets whose readings keep the budget, else the nearest, with these readings."""
    if isinstance(opened.space, ModuleSpace):
        limits = [limit for limit in budget.limits if limit.measure == LatencyTable.measure]
        if runtime_config is None:
            return ranked[0], {}
        return quick_enough(opened, opened.space, encodings, ranked, limits, runtime_config)
    with open_meter(opened.session, runtime_config) as meter:
        place, readings = confirmed(
            [network_of(opened.space, encodings[place]) for place in ranked],
            budget.limits,
            meter,
            names=["a subnet"] * len(ranked),
            say=opened.session.progress.say,
        )
    return ranked[place], readings


def _spaced(costs: npt.NDArray[np.float64], number: int) -> npt.NDArray[np.int64]:
    """Places of so many costs, the least and the most among them, evenly spaced by their logarithm."""
    aims = np.geomspace(costs[0], costs[-1], number)
    nearest = np.abs(np.log(costs)[:, None] - np.log(aims)[None]).argmin(0)
    return np.unique(nearest)
