"""The figure of accuracy against cost, with what its points are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from allometry.reports.figures import IN_PERCENT, Glyph, Trace, axis, figure, log_axis
from allometry.reports.markup import Html


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A trained network in a figure of accuracy against cost."""

    cost: float
    accuracy: float
    hover: str
    text: str = ""
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointGroup:
    """Points that are alike: drawn alike, and one entry in the legend."""

    meaning: str
    glyph: Glyph
    color: str
    size: int
    points: Sequence[Point]


def accuracy_against(
    name: str, groups: Sequence[PointGroup], *, cost: str, accuracy: str, height: int = 400
) -> Html:
    """Accuracy against cost on a logarithmic axis."""
    costs = [point.cost for group in groups for point in group.points]
    return figure(
        name,
        [_scatter(group) for group in groups],
        height=height,
        label=f"{accuracy} against {cost}",
        xaxis=log_axis(f"{cost} (logarithmic)", costs),
        yaxis=axis(accuracy, nticks=7, **IN_PERCENT),
    )


def _scatter(group: PointGroup) -> Trace:
    trace: Trace = {
        "type": "scatter",
        "mode": "markers+text",
        "x": [point.cost for point in group.points],
        "y": [round(100 * point.accuracy, 4) for point in group.points],
        "text": [point.text for point in group.points],
        "textposition": "middle center",
        "textfont": {"size": 12, "color": "#ffffff", "weight": 600},
        "hovertext": [point.hover for point in group.points],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {
            "size": group.size,
            "symbol": group.glyph,
            "color": group.color,
            "line": {"width": 2 if group.glyph == "circle-open" else 0, "color": group.color},
        },
        "cliponaxis": False,
    }
    if any(point.interval for point in group.points):
        trace["error_y"] = _error_bars(group)
    return trace


def _error_bars(group: PointGroup) -> dict[str, Any]:
    bounds = [point.interval or (point.accuracy, point.accuracy) for point in group.points]
    pairs = list(zip(group.points, bounds, strict=True))
    return {
        "type": "data",
        "symmetric": False,
        "array": [round(100 * max(high - point.accuracy, 0), 4) for point, (_, high) in pairs],
        "arrayminus": [round(100 * max(point.accuracy - low, 0), 4) for point, (low, _) in pairs],
        "thickness": 1.5,
        "width": 0,
        "color": group.color,
    }
