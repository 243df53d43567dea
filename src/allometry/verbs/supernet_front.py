"""The best subnets of a supernet for every cost at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt

from allometry.arch import save
from allometry.base import InputError, Progress, SilentProgress, UnknownNameError
from allometry.cost import Measure, RuntimeConfig, count, parse_budget
from allometry.nas import network_of
from allometry.nas.search_config import latency_setting
from allometry.reports import write_report
from allometry.runs import Subnet, SubnetFront, read_run
from allometry.runs.files import FRONT, REPORT, SUBNETS
from allometry.supernets import pareto
from allometry.supernets.accuracy_predictor import (
    PredictorConfig,
    measure_subnets,
    predictor_for,
    record_looks,
)
from allometry.supernets.opened import open_supernet
from allometry.verbs.supernet_search import price_subnets

_POINTS = 12


def supernet_front(
    run: Path,
    *,
    cost: str = "macs",
    budget: str | None = None,
    points: int = _POINTS,
    how: PredictorConfig = PredictorConfig(),
    table: Path | None = None,
    runtime: str | None = None,
    threads: int = 1,
    device: str | None = None,
    progress: Progress = SilentProgress(),
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Find the subnets of a trained supernet than which none is predicted to be both cheaper and better.

    Some of them, evenly spaced by the logarithm of their cost, are measured and written down.

    Args:
        run: folder of `supernet_train`.
        cost: `macs`, `params`, `activations`, `memory` or `latency`.
        budget: what every subnet keeps besides; None for nothing.
        points: how many subnets are measured and written.
        how: how many subnets are measured for the predictor, and what it must be worth.
        table: a latency table of the space; without one, it is built where a latency is asked for.
        runtime: where latency counts; ONNX Runtime by default.
        threads: of that runtime.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU if there is one.
        progress: is told how it goes.
        should_stop: True stops between two measurements, which stay.

    Returns:
        The subnets with their costs, predicted and validation accuracies; the networks are below `subnets` in the
        supernet's folder.

    Raises:
        RunFolderError: there is no trained supernet.
        BudgetError: no subnet keeps the budget.
        UnknownNameError: no such cost.
        InputError: the predictor cannot be trusted, or something does not go together.
        Stopped: `should_stop` asked for it.

    Source: Once-for-All (Cai et al. 2020), Figure 9.
    """
    if cost not in get_args(Measure):
        raise UnknownNameError("cost", cost, get_args(Measure))
    if points < 1:
        raise InputError(f"points must be at least 1, not {points}.")
    limits = None if budget is None else parse_budget(budget)
    if cost == "latency":
        runtime_config: RuntimeConfig | None = RuntimeConfig(
            runtime=runtime or RuntimeConfig().runtime, threads=threads
        )
    else:
        runtime_config = latency_setting((), limits, runtime=runtime, threads=threads)
    with open_supernet(run, device=device, progress=progress, should_stop=should_stop) as opened:
        priced = price_subnets(opened, limits, runtime_config, table)
        predictor, judgment = predictor_for(opened, how)
        began = time.monotonic()
        found = pareto(
            opened.space,
            predictor,
            cost=lambda rows: priced.prices(rows)[cost],
            allows=priced.prices.within(limits),
            seed=opened.session.seed,
            transform=opened.transform,
            start=priced.cheapest,
        )
        seconds = time.monotonic() - began
        progress.say(
            f"front: {len(found.rows)} subnets of {found.looked:,} that were looked at in {seconds:.1f} s"
        )
        chosen = _spaced(found.costs, points)
        accuracies = measure_subnets(opened, found.rows[chosen])
        record_looks(opened)
        folder = opened.session.run.path / SUBNETS / f"front-{cost}"
        subnets: list[Subnet] = []
        for place, accuracy in zip(chosen.tolist(), accuracies.tolist(), strict=True):
            network = network_of(opened.space, found.rows[place])
            number = len(subnets) + 1
            save(network, folder / f"{number}.json")
            subnet = Subnet(
                name=f"{folder.name}-{number}",
                network=network,
                cost=count(network),
                predicted_accuracy=float(found.accuracies[place]),
                validation_accuracy=accuracy,
                predicted_latency=float(found.costs[place]) if cost == "latency" else None,
            )
            subnets.append(subnet)
        front = SubnetFront(
            name=folder.name,
            measure=cast("Measure", cost),
            budget=None if limits is None else str(limits),
            subnets=tuple(subnets),
            size=len(found.rows),
            examined=found.looked,
            search_seconds=round(seconds, 2),
            tau=judgment.tau,
            folder=folder,
        )
        FRONT.write(folder, front)
        opened.session.run.record_cost("search", folder.name, seconds=seconds)
        write_report([read_run(run)], out=run / REPORT)
        return front.to_dict()


def _spaced(costs: npt.NDArray[np.float64], number: int) -> npt.NDArray[np.int64]:
    """Places of so many costs, the least and the most among them, evenly spaced by their logarithm."""
    aims = np.geomspace(costs[0], costs[-1], number)
    nearest = np.abs(np.log(costs)[:, None] - np.log(aims)[None]).argmin(0)
    return np.unique(nearest)
