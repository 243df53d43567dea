"""A run as a card, the way a notebook shows it: one piece of HTML without scripts, on light and on dark pages."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from allometry.base.units import format_duration, format_quantity
from allometry.cost.measures import recorded_measure
from allometry.reports.figures import BLUE, GRAY
from allometry.reports.markup import Html, element, image_source, joined
from allometry.reports.words import ARROW, percent, percent_range
from allometry.runs import ExtractResult, FitResult, RunRecord, SearchResult

_SAMPLES = 6
_SIDE = 72  # pixels of an image
_WIDTH, _HEIGHT, _MARGIN = 260, 84, 6
_AXIS = "#888"  # is seen on white and on black; an image does not know the color of its page
_CARD = (
    "border:1px solid rgba(128,128,128,.4);border-radius:8px;padding:.8em 1em;max-width:52em;"
    "color:inherit;background:none;font-family:system-ui,sans-serif;line-height:1.4"
)
_QUIET = "opacity:.75;font-size:.85em"


def run_card(record: RunRecord) -> str:
    """What a run came to: accuracy with its interval, network, time, learning curve, and what the network looks at.

    Everything is a part of it: it loads nothing, runs nothing, and takes the colors of the page it is on.

    Args:
        record: of the run; what it lacks is left out.

    Returns:
        HTML.

    Example:
        >>> from pathlib import Path
        >>> card = run_card(RunRecord(folder=Path("a"), name="<b>", command="train"))
        >>> "&lt;b&gt;" in card, "not finished" in card
        (True, True)
    """
    state = "finished" if record.finished else "not finished"
    head = element(
        "div",
        element("b", record.name, style="font-size:1.1em"),
        element("span", f"  allometry {record.command}, {state}", style=_QUIET),
    )
    tiles = [_tile(*tile) for tile in _tiles(record)]
    parts = [head, element("div", *tiles, style="display:flex;flex-wrap:wrap;gap:.6em 2em;margin:.6em 0")]
    below = [part for part in (_curve(record), _samples(record)) if part]
    if below:
        parts.append(
            element("div", *below, style="display:flex;flex-wrap:wrap;gap:.8em 1.6em;align-items:flex-end")
        )
    return str(element("div", *parts, _foot(record), style=_CARD))


def _tile(title: str, value: str, more: str) -> Html:
    return element(
        "div",
        element("div", title, style=_QUIET),
        element("div", value, style="font-size:1.3em;font-weight:600"),
        element("div", more, style=_QUIET),
    )


def _tiles(record: RunRecord) -> Iterator[tuple[str, str, str]]:
    yield from _accuracy(record)
    result, cost = record.result, record.cost
    if isinstance(result, FitResult):
        law = result.law
        yield "law", f"{law.alpha:.3g}, {law.beta:.3g}, {law.gamma:.3g}", "alpha, beta, gamma"
    if cost is not None and record.network is not None:
        which = "largest network" if record.supernet is not None else "network"
        read = "".join(f", {recorded_measure(name).format(value)}" for name, value in cost.readings.items())
        size = f"{format_quantity(cost.params)} params, {record.network.resolution} px{read}"
        name = f"{record.network.name}: " if record.network.name else ""
        yield which, f"{format_quantity(cost.macs)} MACs", f"{name}{size}"
    if record.costs:
        device = record.device or record.costs[-1].device
        yield "time", format_duration(record.seconds), f"on {device}" if device else ""
    if record.data is not None:
        images = sum(record.data.images.values())
        yield "data", record.data.name, f"{images:,} images, {len(record.data.classes):,} classes"


def _accuracy(record: RunRecord) -> Iterator[tuple[str, str, str]]:
    evaluation, result = record.evaluation or record.label_evaluation, record.result
    if evaluation is not None:
        between = f"{percent_range(evaluation.interval)} %, {evaluation.counted}"
        yield f"{evaluation.split} {record.metric}", percent(evaluation.accuracy), between
    elif record.history:
        last = record.history[-1]
        yield (
            f"validation {record.metric}",
            percent(last.val_accuracy),
            f"epoch {last.epoch} of {last.epochs}",
        )
    elif isinstance(result, SearchResult):
        yield f"validation {record.metric}", percent(result.validation_accuracy), "after a short training"
    elif record.supernet is not None and record.supernet.last is not None:
        ends = record.supernet.last
        yield (
            f"validation {record.metric}",
            f"{percent(ends.smallest)} to {percent(ends.largest)}",
            "of the smallest and the largest network",
        )
    if isinstance(result, ExtractResult):
        yield "in the supernet", percent(result.extracted_accuracy), "of the validation images"


def _curve(record: RunRecord) -> Html:
    """Accuracy over the epochs, as a small figure; nothing where there is none."""
    if record.supernet is not None:
        history = record.supernet.history
        lines = [([epoch.largest for epoch in history], BLUE), ([epoch.smallest for epoch in history], GRAY)]
        meaning = "validation accuracy of the largest network, and of the smallest (gray)"
    else:
        lines = [
            ([epoch.train_accuracy for epoch in record.history], GRAY),
            ([epoch.val_accuracy for epoch in record.history], BLUE),
        ]
        meaning = "validation accuracy over the epochs, and training accuracy (gray)"
        if record.label_evaluation is not None:  # of a batch there is no such precision
            lines, meaning = lines[1:], f"validation {record.metric} over the epochs"
    known = [value for values, _ in lines for value in values]
    if not known:
        return Html()
    low, high = min(known), max(known)
    drawn = [_line(values, color, low, high) for values, color in lines]
    figure = element(
        "svg",
        *(_label(value, low, high) for value in dict.fromkeys((low, high))),
        *drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=str(_WIDTH),
        height=str(_HEIGHT),
    )
    # As an image: notebooks that are opened again, and not trusted yet, show images but take drawings apart.
    source = f"data:image/svg+xml;base64,{base64.b64encode(str(figure).encode()).decode()}"
    shown = element("img", src=source, alt=meaning, width=str(_WIDTH), height=str(_HEIGHT))
    return element("div", shown, element("div", meaning, style=f"{_QUIET};max-width:{_WIDTH}px"))


def _line(values: Sequence[float], color: str, low: float, high: float) -> Html:
    last = max(len(values) - 1, 1)
    width = _WIDTH - 44 - _MARGIN  # on the left are the labels
    points = [(44 + width * place / last, _height(value, low, high)) for place, value in enumerate(values)]
    if len(points) == 1:
        x, y = points[0]
        return element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="3", fill=color)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", points=path, fill="none", stroke=color, stroke_width="2")


def _label(value: float, low: float, high: float) -> Html:
    y = _height(value, low, high)
    rule = element(
        "line",
        x1="44",
        x2=str(_WIDTH),
        y1=f"{y:.1f}",
        y2=f"{y:.1f}",
        stroke=_AXIS,
        stroke_opacity="0.4",
    )
    text = element(
        "text",
        percent(value),
        font_family="sans-serif",
        x="0",
        y=f"{y + 4:.1f}",
        font_size="11",
        fill=_AXIS,
    )
    return joined((rule, text))


def _height(value: float, low: float, high: float) -> float:
    fraction = (value - low) / (high - low) if high > low else 0.5
    return _HEIGHT - _MARGIN - fraction * (_HEIGHT - 2 * _MARGIN)


def _samples(record: RunRecord) -> Html:
    """A few test images under the class activation maps of what the network says of them."""
    shown = []
    for explanation in [one for one in record.explanations if one.group == "drawn"][:_SAMPLES]:
        source, over = image_source(explanation.thumbnail), image_source(explanation.map)
        if source is None:
            continue
        size = f"width:{_SIDE}px;height:{_SIDE}px"
        layers = [element("img", src=source, alt=explanation.truth, style=f"{size};display:block")]
        if over is not None:
            layers.append(element("img", src=over, alt="", style=f"{size};position:absolute;left:0;top:0"))
        caption = (
            explanation.predicted
            if explanation.predicted == explanation.truth
            else f"{explanation.truth} {ARROW} {explanation.predicted}"
        )
        shown.append(
            element(
                "div",
                element("div", *layers, style=f"position:relative;{size}"),
                element("div", caption, style=f"{_QUIET};max-width:{_SIDE}px;overflow-wrap:anywhere"),
            )
        )
    return element("div", *shown, style="display:flex;flex-wrap:wrap;gap:.5em") if shown else Html()


def _foot(record: RunRecord) -> Html:
    folder = element("code", str(record.folder))
    if not record.report.exists():
        return element("div", folder, style=f"{_QUIET};margin-top:.6em")
    link = element("a", record.report.name, href=quote(record.report.as_posix()), style="color:inherit")
    return element("div", folder, ", ", link, style=f"{_QUIET};margin-top:.6em")
