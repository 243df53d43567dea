"""The sections about the network: stage by stage, and its cost against the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allometry.arch import Network
from allometry.cost import StageCost, count, count_stages
from allometry.reports.markup import Column, Html, Row, Section, bar, element, joined, note, number, table
from allometry.reports.words import (
    ARROW,
    MEASURE_NAMES,
    TIMES,
    listed,
    percent,
    quantity,
    whole,
    with_measure,
)
from allometry.runs import RunRecord


def network_section(record: RunRecord) -> Section | None:
    """The network stage by stage, beside the baseline it grew from."""
    network = record.network
    if network is None:
        return None
    content = [element("p", _shape(network)), stage_table(network, record.baseline)]
    if record.baseline is not None and not _comparable(network, record.baseline):
        content.append(note(f"It grew from: {_shape(record.baseline)}"))
    elif record.baseline is not None and record.baseline != network:
        content.append(note(f"Where a number changed, the baseline's is before the arrow ({ARROW})."))
    which = "network" if record.supernet is None else "largest network"
    return Section("network", f"The {which}, stage by stage", content)


def stage_table(network: Network, baseline: Network | None) -> Html:
    """One line for stem, stages and head, with shares of parameters and MACs as bars."""
    lines, total = count_stages(network), count(network)
    before: Sequence[StageCost | None] = [None] * len(lines)
    if baseline is not None and _comparable(network, baseline):
        before = count_stages(baseline)
    most_params = max(line.params for line in lines)
    most_macs = max(line.macs for line in lines)
    rows = [
        Row(
            [
                line.name,
                line.layer,
                _change(old and old.in_size, line.in_size),
                _change(old and old.channels, line.channels),
                _change(old and old.repeats, line.repeats),
                bar(line.params / most_params, whole(line.params)),
                percent(line.params / total.params),
                bar(line.macs / most_macs, whole(line.macs), color="second"),
                percent(line.macs / total.macs),
            ]
        )
        for line, old in zip(lines, before, strict=True)
    ]
    columns = [
        Column("stage"),
        Column("layer"),
        number("input, px"),
        number("channels"),
        number("repeats"),
        number("parameters"),
        number("share"),
        number("MACs"),
        number("share"),
    ]
    return table(columns, rows, footer=_totals(network, baseline))


def _totals(network: Network, baseline: Network | None) -> list[Row]:
    rows = [_total("all", network)]
    if baseline is not None:
        rows.append(_total("baseline", baseline))
    return rows


def _total(name: str, network: Network) -> Row:
    cost = count(network)
    cells = [
        name,
        "",
        f"{network.resolution}",
        "",
        f"{network.depth}",
        whole(cost.params),
        "",
        whole(cost.macs),
        "",
    ]
    return Row(cells)


def _change(before: int | None, after: int) -> str:
    if before is None or before == after:
        return whole(after)
    return element(
        "span", element("s", f"{whole(before)} {ARROW} "), element("b", whole(after)), class_="change"
    )


def _comparable(network: Network, baseline: Network) -> bool:
    return len(network.stages) == len(baseline.stages)


def _shape(network: Network) -> str:
    cost = count(network)
    image = f"{network.resolution} {TIMES} {network.resolution} pixels"
    colors = "color" if network.in_channels == 3 else "gray"
    if network.in_channels not in {1, 3}:
        colors = f"{network.in_channels}-channel"
    return (
        f"{colors.capitalize()} images of {image}, {network.depth} blocks "
        f"in {len(network.stages)} stages, "
        f"{whole(network.head.classes)} classes: {whole(cost.params)} parameters, {whole(cost.macs)} MACs."
    )


def budget_section(record: RunRecord) -> Section | None:
    """What the network costs, with the limits of the budget marked."""
    costs = costs_of(record)
    if not costs or record.supernet is not None:  # which holds many networks, of many costs
        return None
    limits = {limit.measure: limit.most for limit in record.plan.budget} if record.plan else {}
    limited = [
        _limit_bar(measure, costs[measure], most) for measure, most in limits.items() if measure in costs
    ]
    free = [_unlimited(measure, value) for measure, value in costs.items() if measure not in limits]
    content = [joined(limited)]
    if free:
        content.append(element("p", f"{'Not limited' if limited else 'For one image'}: {listed(free)}."))
    content.append(note(_how_known(record)))
    return Section("budget", "Cost against budget" if limited else "Cost", content)


def _how_known(record: RunRecord) -> str:
    counted = "Costs are for one image and counted exactly; a MAC is one multiplication with its addition."
    where = record.plan.measured if record.plan else None
    if where is None:
        return counted
    return (
        f"{counted} Latency and memory are what the network took in {where}, measured before it was trained."
    )


def costs_of(record: RunRecord) -> Mapping[str, float]:
    """The network's costs by measure, counted, or measured where the run did that."""
    return record.cost.to_dict() if record.cost else {}


def _unlimited(measure: str, value: float) -> str:
    if measure == "latency":
        return with_measure(measure, value)
    return (
        f"{whole(value)} {'bytes of memory' if measure == 'memory' else MEASURE_NAMES.get(measure, measure)}"
    )


def _limit_bar(measure: str, used: float, most: float) -> Html:
    fraction = used / most if most > 0 else 1.0
    longest = max(used, most) * 1.04
    over = used > most
    exact = (
        f"{_exact(measure, used)} of at most {_exact(measure, most)}{' bytes' if measure == 'memory' else ''}"
    )
    return element(
        "div",
        element(
            "p",
            element("b", MEASURE_NAMES.get(measure, measure)),
            element("span", exact, " ", element("b", percent(fraction))),
        ),
        element(
            "div",
            element("i", style=f"--share:{100 * used / longest:.2f}%"),
            element("u", style=f"--share:{100 * most / longest:.2f}%"),
            class_="gauge over" if over else "gauge",
        ),
        note(f"over the limit of {quantity(measure, most)}") if over else "",
        class_="limit",
    )


def _exact(measure: str, value: float) -> str:
    if measure == "latency":
        return quantity(measure, value)
    return whole(value) if float(value).is_integer() else f"{value:,.2f}"
