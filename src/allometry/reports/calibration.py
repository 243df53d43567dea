"""The section about how sure the network is, and whether it is right to be."""

from __future__ import annotations

from collections.abc import Sequence

from allometry.reports.figures import (
    BLUE,
    GRAY,
    IN_PERCENT,
    ORANGE,
    Trace,
    axis,
    figure,
    legend,
    side_by_side,
)
from allometry.reports.markup import Column, Html, Row, Section, bar, details, element, note, number, table
from allometry.reports.words import NO_BREAK, percent, percent_range, whole
from allometry.runs import CalibrationBin, Evaluation, RunRecord

_MATTERS = 1.5  # an error below so many times what chance gives is not worth a warning
_SHARES = {
    "range": [0, 102],
    "tickvals": list(range(0, 101, 20)),
    "ticktext": [f"{percentage} %" for percentage in range(0, 101, 20)],
}


def calibration_section(record: RunRecord, *, prefix: str) -> Section | None:
    """The calibration error in words, the reliability diagram, and its table."""
    evaluation = record.evaluation
    bins = [bin_ for bin_ in evaluation.calibration if bin_.images > 0] if evaluation else []
    if evaluation is None or not bins:
        return None
    content = [
        element("p", _sentence(evaluation, bins)),
        legend(
            [
                ("square", BLUE, "share that is right, with its 95 % interval"),
                ("dashes", ORANGE, "as it should be"),
            ]
        ),
        side_by_side(_diagram(f"{prefix}-reliability", bins), _histogram(f"{prefix}-confidence", bins)),
        note(
            "Answers are put together by the probability that the network gives them. Bars above the dashed line: "
            "it is right more often than it says; below: less often."
        ),
        details("The bins as a table", _table(bins)),
    ]
    return Section("calibration", "How sure it is", content)


def _sentence(evaluation: Evaluation, bins: Sequence[CalibrationBin]) -> str:
    images = sum(bin_.images for bin_ in bins)
    sure = sum(bin_.images * (bin_.confidence or 0.0) for bin_ in bins) / images
    sentences = [
        f"On average it gives its answers a probability of {percent(sure)}, and {percent(evaluation.accuracy)} "
        f"of them are right."
    ]
    error, chance = evaluation.calibration_error, evaluation.calibration_by_chance
    sentences.append(
        f"Within each range of probabilities the two differ by {percent(error)} "
        f"({percent_range(evaluation.calibration_interval)}{NO_BREAK}%) on average: the expected calibration error."
    )
    sentences.append(
        f"On {whole(images)} images chance alone gives {percent(chance)}, even to a network that is exactly as sure as "
        f"it should be. {_verdict(error, chance, sure, evaluation)}"
    )
    sentences.append(f"Its Brier score is {evaluation.brier:.3f}.")
    return " ".join(sentences)


def _verdict(error: float, chance: float, sure: float, evaluation: Evaluation) -> str:
    if error < _MATTERS * chance:
        return "So its probabilities can be taken at their word."
    if sure < evaluation.accuracy:
        return "So it is right more often than it says."
    return "So it is right less often than it says: do not take its probabilities at their word."


def _diagram(name: str, bins: Sequence[CalibrationBin]) -> Html:
    accuracies = [bin_.accuracy or 0.0 for bin_ in bins]
    bounds = [bin_.interval or (accuracy, accuracy) for bin_, accuracy in zip(bins, accuracies, strict=True)]
    bars = _bars(bins, [100 * value for value in accuracies], hover=[_hover(bin_) for bin_ in bins])
    bars["error_y"] = {
        "type": "data",
        "symmetric": False,
        "array": [
            round(100 * max(high - value, 0), 3) for (_, high), value in zip(bounds, accuracies, strict=True)
        ],
        "arrayminus": [
            round(100 * max(value - low, 0), 3) for (low, _), value in zip(bounds, accuracies, strict=True)
        ],
        "thickness": 1.5,
        "width": 0,
        "color": GRAY,
    }
    diagonal: Trace = {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 100],
        "y": [0, 100],
        "line": {"color": ORANGE, "width": 2, "dash": "dash"},
        "hoverinfo": "skip",
    }
    return figure(
        name,
        [bars, diagonal],
        height=320,
        label="Reliability diagram",
        xaxis=axis("probability of the answer", **_SHARES),
        yaxis=axis("answers that are right", **_SHARES),
    )


def _histogram(name: str, bins: Sequence[CalibrationBin]) -> Html:
    images = sum(bin_.images for bin_ in bins)
    shares = [100 * bin_.images / images for bin_ in bins]
    bars = _bars(bins, shares, hover=[f"{whole(bin_.images)} images" for bin_ in bins])
    return figure(
        name,
        [bars],
        height=320,
        label="How probable the answers are",
        xaxis=axis("probability of the answer", **_SHARES),
        yaxis=axis("share of the images", rangemode="tozero", nticks=6, **IN_PERCENT),
    )


def _bars(bins: Sequence[CalibrationBin], heights: Sequence[float], *, hover: Sequence[str]) -> Trace:
    return {
        "type": "bar",
        "x": [round(50 * (bin_.low + bin_.high), 4) for bin_ in bins],
        "width": [round(95 * (bin_.high - bin_.low), 4) for bin_ in bins],
        "y": [round(height, 3) for height in heights],
        "marker": {"color": BLUE, "opacity": 0.85},
        "hovertext": hover,
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _hover(bin_: CalibrationBin) -> str:
    claim = f"says {percent(bin_.confidence)}" if bin_.confidence is not None else ""
    right = f"right {percent(bin_.accuracy)}" if bin_.accuracy is not None else ""
    return f"{claim}<br>{right}<br>{whole(bin_.images)} images"


def _table(bins: Sequence[CalibrationBin]) -> Html:
    images = sum(bin_.images for bin_ in bins)
    rows = [
        Row(
            [
                f"{percent(bin_.low)} to {percent(bin_.high)}",
                bar(bin_.images / images, whole(bin_.images)),
                "" if bin_.confidence is None else percent(bin_.confidence),
                "" if bin_.accuracy is None else percent(bin_.accuracy),
                percent_range(bin_.interval) if bin_.interval else "",
            ]
        )
        for bin_ in bins
    ]
    columns = [Column("probability"), number("images"), number("mean probability"), number("right")]
    return table([*columns, number("95 % interval")], rows)
