"""The first page of a report on several runs: accuracy against cost, and one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from allometry.base.units import format_duration
from allometry.cost import Cost, count
from allometry.report.figures import BLUE, GREY, legend, side_by_side
from allometry.report.markup import Column, Html, Row, Section, element, note, number, table
from allometry.report.record import RunRecord
from allometry.report.scatter import Point, PointGroup, accuracy_against
from allometry.report.words import listed, percent, percent_range, whole

_TEST = "accuracy on test images, with its 95 % interval"
_VALIDATION = "accuracy on validation images: not evaluated on test images yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What the comparison needs of one run; `tested` is false where the accuracy is of validation images."""

    number: int
    record: RunRecord
    cost: Cost | None
    accuracy: float | None
    interval: tuple[float, float] | None
    tested: bool
    data: str


def comparison_section(records: Sequence[RunRecord]) -> Section:
    """All runs in two figures and a table."""
    results = [_result(place, record) for place, record in enumerate(records, start=1)]
    content: list[Html] = []
    groups = {
        cost: [group for group in _groups(results, cost) if group.points] for cost in ("macs", "params")
    }
    if groups["macs"]:
        content += [
            legend((group.glyph, group.colour, group.meaning) for group in groups["macs"]),
            side_by_side(
                accuracy_against("all-macs", groups["macs"], cost="MACs", accuracy="accuracy", height=360),
                accuracy_against(
                    "all-params", groups["params"], cost="parameters", accuracy="accuracy", height=360
                ),
            ),
            note("The numbers are the lines of the table."),
        ]
    content.append(_table(results))
    names = sorted({result.data for result in results if result.data})
    if len(names) > 1:
        content.append(
            note(f"The runs are on different data ({listed(names)}): their accuracies do not compare.")
        )
    return Section("comparison", "All runs", content)


def _result(place: int, record: RunRecord) -> _Result:
    evaluation = record.evaluation
    validated = [epoch.val_accuracy for epoch in record.epochs if epoch.val_accuracy is not None]
    accuracy = evaluation.accuracy if evaluation else validated[-1] if validated else None
    name = record.data.name if record.data else ""
    return _Result(
        number=place,
        record=record,
        cost=count(record.network) if record.network else None,
        accuracy=accuracy,
        interval=evaluation.interval if evaluation else None,
        tested=evaluation is not None,
        data=name or str(record.arguments.get("data") or ""),
    )


def _groups(results: Sequence[_Result], cost: str) -> list[PointGroup]:
    tested = [result for result in results if result.tested]
    others = [result for result in results if not result.tested]
    return [
        PointGroup(meaning=_TEST, glyph="circle", colour=BLUE, size=22, points=_points(tested, cost)),
        PointGroup(meaning=_VALIDATION, glyph="square", colour=GREY, size=21, points=_points(others, cost)),
    ]


def _points(results: Sequence[_Result], cost: str) -> list[Point]:
    return [
        Point(
            cost=getattr(result.cost, cost),
            accuracy=result.accuracy,
            interval=result.interval,
            text=str(result.number),
            hover=f"<b>{escape(result.record.name)}</b><br>{percent(result.accuracy)}<br>"
            f"{whole(result.cost.macs)} MACs<br>{whole(result.cost.params)} parameters",
        )
        for result in results
        if result.cost is not None and result.accuracy is not None
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
    record, cost = result.record, result.cost
    seconds = sum(line.seconds for line in record.ledger)
    seen = record.evaluation.split if record.evaluation else "validation"
    return Row(
        [
            str(result.number),
            element("a", record.name, href=f"#run-{result.number}"),
            result.data,
            f"{record.network.resolution}" if record.network else "",
            whole(cost.params) if cost else "",
            whole(cost.macs) if cost else "",
            "" if result.accuracy is None else seen,
            "" if result.accuracy is None else percent(result.accuracy),
            percent_range(result.interval) if result.interval else "",
            format_duration(seconds) if record.ledger else "",
        ]
    )
