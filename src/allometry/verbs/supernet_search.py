"""`allometry supernet search`: the best subnet for a budget, predicted, then confirmed; nothing is trained."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from allometry.arch import save
from allometry.base import BudgetError, Progress, SilentProgress
from allometry.base.units import format_milliseconds
from allometry.cost import Budget, RuntimeConfig, count, parse_budget
from allometry.cost.budget import format_measure
from allometry.nas import Encoding, Encodings, network_of
from allometry.nas.search_config import latency_setting
from allometry.nas.space_costs import SpaceCosts, table_for
from allometry.profiling.latency_meter import open_meter
from allometry.reports import write_report
from allometry.runs import Subnet, SubnetCandidate, read_run
from allometry.runs.files import NETWORK, REPORT, SUBNET, SUBNETS
from allometry.supernets import ESTIMATED, Specialized, least_counted, least_latency, specialize
from allometry.supernets.accuracy_predictor import (
    PredictorConfig,
    evaluate_subnet,
    measure_subnets,
    predictor_for,
    record_looks,
)
from allometry.supernets.extremes import Summed
from allometry.supernets.opened import OpenSupernet, open_supernet
from allometry.training import wilson_interval

_CONFIRMED = 5  # of the best predicted subnets are measured, and the best of those is given
_SUMS: tuple[Summed, ...] = ("params", "macs", "activations")


def supernet_search(
    run: Path,
    *,
    budget: str,
    how: PredictorConfig = PredictorConfig(),
    table: Path | None = None,
    runtime: str | None = None,
    threads: int = 1,
    device: str | None = None,
    progress: Progress = SilentProgress(),
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Find the subnet of a trained supernet that is predicted to be best within a budget, and confirm it.

    The first call measures subnets and fits a predictor, and builds a latency table where a latency is asked for. All
    of it stays in the supernet's folder, so that later budgets are answered at once.

    Args:
        run: folder of `supernet_train`.
        budget: what the subnet keeps: `latency<=5ms`, `macs<=2M`, several joined by commas.
        how: how many subnets are measured, and what the predictor must be worth.
        table: a latency table of the space; without one, it is built where a latency is asked for.
        runtime: where latency counts; ONNX Runtime by default.
        threads: of that runtime.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        progress: is told how it goes.
        should_stop: True stops between two measurements, which stay.

    Returns:
        The subnet's figures: predicted and measured accuracy and latency; its `network.json` is below `subnets` in the
        supernet's folder, for `supernet_extract`.

    Raises:
        RunFolderError: there is no trained supernet.
        BudgetError: no subnet keeps the budget; the message names the nearest value that one has.
        InputError: the predictor cannot be trusted, or something does not go together.
        Stopped: `should_stop` asked for it.

    Source: Once-for-All (Cai et al. 2020), section 3.4.
    """
    limits = parse_budget(budget)
    runtime_config = latency_setting((), limits, runtime=runtime, threads=threads)
    with open_supernet(run, device=device, progress=progress, should_stop=should_stop) as opened:
        priced = price_subnets(opened, limits, runtime_config, table)
        predictor, judgment = predictor_for(opened, how)
        began = time.monotonic()
        found = specialize(
            opened.space,
            predictor,
            allows=priced.prices.within(limits),
            seed=opened.session.seed,
            transform=opened.transform,
            start=priced.cheapest,
        )
        seconds = time.monotonic() - began
        progress.say(f"searched: {found.looked:,} subnets in {seconds:.1f} s")
        subnet = _confirmed(opened, limits, runtime_config, priced.prices, found)
        subnet = replace(subnet, search_seconds=round(seconds, 2), tau=judgment.tau)
        return _kept(opened, subnet)


def name_of(budget: Budget) -> str:
    """What a subnet for a budget is called.

    Example:
        >>> name_of(parse_budget("latency<=5ms, params<=1M"))
        'latency-5ms-params-1.00M'
    """
    words = [f"{limit.measure}-{format_measure(limit.measure, limit.most)}" for limit in budget.limits]
    return "-".join(words).replace(" ", "")


class Priced(NamedTuple):
    """What subnets cost, and the cheapest of them, from which an evolution can start under any limit."""

    prices: SpaceCosts
    cheapest: Encodings


