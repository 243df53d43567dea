"""The report's figures of training: curves over the epochs, and the trials of the grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from allometry.cost import MACS
from allometry.reports.figures import BLUE, GRAY, IN_PERCENT, ORANGE, Glyph, Trace, axis, figure, shades
from allometry.reports.markup import Html, escaped
from allometry.reports.words import percent, shortened
from allometry.runs import EpochMetrics, LawTrialRecord

_BETA = "\u03b2"


def learning_curve(
    name: str,
    epochs: Sequence[EpochMetrics],
    *,
    of: str,
    train: Callable[[EpochMetrics], float | None],
    val: Callable[[EpochMetrics], float | None],
    in_percent: bool,
) -> Html:
    """One quantity over the epochs, on training and on validation images."""
    factor = 100 if in_percent else 1
    traces = [
        _curve(epochs, train, factor)
        | {"name": "training", "line": {"color": GRAY, "width": 2.5, "dash": "dash"}},
        _curve(epochs, val, factor) | {"name": "validation", "line": {"color": BLUE, "width": 2.5}},
    ]
    unit = IN_PERCENT if in_percent else {}
    return figure(
        name,
        traces,
        height=300,
        label=f"{of} over the epochs",
        hovermode="x unified",
        xaxis=axis("epoch", rangemode="tozero", tickformat="d", nticks=8),
        yaxis=axis(of, **({"rangemode": "tozero"} | unit)),
    )


def _curve(
    epochs: Sequence[EpochMetrics], read: Callable[[EpochMetrics], float | None], factor: float
) -> Trace:
    known = [(epoch.epoch, value * factor) for epoch in epochs if (value := read(epoch)) is not None]
    return {
        "type": "scatter",
        # A line needs two points; a single epoch would be invisible without its marker.
        "mode": "lines" if len(known) > 2 else "lines+markers",
        "x": [epoch for epoch, _ in known],
        "y": [round(value, 6) for _, value in known],
        "hovertemplate": "%{y:.1f} %" if factor == 100 else "%{y:.3f}",
    }


def trial_dots(name: str, trials: Sequence[LawTrialRecord]) -> Html:
    """The accuracy of every trial, the best on top, the chosen one marked."""
    ordered = sorted(trials, key=lambda trial: trial.accuracy)
    places = list(range(len(ordered)))
    colors = [ORANGE if trial.chosen else BLUE for trial in ordered]
    trace: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [round(100 * trial.accuracy, 4) for trial in ordered],
        "y": places,
        "marker": {
            "size": [15 if trial.chosen else 10 for trial in ordered],
            "symbol": [_trial_symbol(trial) for trial in ordered],
            "opacity": 1,
            "line": {"width": 2, "color": colors},
            "color": colors,
        },
        "hovertext": [_trial_hover(trial) for trial in ordered],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "cliponaxis": False,
    }
    labels = [escaped(shortened(trial.name, 34)) for trial in ordered]
    return figure(
        name,
        [trace],
        height=70 + 24 * len(ordered),
        label="Accuracy of every trial",
        xaxis=axis("validation accuracy", nticks=6, **IN_PERCENT),
        yaxis=axis(tickvals=places, ticktext=labels, range=[-0.7, len(ordered) - 0.3]),
    )


def law_heat_map(name: str, trials: Sequence[LawTrialRecord]) -> Html:
    """Accuracy over alpha and gamma, the best trial where several share a cell; the chosen one has a frame."""
    best: dict[tuple[float, float], LawTrialRecord] = {}
    for trial in sorted(trials, key=lambda trial: trial.accuracy):
        best[trial.law.alpha, trial.law.gamma] = trial
    alphas = sorted({alpha for alpha, _ in best})
    gammas = sorted({gamma for _, gamma in best})
    cells = [[best.get((alpha, gamma)) for alpha in alphas] for gamma in gammas]
    trace: Trace = {
        "type": "heatmap",
        "x": list(range(len(alphas))),
        "y": list(range(len(gammas))),
        "z": [[None if cell is None else round(100 * cell.accuracy, 4) for cell in row] for row in cells],
        "text": [["" if cell is None else _cell_text(cell) for cell in row] for row in cells],
        "texttemplate": "%{text}",
        "hovertext": [["" if cell is None else _trial_hover(cell) for cell in row] for row in cells],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "hoverongaps": False,
        "textfont": {"size": 12},
        "colorscale": shades(BLUE, most=0.75),
        "showscale": False,
        "xgap": 3,
        "ygap": 3,
    }
    frames = [
        _frame(column, row)
        for row, line in enumerate(cells)
        for column, cell in enumerate(line)
        if cell is not None and cell.chosen
    ]
    return figure(
        name,
        [trace],
        height=90 + 54 * max(len(gammas), 3),
        label="Accuracy over alpha and gamma",
        shapes=frames,
        xaxis=axis(
            "alpha (depth)",
            tickvals=trace["x"],
            ticktext=[f"{alpha:.3g}" for alpha in alphas],
            showgrid=False,
        ),
        yaxis=axis(
            "gamma (resolution)",
            tickvals=trace["y"],
            ticktext=[f"{gamma:.3g}" for gamma in gammas],
            showgrid=False,
        ),
    )


def _trial_symbol(trial: LawTrialRecord) -> Glyph:
    return "diamond" if trial.chosen else "circle-open"


def _trial_hover(trial: LawTrialRecord) -> str:
    parts = (
        f"<b>{escaped(trial.name)}</b>",
        percent(trial.accuracy),
        f"{MACS.format(trial.macs)} MACs",
        f"{trial.resolution} px",
    )
    return "<br>".join(parts)


def _cell_text(trial: LawTrialRecord) -> str:
    return f"{percent(trial.accuracy)}<br>{_BETA} {trial.law.beta:.3g}"


def _frame(column: int, row: int) -> dict[str, Any]:
    return {
        "type": "rect",
        "x0": column - 0.495,
        "x1": column + 0.495,
        "y0": row - 0.48,
        "y1": row + 0.48,
        "line": {"color": ORANGE, "width": 3},
    }
