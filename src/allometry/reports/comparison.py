"""The first page of a report on several runs: accuracy against cost, and one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from allometry.base.units import format_duration
from allometry.cost import MACS, PARAMS, Measure
from allometry.cost.measures import more_measures
from allometry.reports.figures import BLUE, GRAY, ORANGE, legend, side_by_side
from allometry.reports.markup import Column, Html, Row, Section, element, escaped, note, number, table
from allometry.reports.networks import costs_of
from allometry.reports.scatter import Point, PointGroup, accuracy_against
from allometry.reports.search import chosen_trial
from allometry.reports.words import listed, percent, percent_range, whole
from allometry.runs import RunRecord

_TEST = "accuracy on test images, with its 95 % interval"
_VALIDATION = "accuracy on validation images: not evaluated on test images yet"
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
    axes = (MACS, PARAMS, *more_measures())
    groups = {measure: [group for group in _groups(results, measure) if group.points] for measure in axes}
    if groups[MACS]:
        charts = [
            accuracy_against(
                f"all-{measure.name}", groups[measure], cost=_title(measure), accuracy="accuracy", height=360
            )
            for measure in axes
            if groups[measure]
        ]
        content += [
            legend((group.glyph, group.color, group.meaning) for group in groups[MACS]),
            *(side_by_side(*charts[first : first + 2]) for first in range(0, len(charts), 2)),
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
    evaluation = record.evaluation or record.label_evaluation
    trial = chosen_trial(record)
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
        costs=costs_of(record),
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
            costs=subnet.cost.to_dict(),
            accuracy=subnet.validation_accuracy if subnet.test_accuracy is None else subnet.test_accuracy,
            interval=subnet.test_interval,
            seen="validation" if subnet.test_accuracy is None else "test",
            data=_data(record),
            resolution=subnet.resolution,
            seconds=None,
        )
        for number, subnet in enumerate(sorted(supernet.subnets, key=lambda subnet: subnet.cost.macs))
    ]


def _letters(number: int) -> str:
    """a, b, ... z, aa, ab ..."""
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)


def _title(measure: Measure) -> str:
    """Of an axis."""
    _, unit = measure.unit.axis
    return f"{measure.label}, {unit}" if unit else measure.label


def _groups(results: Sequence[_Result], measure: Measure) -> list[PointGroup]:
    short = [result for result in results if result.seen == "validation, short"]
    validated = [result for result in results if result.seen == "validation"]
    tested = [result for result in results if result not in short and result not in validated]
    return [
        PointGroup(meaning=_TEST, glyph="circle", color=BLUE, size=22, points=_points(tested, measure)),
        PointGroup(
            meaning=_VALIDATION, glyph="square", color=GRAY, size=21, points=_points(validated, measure)
        ),
        PointGroup(meaning=_SHORT, glyph="diamond", color=ORANGE, size=23, points=_points(short, measure)),
    ]


def _points(results: Sequence[_Result], measure: Measure) -> list[Point]:
    factor, _ = measure.unit.axis
    return [
        Point(
            cost=factor * result.costs[measure.name],
            accuracy=result.accuracy,
            interval=result.interval,
            text=result.number,
            hover=f"<b>{escaped(result.name)}</b><br>{percent(result.accuracy)}<br>"
            f"{whole(result.costs[MACS.name])} MACs<br>{whole(result.costs[PARAMS.name])} parameters",
        )
        for result in results
        if measure.name in result.costs and result.accuracy is not None
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
            whole(costs.get(PARAMS.name)),
            whole(costs.get(MACS.name)),
            result.seen,
            "" if result.accuracy is None else percent(result.accuracy),
            percent_range(result.interval) if result.interval else "",
            "" if result.seconds is None else format_duration(result.seconds),
        ]
    )
