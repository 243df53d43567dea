"""The confusion matrix: as a figure, and as the pairs that are confused most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from allometry.reports.figures import BLUE, ORANGE, Trace, axis, figure, shades
from allometry.reports.markup import Html, element, escaped
from allometry.reports.words import ARROW, percent, shortened
from allometry.runs import Evaluation

_WITH_COUNTS = 12


class Pair(NamedTuple):
    """Images of one class that were taken for another; `fraction` is of the images of the true class."""

    truth: str
    predicted: str
    images: int
    fraction: float


def has_matrix(evaluation: Evaluation) -> bool:
    """Whether the matrix has a row and a column for each class."""
    size = len(evaluation.classes)
    rows = evaluation.confusion
    return size > 0 and len(rows) == size and all(len(row) == size for row in rows)


def confused_pairs(names: Sequence[str], confusion: Sequence[Sequence[int]], *, most: int) -> list[Pair]:
    """The pairs with most mistakes, the larger fraction of the class first among equals.

    Example:
        >>> confused_pairs(("cat", "dog"), ((8, 2), (0, 10)), most=10)
        [Pair(truth='cat', predicted='dog', images=2, fraction=0.2)]
    """
    pairs = [
        Pair(names[truth], names[predicted], images, images / sum(row))
        for truth, row in enumerate(confusion)
        for predicted, images in enumerate(row)
        if truth != predicted and images > 0
    ]
    return sorted(pairs, key=lambda pair: (-pair.images, -pair.fraction, pair.truth, pair.predicted))[:most]


def confusion_figure(name: str, evaluation: Evaluation) -> Html:
    """The matrix as a heat map: right ones and mistakes in colors of their own, each with its own scale."""
    size = len(evaluation.classes)
    labels = [escaped(shortened(name, 18)) for name in evaluation.classes]
    places = list(range(size))
    font = {"size": 13 if size <= 12 else 11 if size <= 40 else 9 if size <= 100 else 7}
    ticks = {"tickvals": places, "ticktext": labels, "tickfont": font, "showgrid": False, "ticks": ""}
    side = 150 + round(size * _cell(size))
    drawn = figure(
        name,
        [_right(evaluation), _mistakes(evaluation)],
        height=side,
        label="Confusion matrix",
        xaxis=axis("prediction", **ticks, tickangle=-90 if size > 6 else 0, constrain="domain"),
        yaxis=axis("truth", **ticks, autorange="reversed", scaleanchor="x", constrain="domain"),
    )
    # Below this width the names would run into each other: let the figure scroll instead.
    return element("div", element("div", drawn, style=f"width:{side + 30}px"), class_="scroll matrix")


def _cell(size: int) -> float:
    return 72 if size <= 4 else 44 if size <= 12 else 20 if size <= 40 else 10 if size <= 100 else 7.5


def _right(evaluation: Evaluation) -> Trace:
    sums = [sum(row) for row in evaluation.confusion]
    cells = [
        [_hit(images, sums[truth]) if truth == column else None for column, images in enumerate(row)]
        for truth, row in enumerate(evaluation.confusion)
    ]
    return _heat_map(evaluation, cells, color=BLUE, most=1.0)


def _mistakes(evaluation: Evaluation) -> Trace:
    cells = [
        [_log(images) if truth != column else None for column, images in enumerate(row)]
        for truth, row in enumerate(evaluation.confusion)
    ]
    most = max((value for row in cells for value in row if value is not None), default=1.0)
    return _heat_map(evaluation, cells, color=ORANGE, most=most)


def _hit(images: int, of: int) -> float | None:
    return round(images / of, 4) if images > 0 else None


def _log(images: int) -> float | None:
    return round(math.log1p(images), 4) if images > 0 else None


def _heat_map(evaluation: Evaluation, cells: list[list[float | None]], *, color: str, most: float) -> Trace:
    size = len(evaluation.classes)
    gap = 2 if size <= 12 else 1 if size <= 100 else 0
    trace: Trace = {
        "type": "heatmap",
        "z": cells,
        "zmin": 0,
        "zmax": most,
        "colorscale": shades(color, most=0.75 if size <= _WITH_COUNTS else 1.0),
        "showscale": False,
        "hoverongaps": False,
        "hovertext": _hover(evaluation, cells),
        "hovertemplate": "%{hovertext}<extra></extra>",
        "xgap": gap,
        "ygap": gap,
    }
    if size <= _WITH_COUNTS:
        trace["texttemplate"] = "%{text}"
        trace["text"] = [
            [str(images) if cell is not None else "" for images, cell in zip(row, line, strict=True)]
            for row, line in zip(evaluation.confusion, cells, strict=True)
        ]
    return trace


def _hover(evaluation: Evaluation, cells: list[list[float | None]]) -> list[list[str]]:
    names = [escaped(name) for name in evaluation.classes]
    return [
        [
            ""
            if cell is None
            else f"{names[truth]} {ARROW} <b>{names[column]}</b><br>{_of(row[column], sum(row))}"
            for column, cell in enumerate(cells[truth])
        ]
        for truth, row in enumerate(evaluation.confusion)
    ]


def _of(images: int, total: int) -> str:
    return f"{images} of {total} ({percent(images / total)})"
