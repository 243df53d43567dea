"""A little HTML, for values that show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_CELL = "padding:.15em .8em;text-align:"


def html_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> str:
    """A table; numbers stand on the right, with thousands set apart, and None is an empty cell.

    Args:
        columns: their names.
        rows: their cells.
        caption: stands above.

    Example:
        >>> "<td style" in html_table(["name", "MACs"], [["b<0", 1_000_000]])
        True
    """
    head = "".join(f'<th style="{_CELL}left">{escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    title = f'<caption style="text-align:left"><b>{escape(caption)}</b></caption>' if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
    return f'<td style="{_CELL}{"right" if number else "left"}">{escape(text)}</td>'
