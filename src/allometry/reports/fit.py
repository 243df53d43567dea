"""The section about a fit: the law, how sure it is, and what more MACs would buy."""

from __future__ import annotations

from collections.abc import Sequence

from allometry.base.units import plural
from allometry.cost import MACS
from allometry.reports.figures import BLUE, GREEN, Glyph, Trace, axis, figure, legend, log_axis
from allometry.reports.markup import Column, Html, Row, Section, element, note, number, table
from allometry.reports.words import NO_BREAK, decimal, percent, percent_range, whole
from allometry.runs import FitResult, RunRecord, SizeAccuracy

_NAMES = ("alpha", "beta", "gamma")
_MEANING = {"alpha": "depth", "beta": "width", "gamma": "resolution"}
_NEARLY = 0.9


def fit_section(record: RunRecord, *, prefix: str) -> Section | None:
    """The law that was found."""
    fit = record.result
    if not isinstance(fit, FitResult):
        return None
    content = [
        element("p", _sentence(fit)),
        _finalists(fit),
        note(_finalists_note(fit)),
        *_forecast(fit, prefix),
    ]
    return Section("law", "The law", content)


def _sentence(fit: FitResult) -> str:
    law = ", ".join(f"{name} {decimal(getattr(fit.law, name))} ({_MEANING[name]})" for name in _NAMES)
    best = next((finalist for finalist in fit.finalists if finalist.law == fit.law), None)
    if best is None:
        return f"Found: {law}."
    if best.best >= _NEARLY:
        sure = f"It is the best of the finalists in {percent(best.best, digits=0)} of the resamples."
    else:
        ranges = ", ".join(
            f"{name} from {low:.3g} to {high:.3g}" for name, (low, high) in fit.likely.items() if low < high
        )
        sure = (
            f"It is the best of the finalists in only {percent(best.best, digits=0)} of the resamples: laws with "
            f"{ranges or 'other coefficients'} may be as good."
        )
    return f"Found: {law}. {sure}"


def _finalists(fit: FitResult) -> Html:
    columns = [
        *(number(f"{name}, {_MEANING[name]}") for name in _NAMES),
        number("input, px"),
        number("MACs"),
        number("accuracy"),
        number("95 % interval"),
        number("behind, points"),
        number("the best in"),
        Column("trained"),
    ]
    ranked = sorted(fit.finalists, key=lambda finalist: -finalist.accuracy)
    rows = [
        Row(
            [
                *(decimal(getattr(finalist.law, name)) for name in _NAMES),
                whole(finalist.resolution),
                MACS.format(finalist.macs),
                percent(finalist.accuracy),
                percent_range(finalist.interval),
                f"{100 * finalist.behind[0]:.1f} ({percent_range(finalist.behind[1:])})"
                if any(finalist.behind)
                else "",
                percent(finalist.best, digits=0),
                plural(finalist.seeds, "seed"),
            ],
            marked=finalist.law == fit.law,
        )
        for finalist in ranked
    ]
    return table(columns, rows)


def _finalists_note(fit: FitResult) -> str:
    return (
        f"Validation accuracy after short trainings of {plural(fit.epochs, 'epoch')}; intervals by resampling "
        "seeds and images, which all finalists share."
    )


def _forecast(fit: FitResult, prefix: str) -> list[Html]:
    keys: list[tuple[Glyph, str, str]] = [
        ("circle", BLUE, "trained: the baseline, and one step of the law"),
        ("dashes", GREEN, "to be expected of larger ones, with its 95 % interval"),
    ]
    return [
        element("h3", "What more MACs would buy"),
        legend(keys),
        figure(
            f"{prefix}-forecast",
            [_band(fit.sizes, fit.forecast), _line(fit.sizes, fit.forecast), _trained(fit.sizes)],
            height=340,
            label="Accuracy against MACs, and what larger networks are expected to reach",
            xaxis=log_axis("MACs (logarithmic)", [size.macs for size in (*fit.sizes, *fit.forecast)]),
            yaxis=axis("validation accuracy", nticks=7, ticksuffix=f"{NO_BREAK}%", hoverformat=".1f"),
        ),
        note(
            "The error is taken to fall as a power of the MACs, by the line through the two sizes that were trained; "
            "all of it after short trainings, so that full ones reach more."
        ),
    ]


def _trained(sizes: Sequence[SizeAccuracy]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [size.macs for size in sizes],
        "y": [round(100 * size.accuracy, 4) for size in sizes],
        "marker": {"size": 12, "color": BLUE},
        "hovertemplate": "%{y}<extra></extra>",
    }


def _line(sizes: Sequence[SizeAccuracy], ahead: Sequence[SizeAccuracy]) -> Trace:
    points = [*sizes, *ahead]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [point.macs for point in points],
        "y": [round(100 * point.accuracy, 4) for point in points],
        "line": {"color": GREEN, "width": 2.5, "dash": "dash"},
        "hovertemplate": "%{y}<extra></extra>",
    }


def _band(sizes: Sequence[SizeAccuracy], ahead: Sequence[SizeAccuracy]) -> Trace:
    """From the last that was trained, ever wider."""
    start = sizes[-1]
    points = [(start.macs, (start.accuracy, start.accuracy))]
    points += [(size.macs, size.interval or (size.accuracy, size.accuracy)) for size in ahead]
    there, back = points, points[::-1]
    return {
        "type": "scatter",
        "mode": "lines",
        "fill": "toself",
        "x": [macs for macs, _ in (*there, *back)],
        "y": [round(100 * high, 4) for _, (_, high) in there] + [round(100 * low, 4) for _, (low, _) in back],
        "line": {"width": 0},
        "fillcolor": "rgba(15,157,119,0.16)",
        "hoverinfo": "skip",
    }
