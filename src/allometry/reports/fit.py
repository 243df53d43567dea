"""The section about a fit: the law, how sure it is, and what more MACs would buy."""

from __future__ import annotations

from collections.abc import Sequence

from allometry.base.units import plural
from allometry.cost import MACS
from allometry.reports.figures import BLUE, GREEN, ORANGE, Glyph, Trace, axis, figure, legend, log_axis
from allometry.reports.markup import Column, Html, Row, Section, element, note, number, table
from allometry.reports.words import NO_BREAK, decimal, percent, percent_range, whole
from allometry.runs import FitResult, RunRecord, SizeAccuracy
from allometry.scaling import shares_of

_NAMES = ("alpha", "beta", "gamma")
_MEANING = {"alpha": "depth", "beta": "width", "gamma": "resolution"}


def fit_section(record: RunRecord, *, prefix: str) -> Section | None:
    """The law that was found."""
    fit = record.result
    if not isinstance(fit, FitResult):
        return None
    content = [
        element("p", _sentence(fit)),
        *_map(fit, prefix),
        _laws(fit),
        note(_noise(fit)),
        *_forecast(fit, prefix),
    ]
    return Section("law", "The law", content)


def _sentence(fit: FitResult) -> str:
    law = ", ".join(f"{name} {decimal(getattr(fit.law, name))} ({_MEANING[name]})" for name in _NAMES)
    if not fit.tells_apart:
        return (
            f"Found: {law}. These images do not tell laws apart: all {fit.laws} lie within the noise, and this is "
            "their middle."
        )
    if fit.near_best == 1:
        return f"Found: {law}. Of {fit.laws} laws it is the only one that may be the best."
    ranges = ", ".join(
        f"{name} {percent(low, digits=0)} to {percent(high, digits=0)}"
        for name, (low, high) in fit.region.items()
    )
    return (
        f"Found: {law}. Of {fit.laws} laws {fit.near_best} may be the best; this is their middle. Of the growth of the "
        f"MACs they give {ranges}."
    )


def _laws(fit: FitResult) -> Html:
    columns = [
        *(number(f"{name}, {_MEANING[name]}") for name in _NAMES),
        number("input, px"),
        number("MACs"),
        number("accuracy"),
        number("95 % interval"),
        number("behind, points"),
        number("by the surface"),
        Column("may be the best"),
    ]
    rows = [
        Row(
            [
                *(decimal(getattr(trained.law, name)) for name in _NAMES),
                whole(trained.resolution),
                MACS.format(trained.macs),
                percent(trained.accuracy),
                percent_range(trained.interval),
                f"{100 * trained.behind[0]:.1f} ({percent_range(trained.behind[1:])})"
                if any(trained.behind)
                else "",
                "" if trained.expected is None else percent(trained.expected),
                "yes" if trained.near_best else "",
            ],
            marked=trained.near_best,
        )
        for trained in sorted(fit.trained, key=lambda trained: -trained.accuracy)
    ]
    return table(columns, rows)


def _noise(fit: FitResult) -> str:
    seeds = plural(max(trained.seeds for trained in fit.trained), "seed")
    surface = {
        0: "They are too few for a surface between them",
        1: "The surface is a plane over the shares, since they are fewer than six or lie close together",
        2: f"They lie off the quadratic surface over the shares by {fit.misfit:.2g} variances of that noise",
    }[fit.degree]
    return (
        f"Validation accuracy after short trainings of {plural(fit.epochs, 'epoch')} with {seeds} each; intervals by "
        f"resampling seeds and images, which all laws share. The standard error of a mean is "
        f"{percent(fit.standard_error)}. {surface}. A law may be the best if it lies within one standard error of it."
    )


def _map(fit: FitResult, prefix: str) -> list[Html]:
    """The trained laws over the shares of depth and resolution; width has the rest."""
    shares = [shares_of(trained.law) for trained in fit.trained]
    colors = [GREEN if trained.near_best else BLUE for trained in fit.trained]
    laws: Trace = {
        "type": "scatter",
        "mode": "markers+text",
        "x": [round(100 * share.depth, 2) for share in shares],
        "y": [round(100 * share.resolution, 2) for share in shares],
        "text": [percent(trained.accuracy) for trained in fit.trained],
        "textposition": "top center",
        "cliponaxis": False,
        "marker": {"size": 11, "color": colors},
        "hovertext": [f"{trained.law}<br>{percent(trained.accuracy)}" for trained in fit.trained],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
    found = shares_of(fit.law)
    middle: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [round(100 * found.depth, 2)],
        "y": [round(100 * found.resolution, 2)],
        "marker": {"size": 16, "color": ORANGE, "symbol": "diamond"},
        "hovertext": [str(fit.law)],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
    keys: list[tuple[Glyph, str, str]] = [
        ("diamond", ORANGE, "the law"),
        ("circle", GREEN, "may be the best"),
        ("circle", BLUE, "worse by more than the noise"),
    ]
    return [
        element("h3", "Over depth and resolution"),
        legend(keys),
        figure(
            f"{prefix}-laws",
            [laws, middle],
            height=420,
            label="Accuracy over the shares of depth and resolution",
            xaxis=axis("share of depth", range=[-6, 106], ticksuffix=f"{NO_BREAK}%"),
            yaxis=axis("share of resolution", range=[-6, 112], ticksuffix=f"{NO_BREAK}%"),
        ),
        note("Shares of the growth of the MACs, in logarithms; width has the rest."),
    ]


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
