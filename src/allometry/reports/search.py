"""The section about a search: its trials, what they are worth over their cost, and random search beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from allometry.base.units import plural
from allometry.cost import MACS, PARAMS, Measure
from allometry.cost.measures import more_measures
from allometry.nas.hypervolume import hypervolumes, reference_point
from allometry.reports.figures import BLUE, GRAY, GREEN, ORANGE, Glyph, Trace, axis, figure, legend
from allometry.reports.markup import (
    Column,
    Html,
    Row,
    Section,
    details,
    element,
    escaped,
    note,
    number,
    table,
)
from allometry.reports.scatter import Point, PointGroup, accuracy_against
from allometry.reports.words import listed, percent, whole
from allometry.runs import RunRecord, SearchPlan, SearchResult, SearchTrialRecord

_ACCURACY = "accuracy"
_GRADIENT = ("proxylessnas", "fbnet")
_TERA = 1e12
_COUNTABLE = 10**9  # networks; of more, the power of ten says enough


def search_section(record: RunRecord, *, prefix: str) -> Section | None:
    """What was searched and found."""
    plan, result = record.search, _result(record)
    if plan is None:
        return None
    ours = _of(record, "search")
    content = [element("p", _sentence(plan, result, ours))]
    if ours:
        content += _points(result, ours, prefix)
        if plan.searcher not in _GRADIENT:
            content += _curves(plan, ours, _of(record, "random"), prefix)
        content.append(details(f"All {plural(len(ours), 'trial')} in numbers", _table(plan, result, ours)))
    return Section("search", "The search", content)


def chosen_trial(record: RunRecord) -> SearchTrialRecord | None:
    """The trial of the network that a search has found.

    Example:
        >>> from pathlib import Path
        >>> chosen_trial(RunRecord(folder=Path("x"), name="x")) is None
        True
    """
    result = _result(record)
    if result is None:
        return None
    return next((trial for trial in _of(record, "search") if trial.number == result.chosen), None)


def _result(record: RunRecord) -> SearchResult | None:
    return record.result if isinstance(record.result, SearchResult) else None


def _of(record: RunRecord, phase: str) -> list[SearchTrialRecord]:
    """The trials of a phase, by number; where one is written down twice, the later line counts."""
    latest = {trial.number: trial for trial in record.search_trials if trial.phase == phase}
    return [latest[place] for place in sorted(latest)]


def _sentence(plan: SearchPlan, result: SearchResult | None, trials: Sequence[SearchTrialRecord]) -> str:
    size = whole(plan.size) if plan.size < _COUNTABLE else f"about 10^{len(str(plan.size)) - 1}"
    within = f" within {plan.budget}" if plan.budget else ""
    stopped = sum(trial.stopped for trial in trials)
    failed = sum(bool(trial.failed) for trial in trials)
    if plan.searcher in _GRADIENT:
        return _by_gradient(plan, size, within, trials)
    parts = [
        f"Of the {size} networks of {plan.space.partition('(')[2].partition(',')[0] or 'the space'}, "
        f"{plan.searcher} tried {plural(len(trials), 'network')}{within}, for the largest "
        f"{listed(list(plan.objectives))}."
    ]
    if stopped:
        parts.append(f"{plural(stopped, 'training')} ended early, being worse than half of those before.")
    if failed:
        parts.append(f"{plural(failed, 'training')} came to nothing.")
    best = next((trial for trial in trials if result and trial.number == result.chosen), None)
    if best is not None:
        values = ", ".join(f"{value:.4g}" for value in best.values if value is not None)
        parts.append(f"Found: number {best.number}, worth {values}.")
    return " ".join(parts)


def _by_gradient(plan: SearchPlan, size: str, within: str, trials: Sequence[SearchTrialRecord]) -> str:
    values = [f"{value:.4g}" for trial in trials for value in trial.values if value is not None]
    subject = "they are" if len(trials) > 1 else "it is"
    worth = (
        f" Trained briefly, {subject} worth {', '.join(values)} ({listed(list(plan.objectives))})."
        if values
        else ""
    )
    taken = f"the most probable network{within} was taken"
    if len(trials) > 1:
        taken = f"{plural(len(trials), 'network')}{within} were drawn by it"
    return (
        f"One network with all choices of the space, which has {size} networks, was trained by {plan.searcher}, and "
        f"with it how probable each choice is; {taken}.{worth}"
    )


def _points(result: SearchResult | None, trials: Sequence[SearchTrialRecord], prefix: str) -> list[Html]:
    chosen = [trial for trial in trials if result and trial.number == result.chosen]
    front = [trial for trial in trials if result and trial.number in result.front and trial not in chosen]
    stopped = [trial for trial in trials if trial.stopped and trial not in (*chosen, *front)]
    others = [trial for trial in trials if trial not in (*chosen, *front, *stopped)]
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
        accuracy_against(f"{prefix}-tried", kept, cost=MACS.label, accuracy="validation accuracy"),
        note("Short trainings: compare their accuracies with each other, not with a full training."),
    ]
    return [element("h3", "The trials"), *shown]


def _group(
    meaning: str, glyph: Glyph, color: str, size: int, trials: Iterable[SearchTrialRecord]
) -> PointGroup:
    points = [
        Point(cost=trial.metrics[MACS.name], accuracy=trial.metrics[_ACCURACY], hover=_hover(trial))
        for trial in trials
        if trial.metrics.get(MACS.name) and _ACCURACY in trial.metrics
    ]
    return PointGroup(meaning=meaning, glyph=glyph, color=color, size=size, points=points)


def _hover(trial: SearchTrialRecord) -> str:
    lines = [f"<b>number {trial.number}</b>", percent(trial.metrics[_ACCURACY])]
    lines += [
        f"{measure.format(trial.metrics[measure.name])} {measure.label}"
        for measure in _shown_measures()
        if measure.name in trial.metrics
    ]
    lines += [f"worth {value:.4g}" for value in trial.values if value is not None]
    return "<br>".join(lines)


def _shown_measures() -> tuple[Measure, ...]:
    return (MACS, PARAMS, *more_measures())


def _curves(
    plan: SearchPlan, ours: Sequence[SearchTrialRecord], random: Sequence[SearchTrialRecord], prefix: str
) -> list[Html]:
    """The best so far over what it has cost; of several objectives, the hypervolume so far."""
    reference = reference_point([values for trial in (*ours, *random) if (values := _values(trial))])
    several = reference is not None and len(reference) > 1
    lines: list[tuple[str, Glyph, str, Sequence[SearchTrialRecord]]] = [(plan.searcher, "line", BLUE, ours)]
    if random:
        lines.append(("random search of the same cost", "dashes", GRAY, random))
    if reference is None:
        return []
    traces = [_curve(name, glyph, color, trials, reference) for name, glyph, color, trials in lines]
    traces = [trace for trace in traces if trace["x"]]
    objective = "hypervolume" if several else plan.objectives[0] if plan.objectives else "value"
    what = "hypervolume" if several else "best value"
    content = [
        element("h3", f"The {'hypervolume' if several else 'best'} so far over its cost"),
        legend([(glyph, color, name) for name, glyph, color, trials in lines if trials]),
        figure(
            f"{prefix}-reward",
            traces,
            height=320,
            label=f"The {what} so far over the cost of the trainings",
            xaxis=axis("cost of the trainings, 10^12 MACs", rangemode="tozero", nticks=8),
            yaxis=axis(escaped(objective), nticks=7),
        ),
    ]
    if several:
        point = ", ".join(
            f"{name} {value:.4g}" for name, value in zip(plan.objectives, reference, strict=False)
        )
        content.append(
            note(
                "The hypervolume is the volume of all that some network of the front is better than, down to the "
                f"reference point: {point}, the worst that was tried less a tenth of the range."
            )
        )
    return content


def _values(trial: SearchTrialRecord) -> tuple[float, ...] | None:
    """What a trial is worth; None where it failed."""
    known = tuple(value for value in trial.values if value is not None)
    return known if known and len(known) == len(trial.values) else None


def _curve(
    name: str, glyph: Glyph, color: str, trials: Sequence[SearchTrialRecord], reference: tuple[float, ...]
) -> Trace:
    spent = accumulate(trial.training_macs for trial in trials)
    known = [
        (cost, values)
        for cost, trial in zip(spent, trials, strict=True)
        if (values := _values(trial)) is not None
    ]
    worths = [values for _, values in known]
    if len(reference) > 1:
        bests = hypervolumes(worths, reference)
    else:
        bests = list(accumulate((value for (value,) in worths), max))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": escaped(name),
        "x": [round(cost / _TERA, 6) for cost, _ in known],
        "y": [float(f"{best:.6g}") for best in bests],
        "line": {
            "shape": "hv",
            "color": color,
            "width": 2.5,
            "dash": "dash" if glyph == "dashes" else "solid",
        },
        "hovertemplate": "%{y:.4g} after %{x:.3g}",
    }


def _table(plan: SearchPlan, result: SearchResult | None, trials: Sequence[SearchTrialRecord]) -> Html:
    known = [
        measure for measure in _shown_measures() if any(measure.name in trial.metrics for trial in trials)
    ]
    columns = [
        number("number"),
        *(number(text) for text in (plan.objectives if len(plan.objectives) > 1 else ("worth",))),
        number("accuracy"),
        *(number(measure.label) for measure in known),
        number("input, px"),
        number("epochs"),
        Column(""),
    ]
    ranked = sorted(
        trials, key=lambda trial: [float("inf") if value is None else -value for value in trial.values]
    )
    rows = [_row(trial, plan, result, known) for trial in ranked]
    return table(columns, rows, sortable=True)


def _row(
    trial: SearchTrialRecord, plan: SearchPlan, result: SearchResult | None, known: Sequence[Measure]
) -> Row:
    values = list(trial.values) + [None] * (max(1, len(plan.objectives)) - len(trial.values))
    metrics = trial.metrics
    costs = [measure.format(metrics[measure.name]) if measure.name in metrics else "" for measure in known]
    return Row(
        [
            str(trial.number),
            *("" if value is None else f"{value:.4g}" for value in values),
            percent(metrics[_ACCURACY]) if _ACCURACY in metrics else "",
            *costs,
            whole(trial.resolution),
            whole(trial.epochs),
            trial.failed or ("ended early" if trial.stopped else ""),
        ],
        marked=result is not None and trial.number == result.chosen,
    )
