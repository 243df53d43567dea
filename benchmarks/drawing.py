"""Small figures for the documentation, as SVG: curves, and means with their intervals.

The colors are read on light and on dark pages alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, FONT = 720, 13
COLORS = ("#2a7fd4", "#e0742b", "#3a9d5d", "#b05cc6", "#c99a00", "#d24a5c")
INK, GRID = "#808488", "#80848855"


class Bar(NamedTuple):
    """A line of `bars`: its name, single values, their mean and the interval around it."""

    name: str
    values: Sequence[float]
    mean: float
    low: float
    high: float


def bars(title: str, rows: Sequence[Bar]) -> str:
    """A row for each name: its values as rings, their mean as a dot, the interval as a line."""
    left, right, top, step = 210, 24, 34, 30
    bottom = top + step * len(rows)
    ticks = _ticks(min(row.low for row in rows), max(row.high for row in rows))

    def across(value: float) -> float:
        return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (WIDTH - left - right)

    parts = []
    for value in ticks:
        parts += [
            _line(across(value), top - 6, across(value), bottom, GRID, 1),
            _text(across(value), bottom + 18, f"{value:g}", "middle"),
        ]
    for place, row in enumerate(rows):
        height = top + step * (place + 0.5)
        color = COLORS[place % len(COLORS)]
        parts += [
            _text(left - 12, height + 4, row.name, "end"),
            _line(across(row.low), height, across(row.high), height, color, 3),
            *(_dot(across(value), height, 4, "none", color) for value in row.values),
            _dot(across(row.mean), height, 6, color, color),
        ]
    return _svg(title, bottom + 44, [*parts, _text((left + WIDTH - right) / 2, bottom + 38, title, "middle")])


def curves(
    title: str,
    across: str,
    places: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    *,
    height: int = 320,
) -> str:
    """A curve for each name over the same places."""
    left, right, top = 60, 20, 16
    below = height - 44 - 20 * math.ceil(len(lines) / 4)
    every = [value for values in lines.values() for value in values]
    ticks = _ticks(min(every), max(every))

    def x(place: float) -> float:
        return left + (place - places[0]) / (places[-1] - places[0]) * (WIDTH - left - right)

    def y(value: float) -> float:
        return below - (value - ticks[0]) / (ticks[-1] - ticks[0]) * (below - top)

    parts = []
    for value in ticks:
        parts += [
            _line(left, y(value), WIDTH - right, y(value), GRID, 1),
            _text(left - 8, y(value) + 4, f"{value:g}", "end"),
        ]
    for place in _ticks(places[0], places[-1]):
        if places[0] <= place <= places[-1]:
            parts.append(_text(x(place), below + 18, f"{place:g}", "middle"))
    parts.append(_text((left + WIDTH - right) / 2, below + 36, across, "middle"))
    for number, (name, values) in enumerate(lines.items()):
        color = COLORS[number % len(COLORS)]
        points = " ".join(
            f"{x(place):.1f},{y(value):.1f}" for place, value in zip(places, values, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        column, row = number % 4, number // 4
        start, base = left + column * 165, below + 58 + 20 * row
        parts += [
            _line(start, base - 4, start + 18, base - 4, color, 3),
            _text(start + 24, base, name, "start"),
        ]
    return _svg(title, height + 14, parts)


def _ticks(least: float, most: float) -> list[float]:
    """Round numbers from below the least to above the most, about six of them."""
    span = (most - least) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 5))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= span / 6)
    first, last = math.floor(least / step), math.ceil(most / step)
    return [round(place * step, 10) for place in range(first, last + 1)]


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="{FONT}">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>", ""])


def _line(x1: float, y1: float, x2: float, y2: float, color: str, width: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
        f'stroke-width="{width}" stroke-linecap="round"/>'
    )


def _dot(x: float, y: float, radius: float, fill: str, stroke: str) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{stroke}" stroke-width="1.5"/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">{escape(text)}</text>'
