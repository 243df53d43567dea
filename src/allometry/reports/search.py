"""The section about a search: its trials, what they are worth over their cost, and random search beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from allometry.base.units import plural
from allometry.reports.figures import BLUE, GRAY, GREEN, ORANGE, Glyph, Trace, axis, figure, legend
from allometry.reports.markup import Column, Html, Row, Section, details, element, note, number, table
from allometry.reports.record import RunRecord, Search, SearchTrial
from allometry.reports.scatter import Point, PointGroup, accuracy_against
from allometry.reports.words import listed, percent, quantity, whole

_COLUMNS = {"accuracy": "accuracy", "macs": "MACs", "params": "parameters", "latency": "latency"}
_GRADIENT = ("proxylessnas", "fbnet")
_TERA = 1e12


def search_section(record: RunRecord, *, prefix: str) -> Section | None:
    """What was searched and found."""
    found = record.search
    if found is None:
        return None
    ours = _of(record, "search")
    content = [element("p", _sentence(found, ours))]
    if ours:
        content += _points(found, ours, prefix)
        if found.by not in _GRADIENT:
            content += _curves(found, ours, _of(record, "random"), prefix)
        content.append(details(f"All {plural(len(ours), 'trial')} in numbers", _table(found, ours)))
    return Section("search", "The search", content)


def found_trial(record: RunRecord) -> SearchTrial | None:
    """The trial of the network that a search has found.

    Example:
        >>> from pathlib import Path
        >>> found_trial(RunRecord(folder=Path("x"), name="x")) is None
        True
    """
    if record.search is None:
        return None
    return next((each for each in _of(record, "search") if each.number == record.search.chosen), None)


def _of(record: RunRecord, phase: str) -> list[SearchTrial]:
    """The trials of a phase, by number; where one is written down twice, the later line counts."""
    latest = {each.number: each for each in record.tried if each.phase == phase}
    return [latest[place] for place in sorted(latest)]


def _sentence(found: Search, trials: Sequence[SearchTrial]) -> str:
    size = whole(float(found.size)) if found.size.isdigit() and len(found.size) < 10 else _power(found.size)
    within = f" within {found.budget}" if found.budget else ""
    stopped = sum(each.stopped for each in trials)
    failed = sum(bool(each.failed) for each in trials)
    if found.by in _GRADIENT:
        return _by_gradient(found, size, within, trials)
    parts = [
        f"Of the {size} networks of {found.space.partition('(')[2].partition(',')[0] or 'the space'}, "
        f"{found.by} tried {plural(len(trials), 'network')}{within}, for the largest "
        f"{listed(list(found.objectives))}."
    ]
    if stopped:
        parts.append(f"{plural(stopped, 'training')} ended early, being worse than half of those before.")
    if failed:
        parts.append(f"{plural(failed, 'training')} came to nothing.")
    best = next((each for each in trials if each.number == found.chosen), None)
    if best is not None:
        values = ", ".join(f"{value:.4g}" for value in best.values if value is not None)
        parts.append(f"Found: number {best.number}, worth {values}.")
    return " ".join(parts)


def _by_gradient(found: Search, size: str, within: str, trials: Sequence[SearchTrial]) -> str:
    values = [f"{value:.4g}" for each in trials for value in each.values if value is not None]
    worth = (
        f" Trained briefly, it is worth {', '.join(values)} ({listed(list(found.objectives))})."
        if values
        else ""
    )
    return (
        f"One network with all choices of the space, which has {size} networks, was trained by {found.by}, and with it "
        f"how probable each choice is; the most probable network{within} was taken.{worth}"
    )


def _power(size: str) -> str:
    return f"about 10^{len(size) - 1}" if size.isdigit() else "many"


def _points(found: Search, trials: Sequence[SearchTrial], prefix: str) -> list[Html]:
    chosen = [each for each in trials if each.number == found.chosen]
    front = [each for each in trials if each.number in found.front and each not in chosen]
    stopped = [each for each in trials if each.stopped and each not in (*chosen, *front)]
    others = [each for each in trials if each not in (*chosen, *front, *stopped)]
    groups = [
        _group("tried", "circle-open", BLUE, 9, others),
        _group("ended early", "circle-open", GRAY, 8, stopped),
        _group("none better in everything", "square", GREEN, 11, front),
        _group("found", "diamond", ORANGE, 14, chosen),
    ]
    kept = [group for group in groups if group.points]
    if not kept:
        return []
    shown = [
        legend((group.glyph, group.color, group.meaning) for group in kept),
        accuracy_against(f"{prefix}-tried", kept, cost="MACs", accuracy="validation accuracy"),
        note("Short trainings: compare their accuracies with each other, not with a full training."),
    ]
    return [element("h3", "The trials"), *shown]


def _group(meaning: str, glyph: Glyph, color: str, size: int, trials: Iterable[SearchTrial]) -> PointGroup:
    points = [
        Point(cost=each.figures["macs"], accuracy=each.figures["accuracy"], hover=_hover(each))
        for each in trials
        if each.figures.get("macs") and "accuracy" in each.figures
    ]
    return PointGroup(meaning=meaning, glyph=glyph, color=color, size=size, points=points)


def _hover(trial: SearchTrial) -> str:
    lines = [f"<b>number {trial.number}</b>", percent(trial.figures["accuracy"])]
    lines += [
        f"{quantity(name, trial.figures[name])} {title}"
        for name, title in _COLUMNS.items()
        if name != "accuracy" and name in trial.figures
    ]
    lines += [f"worth {value:.4g}" for value in trial.values if value is not None]
    return "<br>".join(lines)


def _curves(
    found: Search, ours: Sequence[SearchTrial], random: Sequence[SearchTrial], prefix: str
) -> list[Html]:
    """The best so far over what it has cost."""
    lines: list[tuple[str, Glyph, str, Sequence[SearchTrial]]] = [(found.by, "line", BLUE, ours)]
    if random:
        lines.append(("random search of the same cost", "dashes", GRAY, random))
    traces = [_curve(name, glyph, color, trials) for name, glyph, color, trials in lines]
    traces = [trace for trace in traces if trace["x"]]
    if not traces:
        return []
    objective = found.objectives[0] if found.objectives else "value"
    return [
        element("h3", "The best so far over its cost"),
        legend([(glyph, color, name) for name, glyph, color, trials in lines if trials]),
        figure(
            f"{prefix}-reward",
            traces,
            height=320,
            label="The best value so far over the cost of the trainings",
            xaxis=axis("cost of the trainings, 10^12 MACs", rangemode="tozero", nticks=8),
            yaxis=axis(escape(objective), nticks=7),
        ),
    ]


def _curve(name: str, glyph: Glyph, color: str, trials: Sequence[SearchTrial]) -> Trace:
    spent, best, places, values = 0.0, float("-inf"), [], []
    for each in trials:
        spent += each.work
        value = each.values[0] if each.values else None
        best = best if value is None else max(best, value)
        if best > float("-inf"):
            places.append(round(spent / _TERA, 6))
            values.append(round(best, 6))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": escape(name),
        "x": places,
        "y": values,
        "line": {
            "shape": "hv",
            "color": color,
            "width": 2.5,
            "dash": "dash" if glyph == "dashes" else "solid",
        },
        "hovertemplate": "%{y:.4g} after %{x:.3g}",
    }


def _table(found: Search, trials: Sequence[SearchTrial]) -> Html:
    known = [name for name in _COLUMNS if any(name in each.figures for each in trials)]
    columns = [
        number("number"),
        *(number(text) for text in (found.objectives if len(found.objectives) > 1 else ("worth",))),
        *(number(_COLUMNS[name]) for name in known),
        number("input, px"),
        number("epochs"),
        Column(""),
    ]
    ranked = sorted(
        trials, key=lambda each: [float("inf") if value is None else -value for value in each.values]
    )
    rows = [_row(each, found, known) for each in ranked]
    return table(columns, rows, sortable=True)


def _row(trial: SearchTrial, found: Search, known: Sequence[str]) -> Row:
    values = list(trial.values) + [None] * (max(1, len(found.objectives)) - len(trial.values))
    figures = [
        "" if name not in trial.figures
        else percent(trial.figures[name]) if name == "accuracy"
        else quantity(name, trial.figures[name])
        for name in known
    ]  # fmt: skip
    return Row(
        [
            str(trial.number),
            *("" if value is None else f"{value:.4g}" for value in values),
            *figures,
            whole(trial.resolution),
            whole(trial.epochs),
            trial.failed or ("ended early" if trial.stopped else ""),
        ],
        marked=trial.number == found.chosen,
    )
