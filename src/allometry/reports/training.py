"""The sections about training: learning curves, the recipe, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from allometry.base.units import format_duration, plural
from allometry.cost import count
from allometry.reports.charts import learning_curve
from allometry.reports.figures import BLUE, GRAY, GREEN, ORANGE, legend, side_by_side
from allometry.reports.markup import Html, Section, details, element, facts, note
from allometry.reports.record import Epoch, RunRecord, Trial
from allometry.reports.scatter import Point, PointGroup, accuracy_against
from allometry.reports.words import decimal, percent, whole, with_measure


def training_section(record: RunRecord, *, prefix: str) -> Section | None:
    """Loss and accuracy over the epochs."""
    content: list[Html] = []
    if record.epochs:
        content = [
            element("p", _progress(record.epochs)),
            legend([("dashes", GRAY, "training images"), ("line", BLUE, "validation images")]),
            _curves(record.epochs, prefix),
        ]
    if record.recipe:
        pairs = ((name.replace("_", " "), _shown(value)) for name, value in record.recipe.items())
        untrained = record.extracted is not None and not record.extracted.epochs
        content.append(details("The supernet's recipe" if untrained else "The recipe", facts(pairs)))
    return (
        Section("training", "Learning curves" if record.epochs else "Training", content) if content else None
    )


def _curves(epochs: Sequence[Epoch], prefix: str) -> Html:
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
            of="accuracy",
            train=lambda epoch: epoch.train_accuracy,
            val=lambda epoch: epoch.val_accuracy,
            in_percent=True,
        ),
    )


def _progress(epochs: Sequence[Epoch]) -> str:
    last = epochs[-1]
    of = f" of {last.epochs}" if last.epochs and last.epochs != last.epoch else ""
    sentences = [f"After epoch {last.epoch}{of}: {_standing(last)}."]
    seconds = [epoch.seconds for epoch in epochs if epoch.seconds is not None]
    if seconds:
        sentences.append(f"An epoch took {format_duration(sum(seconds) / len(seconds))} on average")
        speeds = [epoch.images_per_second for epoch in epochs if epoch.images_per_second is not None]
        sentences[-1] += f", at {whole(sum(speeds) / len(speeds))} images per second." if speeds else "."
    return " ".join(sentences)


def _standing(epoch: Epoch) -> str:
    parts = []
    if epoch.val_accuracy is not None:
        parts.append(f"{percent(epoch.val_accuracy)} of the validation images right")
    if epoch.val_loss is not None:
        parts.append(f"validation loss {decimal(epoch.val_loss)}")
    if epoch.train_loss is not None:
        parts.append(f"training loss {decimal(epoch.train_loss)}")
    return ", ".join(parts) or "nothing measured yet"


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value) or "none"
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
    short = _short(record.trials)
    chosen = [trial for trial in record.trials if trial.chosen]
    baseline = [trial for trial in record.trials if trial.kind == "baseline" and not trial.chosen]
    others = [trial for trial in record.trials if trial.kind != "baseline" and not trial.chosen]
    return [
        PointGroup(
            meaning=f"other proportions{short}",
            glyph="circle-open",
            color=BLUE,
            size=9,
            points=_trial_points(others),
        ),
        PointGroup(
            meaning=f"baseline{short}", glyph="square", color=GRAY, size=12, points=_trial_points(baseline)
        ),
        PointGroup(
            meaning=f"chosen proportion{short}",
            glyph="diamond",
            color=ORANGE,
            size=13,
            points=_trial_points(chosen),
        ),
        PointGroup(
            meaning=_full(record.epochs), glyph="star", color=GREEN, size=19, points=_final_point(record)
        ),
    ]


def _full(epochs: Sequence[Epoch]) -> str:
    if not epochs:
        return _FULL
    done, of = epochs[-1].epoch, epochs[-1].epochs
    return (
        f"{_FULL} ({done} of {of} epochs so far)"
        if of and done < of
        else f"{_FULL} ({plural(done, 'epoch')})"
    )


def _short(trials: Sequence[Trial]) -> str:
    lengths = {trial.epochs for trial in trials if trial.epochs is not None}
    if len(lengths) == 1:
        return f", short training ({plural(round(lengths.pop()), 'epoch')})"
    return ", short training"


def _trial_points(trials: Sequence[Trial]) -> list[Point]:
    return [
        Point(
            cost=trial.macs,
            accuracy=trial.accuracy,
            hover=_hover(escape(trial.name), trial.accuracy, trial.macs),
        )
        for trial in trials
        if trial.macs
    ]


def _final_point(record: RunRecord) -> list[Point]:
    known = [epoch for epoch in record.epochs if epoch.val_accuracy is not None]
    if record.network is None or not known:
        return []
    macs, accuracy = count(record.network).macs, known[-1].val_accuracy or 0.0
    return [
        Point(
            cost=macs,
            accuracy=accuracy,
            hover=_hover(_full(record.epochs), accuracy, macs),
        )
    ]


def _hover(name: str, accuracy: float, macs: float) -> str:
    return f"<b>{name}</b><br>{percent(accuracy)}<br>{with_measure('macs', macs)}"
