"""The sections about training: learning curves, the recipe, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from allometry.base.units import format_duration, format_quantity, plural
from allometry.cost import MACS, count
from allometry.reports.charts import learning_curve
from allometry.reports.figures import BLUE, GRAY, GREEN, ORANGE, legend, side_by_side
from allometry.reports.markup import Html, Row, Section, details, element, facts, note, number, table
from allometry.reports.scatter import Point, PointGroup, accuracy_against
from allometry.reports.words import decimal, percent, whole
from allometry.runs import EpochMetrics, ExtractResult, GrowthSchedule, LawTrialRecord, RunRecord


def training_section(record: RunRecord, *, prefix: str) -> Section | None:
    """Loss and accuracy over the epochs."""
    content: list[Html] = []
    if record.history:
        content = [
            element("p", _progress(record)),
            legend([("dashes", GRAY, "training images"), ("line", BLUE, "validation images")]),
            _curves(record, prefix),
        ]
    if record.growth:
        content.append(_growth(record.growth))
    if record.recipe:
        pairs = ((name.replace("_", " "), _shown(value)) for name, value in record.recipe.items())
        untrained = isinstance(record.result, ExtractResult) and not record.result.epochs
        content.append(details("The supernet's recipe" if untrained else "The recipe", facts(pairs)))
    return (
        Section("training", "Learning curves" if record.history else "Training", content) if content else None
    )


def _curves(record: RunRecord, prefix: str) -> Html:
    epochs, several = record.history, record.data is not None and record.data.multi_label
    return side_by_side(
        learning_curve(
            f"{prefix}-loss",
            epochs,
            of="loss",
            train=lambda epoch: epoch.train_loss,
            val=lambda epoch: epoch.val_loss,
            in_percent=False,
        ),
        learning_curve(
            f"{prefix}-accuracy",
            epochs,
            of=record.metric,
            # Of several labels the precision is that of all images together, which training does not have.
            train=lambda epoch: None if several else epoch.train_accuracy,
            val=lambda epoch: epoch.val_accuracy,
            in_percent=True,
        ),
    )


def _growth(growth: GrowthSchedule) -> Html:
    """The networks that were trained one after the other, each grown from the one before."""
    rows = [
        Row(
            [
                f"{phase.first_epoch} to {phase.last_epoch}",
                format_quantity(phase.cost.macs),
                format_quantity(phase.cost.params),
                f"{phase.network.resolution} px",
                str(phase.network.depth),
            ]
        )
        for phase in growth.phases
    ]
    titles = ("epochs", "MACs", "params", "images", "blocks")
    return table([number(title) for title in titles], rows)


def _progress(record: RunRecord) -> str:
    epochs = record.history
    last = epochs[-1]
    of = f" of {last.epochs}" if last.epochs != last.epoch else ""
    seconds = sum(epoch.seconds for epoch in epochs) / len(epochs)
    speed = sum(epoch.images_per_second for epoch in epochs) / len(epochs)
    reached = f"{percent(last.val_accuracy)} of the validation images correct"
    if record.data is not None and record.data.multi_label:
        reached = f"{record.metric} {percent(last.val_accuracy)} on the validation images"
    return (
        f"After epoch {last.epoch}{of}: {reached}, validation loss "
        f"{decimal(last.val_loss)}, training loss {decimal(last.train_loss)}. An epoch took {format_duration(seconds)} "
        f"on average, at {whole(speed)} images per second."
    )


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def cost_section(record: RunRecord, *, prefix: str) -> Section | None:
    """Accuracy against MACs of everything that was trained in the run."""
    groups = [group for group in _groups(record) if group.points]
    if sum(len(group.points) for group in groups) < 2:
        return None
    content = [
        legend((group.glyph, group.color, group.meaning) for group in groups),
        accuracy_against(f"{prefix}-macs", groups, cost="MACs", accuracy="validation accuracy"),
    ]
    if len({group.meaning.startswith(_FULL) for group in groups}) == 2:
        content.append(
            note(
                "The short trainings stopped long before they were done: compare them with each other, "
                "not with the full training."
            )
        )
    return Section("accuracy", "Accuracy against MACs", content)


_FULL = "the network, full training"


def _groups(record: RunRecord) -> list[PointGroup]:
    short = _short(record.law_trials)
    chosen = [trial for trial in record.law_trials if trial.chosen]
    others = [trial for trial in record.law_trials if not trial.chosen]
    return [
        PointGroup(
            meaning=f"other proportions{short}",
            glyph="circle-open",
            color=BLUE,
            size=9,
            points=_trial_points(others),
        ),
        PointGroup(
            meaning=f"chosen proportion{short}",
            glyph="diamond",
            color=ORANGE,
            size=13,
            points=_trial_points(chosen),
        ),
        PointGroup(
            meaning=_full(record.history), glyph="star", color=GREEN, size=19, points=_final_point(record)
        ),
    ]


def _full(epochs: Sequence[EpochMetrics]) -> str:
    if not epochs:
        return _FULL
    done, of = epochs[-1].epoch, epochs[-1].epochs
    return f"{_FULL} ({done} of {of} epochs so far)" if done < of else f"{_FULL} ({plural(done, 'epoch')})"


def _short(trials: Sequence[LawTrialRecord]) -> str:
    lengths = {trial.epochs for trial in trials}
    if len(lengths) == 1:
        return f", short training ({plural(round(lengths.pop()), 'epoch')})"
    return ", short training"


def _trial_points(trials: Sequence[LawTrialRecord]) -> list[Point]:
    return [
        Point(
            cost=trial.macs,
            accuracy=trial.accuracy,
            hover=_hover(escape(trial.name), trial.accuracy, trial.macs),
        )
        for trial in trials
    ]


def _final_point(record: RunRecord) -> list[Point]:
    if record.network is None or not record.history:
        return []
    macs, accuracy = count(record.network).macs, record.history[-1].val_accuracy
    return [
        Point(
            cost=macs,
            accuracy=accuracy,
            hover=_hover(_full(record.history), accuracy, macs),
        )
    ]


def _hover(name: str, accuracy: float, macs: float) -> str:
    return f"<b>{name}</b><br>{percent(accuracy)}<br>{MACS.describe(macs)}"
