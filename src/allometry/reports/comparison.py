"""The first page of a report on several runs: accuracy against cost, and one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from allometry.base.units import format_duration
from allometry.reports.figures import BLUE, GRAY, ORANGE, legend, side_by_side
from allometry.reports.markup import Column, Html, Row, Section, element, note, number, table
from allometry.reports.networks import costs_of
from allometry.reports.scatter import Point, PointGroup, accuracy_against
from allometry.reports.search import found_trial
from allometry.reports.words import listed, percent, percent_range, whole
from allometry.runs import RunRecord

_TEST = "accuracy on test images, with its 95 % interval"
_VALIDATION = "accuracy on validation images: not evaluated on test images yet"
_AXES = {"macs": "MACs", "params": "parameters", "latency": "latency, ms"}
_SHORT = "accuracy on validation images after the short training of a search"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What the comparison needs of one network; `seen` says on which images, and after what, the accuracy was found.

    `number` is its line in the table, `place` that of its run.
    """

    number: str
    place: int
    name: str
    costs: Mapping[str, float]
    accuracy: float | None
    interval: tuple[float, float] | None
    seen: str
    data: str
    resolution: int | None
    seconds: float | None


def comparison_section(records: Sequence[RunRecord]) -> Section:
    """All runs in two figures and a table."""
    results = [
        result
        for place, record in enumerate(records, start=1)
        for result in (_subnets(place, record) or [_result(place, record)])
    ]
    content: list[Html] = []
    groups = {cost: [group for group in _groups(results, cost) if group.points] for cost in _AXES}
    if groups["macs"]:
        figures = [
            accuracy_against(f"all-{cost}", groups[cost], cost=title, accuracy="accuracy", height=360)
            for cost, title in _AXES.items()
            if groups[cost]
        ]
        content += [
            legend((group.glyph, group.color, group.meaning) for group in groups["macs"]),
            *(side_by_side(*figures[first : first + 2]) for first in range(0, len(figures), 2)),
            note("The numbers are the lines of the table."),
        ]
    content.append(_table(results))
    if any(record.supernet and record.supernet.subnets for record in records):
        content.append(note("The subnets of a supernet share what it cost."))
    names = sorted({result.data for result in results if result.data})
    if len(names) > 1:
        content.append(
            note(f"The runs are on different data ({listed(names)}): their accuracies do not compare.")
        )
    return Section("comparison", "All runs", content)


def _result(place: int, record: RunRecord) -> _Result:
    evaluation = record.evaluation
    trial = found_trial(record)
    accuracy, seen = None, ""
    if evaluation is not None:
        accuracy, seen = evaluation.accuracy, evaluation.split
    elif record.history:
        accuracy, seen = record.history[-1].val_accuracy, "validation"
    elif trial is not None and "accuracy" in trial.metrics:
        accuracy, seen = trial.metrics["accuracy"], "validation, short"
    return _Result(
        number=str(place),
        place=place,
        name=record.name,
        costs=_in_milliseconds(costs_of(record)),
        accuracy=accuracy,
        interval=evaluation.interval if evaluation else None,
        seen=seen,
        data=_data(record),
        resolution=record.network.resolution if record.network else None,
        seconds=record.seconds if record.costs else None,
    )


def _data(record: RunRecord) -> str:
    return (record.data.name if record.data else "") or str(record.arguments.get("data") or "")


def _subnets(place: int, record: RunRecord) -> list[_Result]:
    """The subnets that were found in a supernet's folder, else its largest network; none of any other run."""
    supernet = record.supernet
    if supernet is None:
        return []
    if not supernet.subnets:
        last, result = supernet.last, _result(place, record)
        seen = "validation" if last is not None else ""
        accuracy = last.largest if last is not None else None
        return [replace(result, name=f"{record.name}, largest", accuracy=accuracy, seen=seen)]
    return [
        _Result(
            number=f"{place}{_letters(number)}",
            place=place,
            name=f"{record.name}, {subnet.name}",
            costs=_in_milliseconds(subnet.cost.to_dict()),
            accuracy=subnet.validation_accuracy if subnet.test_accuracy is None else subnet.test_accuracy,
            interval=subnet.test_interval,
            seen="validation" if subnet.test_accuracy is None else "test",
            data=_data(record),
            resolution=subnet.resolution,
            seconds=None,
        )
        for number, subnet in enumerate(sorted(supernet.subnets, key=lambda each: each.cost.macs))
    ]


def _letters(number: int) -> str:
    """a, b, ... z, aa, ab ..."""
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)


def _in_milliseconds(costs: Mapping[str, float]) -> Mapping[str, float]:
    """The costs that are shown; latency, where that was measured, in milliseconds."""
    return {
        name: 1000 * value if name == "latency" else value for name, value in costs.items() if name in _AXES
    }


def _groups(results: Sequence[_Result], cost: str) -> list[PointGroup]:
    short = [result for result in results if result.seen == "validation, short"]
    validated = [result for result in results if result.seen == "validation"]
    tested = [result for result in results if result not in short and result not in validated]
    return [
        PointGroup(meaning=_TEST, glyph="circle", color=BLUE, size=22, points=_points(tested, cost)),
        PointGroup(meaning=_VALIDATION, glyph="square", color=GRAY, size=21, points=_points(validated, cost)),
        PointGroup(meaning=_SHORT, glyph="diamond", color=ORANGE, size=23, points=_points(short, cost)),
    ]


def _points(results: Sequence[_Result], cost: str) -> list[Point]:
    return [
        Point(
            cost=result.costs[cost],
            accuracy=result.accuracy,
            interval=result.interval,
            text=result.number,
            hover=f"<b>{escape(result.name)}</b><br>{percent(result.accuracy)}<br>"
            f"{whole(result.costs['macs'])} MACs<br>{whole(result.costs['params'])} parameters",
        )
        for result in results
        if cost in result.costs and result.accuracy is not None
    ]


def _table(results: Sequence[_Result]) -> Html:
    columns = [
        number(""),
        Column("run"),
        Column("data"),
        number("input, px"),
        number("parameters"),
        number("MACs"),
        Column("images"),
        number("accuracy"),
        number("95 % interval"),
        number("time"),
    ]
    return table(columns, [_row(result) for result in results])


def _row(result: _Result) -> Row:
    costs = result.costs
    return Row(
        [
            result.number,
            element("a", result.name, href=f"#run-{result.place}"),
            result.data,
            whole(result.resolution),
            whole(costs.get("params")),
            whole(costs.get("macs")),
            result.seen,
            "" if result.accuracy is None else percent(result.accuracy),
            percent_range(result.interval) if result.interval else "",
            "" if result.seconds is None else format_duration(result.seconds),
        ]
    )
