"""The sections about quality: the evaluation, what is confused with what, single classes, single mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from allometry.base.units import plural
from allometry.reports.confusion import Pair, confused_pairs, confusion_figure, has_matrix
from allometry.reports.figures import BLUE, ORANGE, scale_legend
from allometry.reports.markup import (
    Column,
    Html,
    Row,
    Section,
    bar,
    details,
    element,
    joined,
    note,
    number,
    table,
    thumbnail,
)
from allometry.reports.words import ARROW, NO_BREAK, decimal, percent, percent_range, whole
from allometry.runs import ClassMetrics, Evaluation, Mistake, RunRecord

_MOST_IN_MATRIX = 200
_SHOWN_CLASSES = 10
_SHOWN_MISTAKES = 48


def evaluation_section(record: RunRecord, *, prefix: str) -> Section | None:
    """Accuracy with its interval, and the confusion matrix."""
    evaluation = record.evaluation
    if evaluation is None:
        return None
    content = [element("p", _sentence(evaluation))]
    if has_matrix(evaluation):
        content += _confusion(evaluation, prefix)
    return Section("evaluation", "How good it is", content)


def by_groups_sentence(groups: int | None) -> list[str]:
    """What intervals by groups are, where they are."""
    if groups is None:
        return []
    if groups == 1:
        return ["All images are of one group, which cannot tell what images of another would give."]
    return [
        f"Intervals are by the {whole(groups)} groups that the images come from, since images of a group are alike."
    ]


def _sentence(evaluation: Evaluation) -> str:
    sentences = [
        f"{percent(evaluation.accuracy)} of {whole(evaluation.images)} {evaluation.split} images are classified "
        "correctly.",
        f"With {percent(0.95, digits=0)} confidence the true rate is {percent_range(evaluation.interval)}{NO_BREAK}%.",
        *by_groups_sentence(evaluation.groups),
    ]
    if len(evaluation.classes) > 5:
        sentences.append(
            f"For {percent(evaluation.top5)} ({percent_range(evaluation.top5_interval)}) the truth is among the "
            "five likeliest classes."
        )
    low, high = evaluation.loss_interval
    sentences += [
        f"Counting each class alike, whatever its size, the accuracy is {percent(evaluation.balanced_accuracy)} "
        f"({percent_range(evaluation.balanced_interval)}).",
        f"The loss is {decimal(evaluation.loss)} ({decimal(low)} to {decimal(high)}).",
    ]
    return " ".join(sentences)


def _confusion(evaluation: Evaluation, prefix: str) -> list[Html]:
    classes = len(evaluation.classes)
    content = [element("h3", "What is taken for what")]
    if classes > _MOST_IN_MATRIX:
        content.append(
            element(
                "p",
                f"A matrix of {whole(classes)} classes would not be readable; these are its largest errors.",
            )
        )
    else:
        content += [
            scale_legend([(BLUE, "classified correctly"), (ORANGE, "taken for another class")]),
            confusion_figure(f"{prefix}-confusion", evaluation),
            note(
                "A row is the truth, a column the prediction. A fuller color means more images, on a "
                "logarithmic scale for mistakes; point at a cell for names and counts."
            ),
        ]
    pairs = confused_pairs(evaluation.classes, evaluation.confusion, most=10)
    if pairs:
        content += [element("h3", "Most confused"), _pair_table(pairs)]
    else:
        content.append(element("p", "No image was taken for another class."))
    return content


def _pair_table(pairs: Sequence[Pair]) -> Html:
    rows = [
        Row(
            [
                pair.truth,
                pair.predicted,
                whole(pair.images),
                bar(pair.fraction, percent(pair.fraction), color="third"),
            ]
        )
        for pair in pairs
    ]
    return table([Column("truth"), Column("taken for"), number("images"), number("share of the truth")], rows)


def classes_section(record: RunRecord) -> Section | None:
    """The figures of every class; of many, those with the lowest and with the highest accuracy first."""
    ordered = _ordered(record.evaluation.per_class if record.evaluation else ())
    if not ordered:
        return None
    full = [_class_table(ordered, all_metrics=True)]
    if any(judged.metrics.precision is not None for judged in ordered):
        full.append(
            note(
                "Accuracy (recall): fraction of the images of the class that are recognized. Precision: fraction of "
                "the predictions of it that are correct. F1: their harmonic mean. Click on a head to sort."
            )
        )
    if len(ordered) <= 2 * _SHOWN_CLASSES:
        return Section("classes", "Class by class", full)
    # Among equally good classes the larger ones tell more.
    best = sorted(ordered, key=lambda judged: (-judged.accuracy, -judged.images, judged.name))
    halves = [
        element("div", element("h3", title), _class_table(shown[:_SHOWN_CLASSES], all_metrics=False))
        for title, shown in (("The ten lowest", ordered), ("The ten highest", best))
    ]
    content = [element("div", *halves, class_="pair")]
    perfect = sum(judged.accuracy == 1 for judged in ordered)
    if perfect > _SHOWN_CLASSES:
        content.append(
            note(f"{plural(perfect, 'class', 'classes')} of {whole(len(ordered))} have no mistake at all.")
        )
    content.append(details(f"All {whole(len(ordered))} classes", *full))
    return Section("classes", "Class by class", content)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A class that has images, so that its accuracy is known."""

    name: str
    images: int
    accuracy: float
    metrics: ClassMetrics


def _ordered(classes: Sequence[ClassMetrics]) -> list[_Judged]:
    judged = [
        _Judged(class_.name, class_.images, class_.accuracy, class_)
        for class_ in classes
        if class_.images > 0 and class_.accuracy is not None
    ]
    return sorted(judged, key=lambda one: (one.accuracy, -one.images, one.name))


def _class_table(classes: Sequence[_Judged], *, all_metrics: bool) -> Html:
    columns = [Column("class"), number("images"), number("accuracy")]
    rows = [
        [class_.name, whole(class_.images), bar(class_.accuracy, percent(class_.accuracy))]
        for class_ in classes
    ]
    if all_metrics and any(judged.metrics.interval for judged in classes):
        columns += [number("95 % interval"), number("precision"), number("F1")]
        for row, judged in zip(rows, classes, strict=True):
            row.extend(_more(judged.metrics))
    return table(columns, [Row(row) for row in rows], sortable=all_metrics)


def _more(metrics: ClassMetrics) -> list[str]:
    precision, f1 = metrics.precision, metrics.f1
    return [
        percent_range(metrics.interval) if metrics.interval else "",
        "" if precision is None else bar(precision, percent(precision), color="second"),
        "" if f1 is None else percent(f1),
    ]


def mistakes_section(record: RunRecord) -> Section | None:
    """Images that were classified wrongly."""
    mistakes = record.evaluation.mistakes if record.evaluation else ()
    if not mistakes:
        return None
    shown = mistakes[:_SHOWN_MISTAKES]
    content = [
        note(f"Under each image: the truth {ARROW} what the network said, and how sure it was."),
        element("div", *(_mistake(mistake) for mistake in shown), class_="mistakes"),
    ]
    return Section("mistakes", "Examples of mistakes", content)


def _mistake(mistake: Mistake) -> Html:
    sure = element("small", percent(mistake.confidence, digits=0))
    caption = [element("span", mistake.truth), f" {ARROW} ", element("b", mistake.predicted), " ", sure]
    text = f"{mistake.truth}, taken for {mistake.predicted}"
    return element(
        "div",
        thumbnail(mistake.thumbnail, text=text),
        element("p", joined(caption)),
        class_="mistake",
        title=mistake.image or None,
    )
