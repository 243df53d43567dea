"""How results look on a terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from allometry.base.text import printable
from allometry.base.units import format_duration, format_quantity

if TYPE_CHECKING:
    from allometry.arch import Network
    from allometry.cost import Cost, RuntimeConfig
    from allometry.nas.growth_plan import RunForecast
    from allometry.runs import TrainResult
    from allometry.training.forecast import Forecast

_WHOLE = 10_000  # columns of a line that no terminal shows


def print_json(value: object) -> None:
    """One JSON object on the output stream."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def print_network(
    network: Network,
    *,
    before: Network | None = None,
    cost: Cost | None = None,
    where: str = "",
    features_only: bool = False,
) -> None:
    """The stage table and the costs, with those of the network it came from, and what was measured where.

    Args:
        network: to show.
        before: what it came from.
        cost: what was measured.
        where: it was measured.
        features_only: without the head.
    """
    from allometry.cost import count, count_stages

    channels = {1: "gray", 3: "color"}.get(network.in_channels, f"{network.in_channels} channels")
    print_title(network.name or "network", f"{network.resolution} x {network.resolution} px, {channels}")
    rows = [
        [line.name, line.layer, *map(str, line[2:5]), *(f"{value:,}" for value in line[5:])]
        for line in count_stages(network)[: -1 if features_only else None]
    ]
    print_table(("", "layer", "input px", "channels", "repeats", "params", "MACs", "activations"), rows)
    price = partial(count, features_only=features_only)
    print_costs(price(network).to_dict(), before=price(before).to_dict() if before is not None else None)
    if cost is not None and cost.readings:
        from allometry.cost import MEASURES

        # Memory is counted above, and stands in the cost as it was read.
        known = [measure for measure in MEASURES if measure.name in cost.readings]
        counted = [measure for measure in MEASURES if measure.count and measure.read] if where else []
        took = ", ".join(measure.describe(cost[measure]) for measure in dict.fromkeys((*known, *counted)))
        print_line(f"  {'measured':12} {took}   {where}".rstrip())


def print_title(title: str, more: str) -> None:
    """What a table is of."""
    _console().print(
        Text.assemble((printable(title), "bold"), f"  {printable(more)}" if more else ""), soft_wrap=True
    )


def print_line(text: str) -> None:
    """A line of text."""
    _console().print(printable(text), soft_wrap=True)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, section_ends: Sequence[bool] = ()
) -> None:
    """Rows of text; after those that end a section there is a gap."""
    table = _table(*columns)
    for row, ends in zip(rows, section_ends or [False] * len(rows), strict=True):
        table.add_row(*map(printable, row), end_section=ends)
    _console().print(table)


def print_costs(cost: Mapping[str, float], *, before: Mapping[str, float] | None = None) -> None:
    """A line for each measure, with how many times as much it is as before."""
    from allometry.cost.measures import recorded_measure

    for name, value in cost.items():
        measure = recorded_measure(name)
        exact = f"   {value:,}" if measure.unit.whole else ""
        more = f"   {value / before[name]:.2f}x" if before else ""
        print_line(f"  {name:12} {measure.format(value):>8}{exact}{more}")


def print_rows(title: str, rows: dict[str, str]) -> None:
    """A few named rows under a title."""
    print_title(title, "")
    shown = {printable(name): text for name, text in rows.items()}
    width = max(map(cell_len, shown))
    for name, text in shown.items():
        print_line(f"  {name}{' ' * (width - cell_len(name))}  {text}")


