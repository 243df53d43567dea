"""The sections about quality where images have several labels: the whole, and label by label."""

from __future__ import annotations

from collections.abc import Sequence

from allometry.reports.markup import Column, Html, Row, Section, bar, element, note, number, table
from allometry.reports.quality import by_groups_sentence
from allometry.reports.words import NO_BREAK, decimal, percent, percent_range, whole
from allometry.runs import LabelMetrics, MultiLabelEvaluation, RunRecord


def labels_section(record: RunRecord) -> Section | None:
    """Mean average precision with its interval, and the metrics of every label."""
    evaluation = record.label_evaluation
    if evaluation is None:
        return None
    return Section(
        "evaluation",
        "How good it is",
        [
            element("p", _sentence(evaluation)),
            element("h3", "Label by label"),
            _table(evaluation.per_class),
            note(
                "Average precision: the area under the curve of precision over recall; it needs no threshold. "
                "Threshold: the probability from which on the label is given, that with the best F1 on the validation "
                "images; precision, recall and F1 are from there on. Click on a head to sort."
            ),
        ],
    )


def _sentence(evaluation: MultiLabelEvaluation) -> str:
    low, high = evaluation.loss_interval
    return " ".join(
        [
            f"On {whole(evaluation.images)} {evaluation.split} images the mean average precision over the labels is "
            f"{percent(evaluation.mean_average_precision)}, with {percent(0.95, digits=0)} confidence "
            f"{percent_range(evaluation.interval)}{NO_BREAK}%.",
            *by_groups_sentence(evaluation.groups),
            f"{percent(evaluation.exact)} ({percent_range(evaluation.exact_interval)}) of the images are given exactly "
            "the labels that they have.",
            f"The mean F1 is {percent(evaluation.f1)}.",
            f"The loss is {decimal(evaluation.loss)} ({decimal(low)} to {decimal(high)}).",
        ]
    )


def _table(labels: Sequence[LabelMetrics]) -> Html:
    columns = [
        Column("label"),
        number("images"),
        number("average precision"),
        number("95 % interval"),
        number("threshold"),
        number("precision"),
        number("recall"),
        number("F1"),
    ]
    ordered = sorted(
        labels, key=lambda one: (one.average_precision is None, one.average_precision or 0, one.name)
    )
    return table(columns, [Row(_cells(one)) for one in ordered], sortable=True)


def _cells(one: LabelMetrics) -> list[str]:
    known = one.average_precision
    return [
        one.name,
        whole(one.images),
        "" if known is None else bar(known, percent(known)),
        percent_range(one.interval) if one.interval else "",
        f"{one.threshold:.3f}",
        *("" if value is None else percent(value) for value in (one.precision, one.recall, one.f1)),
    ]
