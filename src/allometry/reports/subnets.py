"""The sections about a supernet's subnets: the predictor of their accuracy, those measured, and those found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from allometry.base.units import plural
from allometry.cost import LATENCY, MACS, PARAMS, Cost, Measure, RuntimeConfig
from allometry.cost.measures import more_measures, recorded_measure
from allometry.reports.figures import BLUE, GREEN, IN_PERCENT, ORANGE, Trace, axis, figure, legend
from allometry.reports.markup import Column, Html, Row, Section, details, element, joined, note, number, table
from allometry.reports.scatter import Point, PointGroup, accuracy_against
from allometry.reports.words import NO_BREAK, listed, percent, percent_range, whole
from allometry.runs import (
    MeasuredSubnet,
    PredictedBin,
    PredictorQuality,
    RunRecord,
    Subnet,
    SubnetFront,
    SupernetRecord,
)
from allometry.supernets import MIN_TAU

_MARGIN = 0.08  # of an axis, on either side of what it shows
_DEVIATIONS = 1.96  # of a fraction, to either side of it: 95 %


def predictor_section(record: RunRecord, *, prefix: str) -> Section | None:
    """What the predictor of accuracy is worth: in words, and predicted against measured."""
    judged = record.supernet.predictor if record.supernet else None
    if judged is None:
        return None
    content = [element("p", _worth(judged))]
    if judged.bins:
        content += [
            legend(
                [
                    ("circle", BLUE, f"about {_per_bin(judged)} each, with their standard deviation"),
                    ("dashes", ORANGE, "as it should be"),
                ]
            ),
            _calibration(f"{prefix}-predicted", judged.bins),
            note(
                "Subnets next to each other in predicted accuracy are put together. The bars are how much the subnets "
                "of a group differ, not how sure their mean is."
            ),
            details("The groups as a table", _bins(judged.bins)),
        ]
    return Section("predictor", "The predictor of accuracy", content)


def _worth(judged: PredictorQuality) -> str:
    fitted = f"Fitted to {plural(judged.fitted, 'measured subnet')}, it" if judged.fitted else "It"
    sentences = [
        f"{fitted} was judged by {whole(judged.number)} others, on images that it was not fitted to: Kendall's tau is "
        f"{judged.tau:.2f}, so it puts about {percent((1 + judged.tau) / 2, digits=0)} of the pairs in the order that "
        "these images show."
    ]
    bias = judged.bias
    much = f", {100 * abs(bias):.2f} too {'high' if bias > 0 else 'low'} taken all together" if bias else ""
    sentences.append(
        f"Its predictions are off by {100 * judged.mean_absolute_error:.2f} points on average{much}."
    )
    if judged.attainable is not None:
        sentences.append(
            f"One that knew how good the subnets are would have about {judged.attainable:.2f}, since part of what "
            "differs between accuracies on so few images is chance; without that chance the predictor's own would be "
            f"about {judged.true_tau:.2f}."
        )
    if judged.true_tau < MIN_TAU:
        sentences.append(
            f"A search asks for a tau of {MIN_TAU:.1f} without that chance unless it is told to take less: do not "
            "trust its choice between subnets that are close."
        )
    return " ".join(sentences)


def _per_bin(judged: PredictorQuality) -> str:
    return plural(round(sum(bin_.number for bin_ in judged.bins) / len(judged.bins)), "subnet")


def _calibration(name: str, bins: Sequence[PredictedBin]) -> Html:
    values = [bin_.predicted for bin_ in bins]
    values += [bin_.measured + sign * bin_.spread for bin_ in bins for sign in (-1, 1)]
    margin = _MARGIN * (max(values) - min(values)) or 0.01
    ends = [round(100 * (min(values) - margin), 4), round(100 * (max(values) + margin), 4)]
    points: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [round(100 * bin_.predicted, 4) for bin_ in bins],
        "y": [round(100 * bin_.measured, 4) for bin_ in bins],
        "marker": {"size": 10, "color": BLUE},
        "error_y": {
            "type": "data",
            "array": [round(100 * bin_.spread, 4) for bin_ in bins],
            "thickness": 1.5,
            "width": 0,
            "color": BLUE,
        },
        "hovertext": [
            f"predicted {percent(bin_.predicted)}<br>measured {percent(bin_.measured)}<br>"
            f"{plural(bin_.number, 'subnet')}"
            for bin_ in bins
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
    diagonal: Trace = {
        "type": "scatter",
        "mode": "lines",
        "x": ends,
        "y": ends,
        "line": {"color": ORANGE, "width": 2, "dash": "dash"},
        "hoverinfo": "skip",
    }
    return figure(
        name,
        [diagonal, points],
        height=360,
        label="Measured against predicted accuracy",
        xaxis=axis("predicted accuracy", range=ends, nticks=7, **IN_PERCENT),
        yaxis=axis("measured on validation images", range=ends, nticks=7, **IN_PERCENT),
    )


def _bins(bins: Sequence[PredictedBin]) -> Html:
    rows = [
        Row(
            [
                whole(bin_.number),
                percent(bin_.predicted, digits=2),
                percent(bin_.measured, digits=2),
                percent(bin_.spread, digits=2),
            ]
        )
        for bin_ in bins
    ]
    return table([number(text) for text in ("subnets", "predicted", "measured", "deviation")], rows)


def subnets_section(record: RunRecord, *, prefix: str) -> Section | None:
    """Measured subnets by accuracy and MACs, with those that were found, and these in a table."""
    supernet = record.supernet
    if supernet is None:
        return None
    content: list[Html] = []
    groups = [group for group in _groups(supernet) if group.points]
    if groups:
        content = [
            element("p", _measured(supernet.measured, record)),
            legend((group.glyph, group.color, group.meaning) for group in groups),
            accuracy_against(f"{prefix}-subnets", groups, cost="MACs", accuracy="validation accuracy"),
        ]
    if supernet.subnets:
        content += [
            element("h3", "Found for budgets"),
            _subnet_table(supernet.subnets),
            note(_chosen(supernet.subnets)),
        ]
    for front in supernet.fronts:
        content.append(details(_front_title(front), _front(front)))
    return Section("subnets", "Its subnets", content) if content else None


def _measured(measured: Sequence[MeasuredSubnet], record: RunRecord) -> str:
    images = record.data.images.get("val") if record.data else None
    if not measured:
        return "Subnets that were found, with their accuracies as measured."
    sentence = (
        f"{plural(len(measured), 'subnet')} were measured" if len(measured) > 1 else "1 subnet was measured"
    )
    sentence += (
        f" on {plural(images, 'validation image')}, none of them trained by itself." if images else "."
    )
    middle = sorted(subnet.accuracy for subnet in measured)[len(measured) // 2]
    if images:
        chance = _DEVIATIONS * math.sqrt(middle * (1 - middle) / images)
        sentence += (
            f" With so many images an accuracy is known to within about {100 * chance:.1f} points to either side; the "
            "difference of two subnets better, since all see the same images."
        )
    return sentence


def _groups(supernet: SupernetRecord) -> list[PointGroup]:
    tried = [
        Point(
            cost=subnet.cost.macs,
            accuracy=subnet.accuracy,
            hover=_hover("measured", subnet.accuracy, subnet.cost),
        )
        for subnet in supernet.measured
    ]
    fronts = [
        Point(
            cost=subnet.cost.macs,
            accuracy=subnet.validation_accuracy,
            hover=_hover(f"{front.name}, {place}.json", subnet.validation_accuracy, subnet.cost),
        )
        for front in supernet.fronts
        for place, subnet in enumerate(front.subnets, start=1)
    ]
    subnets = [
        Point(
            cost=subnet.cost.macs,
            accuracy=subnet.validation_accuracy,
            hover=_hover(subnet.name, subnet.validation_accuracy, subnet.cost),
        )
        for subnet in supernet.subnets
    ]
    return [
        PointGroup(meaning="measured", glyph="circle-open", color=BLUE, size=8, points=tried),
        PointGroup(
            meaning="of a front: none predicted to be cheaper and better",
            glyph="square",
            color=GREEN,
            size=10,
            points=fronts,
        ),
        PointGroup(meaning="found for a budget", glyph="diamond", color=ORANGE, size=14, points=subnets),
    ]


def _hover(name: str, accuracy: float, cost: Cost) -> str:
    lines = [f"<b>{escape(name)}</b>", percent(accuracy)]
    lines += [f"{measure.format(cost[measure])} {measure.label}" for measure in (MACS, PARAMS)]
    return "<br>".join(lines)


def _subnet_table(subnets: Sequence[Subnet]) -> Html:
    more = [measure for measure in more_measures() if any(measure.of(one.cost) for one in subnets)]
    extra = [title for measure in more for title in _titles(measure)]
    columns = [
        Column("subnet"),
        Column("budget"),
        number("px"),
        number("params"),
        number("MACs"),
        *extra,
        number(_below("accuracy,", "predicted")),
        number("validation"),
        number("test"),
        number(_below("95 %", "interval")),
    ]
    rows = [
        Row(
            [
                element("span", subnet.name, class_="whole"),
                (subnet.budget or "").replace(" ", NO_BREAK),
                whole(subnet.resolution),
                PARAMS.format(subnet.cost.params),
                MACS.format(subnet.cost.macs),
                *(text for measure in more for text in _values(subnet, measure)),
                _accuracy(subnet.predicted_accuracy),
                _accuracy(subnet.validation_accuracy),
                _accuracy(subnet.test_accuracy),
                percent_range(subnet.test_interval) if subnet.test_interval else "",
            ]
        )
        for subnet in sorted(subnets, key=lambda subnet: subnet.cost.macs)
    ]
    return table(columns, rows)


def _titles(measure: Measure) -> list[Column]:
    """Of the columns of a measure: as measured or counted, and as a table predicted it."""
    own = [number(measure.label)]
    return [*own, number(_below(f"{measure.label},", "predicted"))] if measure == LATENCY else own


def _values(subnet: Subnet, measure: Measure) -> list[str]:
    own = [_formatted(measure, measure.of(subnet.cost))]
    return [*own, _formatted(measure, subnet.predicted_latency)] if measure == LATENCY else own


def _chosen(subnets: Sequence[Subnet]) -> str:
    sentences = [
        "Validation accuracy was among the reasons to choose a subnet, and is a little flattered by that; nothing was "
        "chosen by test images."
    ]
    settings = {_setting(subnet.measured) for subnet in subnets if subnet.measured is not None}
    if settings:
        sentences.append(f"Latencies are those in {listed(sorted(settings))}.")
    return " ".join(sentences)


def _setting(config: RuntimeConfig) -> str:
    batch = f", batches of {config.batch}" if config.batch != 1 else ""
    return f"{config.runtime}, {plural(config.threads, 'thread')}{batch}"


def _front_title(front: SubnetFront) -> str:
    measure = recorded_measure(front.measure).label
    within = f" within {front.budget}" if front.budget else ""
    return f"The front of accuracy against {measure}{within}: {plural(len(front.subnets), 'subnet')}"


def _front(front: SubnetFront) -> Html:
    measure = recorded_measure(front.measure)
    own = measure not in (MACS, PARAMS)  # which have columns of their own
    columns = [
        Column("file"),
        *([number(measure.label)] if own else []),
        number("input, px"),
        number("parameters"),
        number("MACs"),
        number("predicted"),
        number("validation"),
    ]
    rows = [
        Row(
            [
                f"{front.name}/{place}.json",
                *([_formatted(measure, subnet.known(measure))] if own else []),
                whole(subnet.resolution),
                PARAMS.format(subnet.cost.params),
                MACS.format(subnet.cost.macs),
                _accuracy(subnet.predicted_accuracy),
                _accuracy(subnet.validation_accuracy),
            ]
        )
        for place, subnet in enumerate(front.subnets, start=1)
    ]
    return table(columns, rows)


def _below(first: str, second: str) -> Html:
    """The head of a narrow column, in two lines."""
    return joined([first, element("br"), second])


def _formatted(measure: Measure, value: float | None) -> str:
    return "" if value is None else measure.format(value)


def _accuracy(value: float | None) -> str:
    return "" if value is None else percent(value)