def print_forecast(planned: Forecast) -> None:
    """A training before it starts: a line for each phase, then steps, memory and time."""
    several = len({phase.macs for phase in planned.phases}) > 1
    table = _table(
        *["MACs"] * several,
        "epochs",
        "px",
        "batch",
        "steps",
        "policy",
        "mixup",
        "cutmix",
        "dropout",
        "memory",
        "time",
    )
    for phase in planned.phases:
        policy = phase.policy
        magnitude = f" {phase.magnitude:.3g}" if policy == "randaugment" else ""
        table.add_row(
            *[format_quantity(phase.macs)] * several,
            f"{phase.epochs}{' (classifier)' if phase.head_only else ''}",
            str(phase.resolution),
            str(phase.batch_size),
            f"{phase.epochs * phase.steps:,}",
            "" if policy == "none" else f"{policy}{magnitude}",
            f"{phase.mixup:.2g}",
            f"{phase.cutmix:.2g}",
            f"{phase.dropout:.2g}",
            format_quantity(phase.memory, unit="B"),
            format_duration(phase.seconds),
        )
    _console().print(table)
    parts = f"{planned.micro_batch} images at a time" if planned.micro_batch else "whole batches"
    print_rows(
        "in all",
        {
            "steps": f"{planned.steps:,} in {planned.epochs} epochs, {planned.images:,} images",
            "memory": f"about {format_quantity(planned.memory, unit='B')}, {parts}",
            "time": f"about {format_duration(planned.seconds)} here",
        },
    )


def print_run_forecast(planned: RunForecast) -> None:
    """A whole run before it starts: the trials, the network to expect, its training, the time of all."""
    tried = (
        f"{planned.laws} laws, two of them perhaps twice, {planned.trial_epochs} epochs each, "
        f"up to {planned.trial_macs:,} MACs, at most {format_duration(planned.trial_seconds)} here"
    )
    law = "by the paper's law, unless another is better" if planned.laws else "by the law that is given"
    print_rows(
        "the plan",
        {
            "baseline": f"{planned.baseline}, {planned.baseline_macs:,} MACs",
            "trials": tried if planned.laws else "none",
            "network": f"{law}, {planned.resolution} px, {planned.macs:,} MACs, {planned.params:,} params",
        },
    )
    print_forecast(planned.training)
    print_line(f"the whole run, trials and training: about {format_duration(planned.seconds)} here")


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    words = {"", "name", "layer", "source", "runtime"}
    for column in columns:
        left = column in words
        table.add_column(printable(column), justify="left" if left else "right", no_wrap=column != "source")
    return table


def _console() -> Console:
    # Away from a terminal nothing is cut to a width: a pipe gets whole lines.
    # What is printed may come from outside: nothing in it is markup, and no :name: a picture.
    console = Console(highlight=False, markup=False, emoji=False)
    return (
        console if console.is_terminal else Console(highlight=False, markup=False, emoji=False, width=_WHOLE)
    )


def trained_rows(result: TrainResult, metric: str) -> dict[str, str]:
    """What a trained network is, costs and reaches, and what that is measured by."""
    from allometry.runs import GrowthResult
    from allometry.runs.evaluation import counted_images

    (low, high), judged = result.test_interval, counted_images(result.test_images, result.test_groups)
    text = cost_text(result.cost, None)
    if isinstance(result, GrowthResult):
        text = f"{cost_text(result.cost, result.measured)} (of {result.budget})"
    return {
        "network": f"{result.network}, {result.resolution} px",
        "cost": text,
        f"test {metric}": f"{result.test_accuracy:.2%} of {judged} ({low:.1%} to {high:.1%})",
    }


def cost_text(cost: Cost, measured: RuntimeConfig | None, *, predicted: float | None = None) -> str:
    """What a network costs, with what was measured, and where."""
    from allometry.cost import LATENCY
    from allometry.cost.measures import recorded_measure

    text = f"{cost.macs:,} MACs, {cost.params:,} params"
    for name, value in cost.readings.items():
        measure = recorded_measure(name)
        where = f" in {measured.runtime}" if measured and measure.read else f" of {measure.label}"
        guess = f" (predicted {measure.format(predicted)})" if predicted and measure == LATENCY else ""
        text += f", {measure.format(value)}{where}{guess}"
    return text