def price_subnets(
    opened: OpenSupernet, limits: Budget | None, runtime_config: RuntimeConfig | None, table: Path | None
) -> Priced:
    """Find what subnets cost; an impossible limit is refused before anything is measured.

    Args:
        opened: the supernet.
        limits: if there are any.
        runtime_config: in which latency counts, if it does.
        table: a latency table; without one, it is built where a latency is asked for.

    Raises:
        BudgetError: no subnet keeps a limit; the message names the nearest value that one has.
        InputError: the table is of another setting, or of no use.
    """
    session, space = opened.session, opened.space
    least = {measure: least_counted(space, measure) for measure in _SUMS}
    _refuse_impossible(limits, {measure: found.value for measure, found in least.items()})
    file = "" if runtime_config is None else re.sub(r"[^\w.-]+", "-", f"latency-table-{runtime_config}.json")
    began = time.monotonic()
    found = table_for(session, space, runtime_config, table, file=file)
    if found is not None and table is None:
        session.run.record_cost("measure", f"blocks in {runtime_config}", seconds=time.monotonic() - began)
    rows = [each.row for each in least.values()]
    if found is not None:
        quickest = least_latency(space, found)
        _refuse_impossible(limits, {"latency": quickest.value})
        rows.append(quickest.row)
    return Priced(SpaceCosts(space, found), np.array(rows))


def _refuse_impossible(limits: Budget | None, least: Mapping[str, float]) -> None:
    for limit in limits.limits if limits else ():
        if limit.measure in least and least[limit.measure] > limit.most:
            nearest = format_measure(limit.measure, least[limit.measure])
            raise BudgetError(
                f"No subnet keeps {limit}: the least {limit.measure} of any is {nearest}. Raise the limit to that or "
                "more, or train a supernet of smaller networks."
            )


def _confirmed(
    opened: OpenSupernet,
    limits: Budget,
    runtime_config: RuntimeConfig | None,
    prices: SpaceCosts,
    found: Specialized,
) -> Subnet:
    """The best of the best predicted subnets, as measured: by validation accuracy, within the measured limits."""
    rows = found.rows[:_CONFIRMED]
    accuracies = measure_subnets(opened, rows)
    record_looks(opened)
    began = time.monotonic()
    order = np.argsort(-accuracies, kind="stable")
    place, latency = _quick_enough(
        opened, limits, runtime_config, [(int(each), rows[each]) for each in order]
    )
    row = rows[place]
    network = network_of(opened.space, row)
    split = opened.images.dataset.splits["test"]
    test = evaluate_subnet(opened, row, split, images=ESTIMATED)
    opened.session.run.record_cost(
        "confirm", name_of(limits), seconds=time.monotonic() - began, images=ESTIMATED + len(split)
    )
    name, timed = name_of(limits), runtime_config is not None and latency is not None
    return Subnet(
        name=name,
        network=network,
        cost=count(network)._replace(latency=latency),
        predicted_accuracy=float(found.accuracies[place]),
        validation_accuracy=float(accuracies[place]),
        budget=str(limits),
        predicted_latency=float(prices.of(row)["latency"]) if timed else None,
        measured=runtime_config if timed else None,
        test_accuracy=test.accuracy,
        test_interval=wilson_interval(round(test.accuracy * len(split)), len(split)),
        test_images=len(split),
        candidates=tuple(
            SubnetCandidate(predicted=float(each), measured=float(own))
            for each, own in zip(found.accuracies[:_CONFIRMED], accuracies, strict=True)
        ),
        history=tuple(float(each) for each in found.history),
        examined=found.looked,
        folder=opened.session.run.path / SUBNETS / name,
    )


def _quick_enough(
    opened: OpenSupernet,
    limits: Budget,
    runtime_config: RuntimeConfig | None,
    ranked: Sequence[tuple[int, Encoding]],
) -> tuple[int, float | None]:
    """The first of these subnets whose measured latency keeps the budget, else the quickest."""
    most = next((limit.most for limit in limits.limits if limit.measure == "latency"), None)
    if runtime_config is None or most is None:
        return ranked[0][0], None
    readings: list[tuple[float, int]] = []
    with open_meter(opened.session, runtime_config) as watch:
        assert watch is not None  # noqa: S101
        for place, row in ranked:
            latency = watch(network_of(opened.space, row)).latency
            assert latency is not None  # noqa: S101
            if latency <= most:
                return place, latency
            readings.append((latency, place))
            opened.session.progress.say(
                f"a subnet takes {format_milliseconds(latency)}, more than predicted and than allowed"
            )
    latency, place = min(readings)
    opened.session.progress.say(
        f"none of {len(readings)} subnets was measured within the limit; the quickest of them is given"
    )
    return place, latency


def _kept(opened: OpenSupernet, subnet: Subnet) -> dict[str, Any]:
    """Write the subnet down, and bring the report up to date."""
    run = opened.session.run.path
    folder = run / SUBNETS / subnet.name
    save(subnet.network, folder / NETWORK)
    SUBNET.write(folder, subnet)
    opened.session.run.record_cost("search", subnet.name, seconds=subnet.search_seconds)
    write_report([read_run(run)], out=run / REPORT)
    return {**subnet.to_dict(), "report": str(run / REPORT)}
