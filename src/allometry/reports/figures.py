"""Figures in one style: colors that all eyes can tell apart, text that reads on light and on dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from allometry.base.units import format_quantity
from allometry.reports.markup import Html, element, joined

Trace = dict[str, Any]
Glyph = Literal["line", "dashes", "circle", "circle-open", "square", "diamond", "star"]

# After Okabe and Ito, darkened or lightened until they read on white and on near-black.
BLUE = "#2f86c9"
ORANGE = "#e0760a"
GREEN = "#0f9d77"
GRAY = "#858c96"

_STEPS = ((1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0))
IN_PERCENT = {"ticksuffix": " %", "hoverformat": ".1f"}

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_GRID = "rgba(133, 140, 150, 0.22)"
_CONFIG = {"displaylogo": False, "displayModeBar": False, "responsive": True, "scrollZoom": False}
_SHAPES = {
    "line": '<path d="M0 8h18" stroke="{0}" stroke-width="2.5"/>',
    "dashes": '<path d="M0 8h18" stroke="{0}" stroke-width="2.5" stroke-dasharray="5 3"/>',
    "circle": '<circle cx="9" cy="8" r="5" fill="{0}"/>',
    "circle-open": '<circle cx="9" cy="8" r="4.2" fill="none" stroke="{0}" stroke-width="2"/>',
    "square": '<path d="M4 3h10v10h-10z" fill="{0}"/>',
    "diamond": '<path d="M9 1.5l6.5 6.5l-6.5 6.5l-6.5 -6.5z" fill="{0}"/>',
    "star": '<path d="M9 0l2 5.6h6l-4.8 3.5l1.8 5.7l-5 -3.5l-5 3.5l1.8 -5.7l-4.8 -3.5h6z" fill="{0}"/>',
}


def figure(name: str, traces: Sequence[Trace], *, height: int, label: str, **layout: object) -> Html:
    """A figure as HTML whose JavaScript expects plotly.js on the page.

    Args:
        name: its own among the figures of the page; with `-figure` behind it identifies the element.
        traces: Plotly traces as dictionaries.
        height: in pixels; the width is the page's.
        label: what the figure shows, for those who hear the page.
        **layout: Plotly's layout on top of the common style.
    """
    from plotly.io import to_html

    content = {"data": list(traces), "layout": _layout(height) | layout}
    # Dictionaries without validation: to build Plotly's objects takes longer than the rest of the report.
    drawn: str = to_html(
        content,
        full_html=False,
        include_plotlyjs=False,
        div_id=f"{name}-figure",
        config=_CONFIG,
        validate=False,
    )
    return element("figure", Html(drawn.strip()), role="img", aria_label=label)


def axis(title: str = "", **settings: object) -> dict[str, Any]:
    """An axis in the report's style."""
    style = {
        "gridcolor": _GRID,
        "linecolor": _GRID,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
    }
    return style | {"title": {"text": title, "standoff": 10, "font": {"size": 13}}} | settings


def log_axis(title: str, values: Iterable[float]) -> dict[str, Any]:
    """A logarithmic axis around `values`, its ticks at round numbers, written as quantities.

    Example:
        >>> log_axis("MACs", [2.2e6, 9e6])["ticktext"]
        ['2M', '5M', '10M']
    """
    logs = [math.log10(value) for value in values]
    margin = max(0.06 * (max(logs) - min(logs)), 0.12)
    low, high = min(logs) - margin, max(logs) + margin
    ticks = _ticks(low, high)
    return axis(
        title, type="log", range=[low, high], tickvals=ticks, ticktext=[_round(tick) for tick in ticks]
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two powers of ten: as few per decade as still give three."""
    ticks: list[float] = []
    for steps in _STEPS:
        powers = range(math.floor(low), math.ceil(high) + 1)
        ticks = [step * 10.0**power for power in powers for step in steps]
        ticks = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(ticks) >= 3:
            break
    return ticks


def legend(keys: Iterable[tuple[Glyph, str, str]]) -> Html:
    """What the marks of a figure mean: glyph, color and text of each. As HTML it wraps and is never cut.

    Example:
        >>> legend([("circle", BLUE, "trial")])
        '<p class="legend"><span><svg ...</svg>trial</span></p>'
    """
    return element(
        "p", *(element("span", _glyph(glyph, color), text) for glyph, color, text in keys), class_="legend"
    )


def scale_legend(keys: Iterable[tuple[str, str]]) -> Html:
    """The same for shades: color and text of each, the shade growing from left to right."""
    shades = (
        element("span", element("i", class_="shade", style=f"--color:{color}"), text) for color, text in keys
    )
    return element("p", *shades, class_="legend")


def shades(color: str, *, most: float = 1.0) -> list[list[Any]]:
    """A color scale from faint to full. It is see-through, so it works on light and on dark.

    Below `most` = 1 it stays pale enough for text on it.
    """
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return [[0, f"rgba({red},{green},{blue},0.14)"], [1, f"rgba({red},{green},{blue},{most:g})"]]


def side_by_side(*figures: str) -> Html:
    """Figures next to each other, one below the other on a phone."""
    return element("div", joined(figures), class_="pair")


def library() -> Html:
    """The JavaScript of every figure, for the page to carry once."""
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return Html(f"<script>{source}</script>")


def _layout(height: int) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 8, "r": 16, "t": 12, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": _FONT, "size": 13, "color": GRAY},
        "hoverlabel": {
            "bgcolor": "#23272e",
            "bordercolor": "#23272e",
            "font": {"family": _FONT, "size": 13, "color": "#f2f3f5"},
            "align": "left",
        },
        "showlegend": False,
        "xaxis": axis(),
        "yaxis": axis(),
    }


def _glyph(glyph: Glyph, color: str) -> Html:
    shape = _SHAPES[glyph].format(color)
    return Html(f'<svg viewBox="0 0 18 16" width="18" height="16" aria-hidden="true">{shape}</svg>')


def _round(value: float) -> str:
    text = format_quantity(value)
    suffix = text.lstrip("0123456789.")
    return f"{float(text.removesuffix(suffix)):g}{suffix}" if suffix else text
