"""The section about how the baseline grew: the law, its multipliers, and the trials that chose it."""

from __future__ import annotations

from collections.abc import Sequence

from allometry.base.units import plural
from allometry.cost import MACS, PARAMS
from allometry.reports.charts import law_heat_map, trial_dots
from allometry.reports.figures import BLUE, ORANGE, Glyph, legend
from allometry.reports.markup import Column, Html, Row, Section, details, element, note, number, table
from allometry.reports.words import NO_BREAK, TIMES, decimal, percent, whole
from allometry.runs import FitResult, GrowthPlan, GrowthResult, LawTrialRecord, RunRecord

_MOST_TRIALS = 30
_LEAST_FOR_HEAT_MAP = 4
_DIMENSIONS = (("alpha", "depth"), ("beta", "width"), ("gamma", "resolution"))


def growth_section(record: RunRecord, *, prefix: str) -> Section | None:
    """How the baseline grew, and why in this proportion."""
    content: list[Html] = []
    if record.plan is not None:
        content += _law(record.plan)
    if record.law_trials:
        content += _trials(record, prefix)
    return Section("growth", "How it grew", content) if content else None


def _law(plan: GrowthPlan) -> list[Html]:
    sentence = (
        f"Depth, width and resolution grew together, each by its coefficient to the power of "
        f"phi{NO_BREAK}={NO_BREAK}{plan.phi:.4g}; channels and repeats are then rounded to whole ones."
    )
    rows = [
        Row(
            [
                dimension,
                coefficient,
                decimal(getattr(plan.law, coefficient)),
                TIMES + decimal(getattr(plan.multipliers, dimension)),
            ]
        )
        for coefficient, dimension in _DIMENSIONS
    ]
    columns = [Column("dimension"), Column("coefficient"), number("per step"), number("in all")]
    return [element("p", sentence), table(columns, rows)]


def _trials(record: RunRecord, prefix: str) -> list[Html]:
    trials = record.law_trials
    best = sorted(trials, key=lambda trial: (-trial.accuracy, trial.name))
    shown = _with_chosen(best)
    content = [element("h3", "The trials"), element("p", _explanation(record))]
    content += [legend(_legend(shown)), trial_dots(f"{prefix}-trials", shown)]
    if len(shown) < len(best):
        content.append(
            note(f"The figure shows the best {len(shown)} of {len(best)} trials; the table has all.")
        )
    first = min((trial.seed for trial in trials if trial.seed is not None), default=None)
    placed = [
        trial for trial in trials if trial.seed == first
    ]  # the others were tried for the comparison only
    if not isinstance(record.result, FitResult) and len(placed) >= _LEAST_FOR_HEAT_MAP:
        content += [
            element("h3", "Over depth and resolution"),
            law_heat_map(f"{prefix}-law", placed),
            note(
                "The fuller the color, the higher the accuracy; the frame marks the chosen proportion. "
                "Below each accuracy is the beta (width) that doubles the cost with them."
            ),
        ]
    return [*content, details(f"All {plural(len(trials), 'trial')} in numbers", _trial_table(best))]


def _with_chosen(best: Sequence[LawTrialRecord]) -> list[LawTrialRecord]:
    rest = [trial for trial in best[_MOST_TRIALS:] if trial.chosen]
    return [*best[:_MOST_TRIALS], *rest]


def _explanation(record: RunRecord) -> str:
    trials = record.law_trials
    lengths = sorted({trial.epochs for trial in trials})
    noun = "epoch" if lengths == [1] else "epochs"
    epochs = f" of {' or '.join(f'{length:g}' for length in lengths)} {noun}" if lengths else ""
    chosen = next((trial for trial in trials if trial.chosen), None)
    result = f" Chosen: {chosen.name}, with {percent(chosen.accuracy)}." if chosen else " None is chosen yet."
    rival = record.result.rival if isinstance(record.result, GrowthResult) else None
    if rival is not None:
        result += f" {rival.reason.capitalize() if rival.chosen else f'It is the law {rival.reason}'}."
    return (
        f"{plural(len(trials), 'short training')}{epochs} compared the proportions. "
        f"Their accuracies compare with each other, not with the full training.{result}"
    )


def _legend(trials: Sequence[LawTrialRecord]) -> list[tuple[Glyph, str, str]]:
    keys: list[tuple[Glyph, str, str]] = []
    if any(trial.chosen for trial in trials):
        keys.append(("diamond", ORANGE, "chosen"))
    if not all(trial.chosen for trial in trials):
        keys.append(("circle-open", BLUE, "other proportions"))
    return keys


def _trial_table(trials: Sequence[LawTrialRecord]) -> Html:
    rows = [
        Row(
            [
                trial.name,
                *(f"{getattr(trial.law, name):.3g}" for name, _ in _DIMENSIONS),
                "" if trial.seed is None else str(trial.seed),
                whole(trial.resolution),
                PARAMS.format(trial.params),
                MACS.format(trial.macs),
                decimal(trial.loss),
                percent(trial.accuracy),
            ],
            marked=trial.chosen,
        )
        for trial in trials
    ]
    numbers = ("alpha", "beta", "gamma", "seed", "input, px", "parameters", "MACs", "loss", "accuracy")
    return table([Column("trial"), *(number(title) for title in numbers)], rows)
