"""The sections about the network: stage by stage, and its cost against the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allometry.arch import Network
from allometry.base.units import BYTES
from allometry.cost import MEASURES, Limit, Measure, StageCost, count, count_stages
from allometry.cost.measures import recorded_measure
from allometry.reports.markup import Column, Html, Row, Section, bar, element, joined, note, number, table
from allometry.reports.words import ARROW, TIMES, listed, percent, whole
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
    limits = {limit.measure.name: limit for limit in record.plan.budget} if record.plan else {}
    limited = [_limit_bar(limit, costs[name]) for name, limit in limits.items() if name in costs]
    free = [_unlimited(recorded_measure(name), value) for name, value in costs.items() if name not in limits]
    content = [joined(limited)]
    if free:
        content.append(element("p", f"{'Not limited' if limited else 'For one image'}: {listed(free)}."))
    content.append(note(_cost_note(record)))
    return Section("budget", "Cost against budget" if limited else "Cost", content)


def _cost_note(record: RunRecord) -> str:
    counted = "Costs are for one image and counted exactly; a MAC is one multiplication with its addition."
    where = record.plan.measured if record.plan else None
    if where is None:
        return counted
    read = [measure.label for measure in MEASURES if measure.read]
    took = f"{listed(read).capitalize()} are what the network took in {where}"
    return f"{counted} {took}, measured before it was trained."


def costs_of(record: RunRecord) -> Mapping[str, float]:
    """The network's costs by measure, counted, or measured where the run did that."""
    return record.cost.to_dict() if record.cost else {}


def _unlimited(measure: Measure, value: float) -> str:
    if not measure.unit.whole:
        return measure.describe(value)
    unit = "bytes of " if measure.unit == BYTES else ""
    return f"{whole(value)} {unit}{measure.label}"


def _limit_bar(limit: Limit, value: float) -> Html:
    measure, most = limit.measure, limit.most
    longest = max(value, most) * 1.04
    broken = not limit.allows(value)
    bound, beyond = ("most", "over") if measure.sign > 0 else ("least", "under")
    unit = " bytes" if measure.unit == BYTES else ""
    exact = f"{_exact(measure, value)} of at {bound} {_exact(measure, most)}{unit}"
    return element(
        "div",
        element(
            "p",
            element("b", measure.label),
            element("span", exact, " ", element("b", percent(limit.use(value)))),
        ),
        element(
            "div",
            element("i", style=f"--share:{100 * value / longest:.2f}%"),
            element("u", style=f"--share:{100 * most / longest:.2f}%"),
            class_="gauge over" if broken else "gauge",
        ),
        note(f"{beyond} the limit of {measure.format(most)}") if broken else "",
        class_="limit",
    )


def _exact(measure: Measure, value: float) -> str:
    if not measure.unit.whole:
        return measure.format(value)
    return whole(value) if float(value).is_integer() else f"{value:,.2f}"
