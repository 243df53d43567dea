"""HTML that is escaped unless it says that it is HTML."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from allometry.base.text import printable

_VOID = {"img", "meta", "br"}
_WIDE = 7


class Html(str):
    """Text that is HTML already; any other string is escaped when it enters an element."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | None) -> Html:
    """An HTML element. Strings are escaped, `Html` is kept; an attribute of `None` is left out.

    A trailing underscore makes a Python word an attribute (`class_`), an inner one stands for a hyphen.

    Example:
        >>> element("p", "a < b, ", element("b", "really"), class_="note")
        '<p class="note">a &lt; b, <b>really</b></p>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(printable(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    opening = f"<{tag}{written}>"
    return Html(opening if tag in _VOID else f"{opening}{joined(children)}</{tag}>")


def joined(children: Iterable[str], separator: str = "") -> Html:
    """One piece of HTML from several, plain strings escaped.

    Example:
        >>> joined([Html("<br>"), "<br>"], " ")
        '<br> &lt;br&gt;'
    """
    return Html(escaped(separator).join(escaped(child) for child in children))


def escaped(text: str) -> str:
    """The text as HTML shows it literally; HTML as it is."""
    return text if isinstance(text, Html) else escape(printable(text))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; numbers are set flush right."""

    title: str
    number: bool = False


def number(title: str) -> Column:
    """A column of numbers."""
    return Column(title, number=True)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, perhaps a marked one."""

    cells: Sequence[str]
    marked: bool = False


def table(
    columns: Sequence[Column], rows: Iterable[Row], *, footer: Iterable[Row] = (), sortable: bool = False
) -> Html:
    """A table that scrolls sideways where the screen is narrow; a click on a head sorts one that is `sortable`.

    Example:
        >>> table([Column("name"), number("share")], [Row(["a&b", "3"])])
        '<div class="scroll"><table>...<td>a&amp;b</td><td class="number">3</td>...'
    """
    head = joined(
        element("th", column.title, scope="col", class_="number" if column.number else None)
        for column in columns
    )
    parts = [element("thead", element("tr", head)), element("tbody", *(_row(columns, row) for row in rows))]
    last = [_row(columns, row) for row in footer]
    if last:
        parts.append(element("tfoot", *last))
    kinds = [kind for kind, holds in (("wide", len(columns) >= _WIDE), ("sortable", sortable)) if holds]
    return element("div", element("table", *parts, class_=" ".join(kinds) or None), class_="scroll")


def _row(columns: Sequence[Column], row: Row) -> Html:
    cells = (
        element("td", cell, class_="number" if column.number else None)
        for column, cell in zip(columns, row.cells, strict=True)
    )
    return element("tr", *cells, class_="marked" if row.marked else None)


def bar(fraction: float, text: str, *, color: str = "") -> Html:
    """A number with a slim bar below it, as long as its fraction of the cell.

    Example:
        >>> bar(0.25, "1.2M")
        '<span class="bar">1.2M<i style="--share:25.00%"></i></span>'
    """
    length = f"{100 * min(max(0.0, fraction), 1.0):.2f}%"
    return element("span", text, element("i", style=f"--share:{length}", class_=color or None), class_="bar")


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """A list of names and values, one under the other."""
    rows = (element("div", element("dt", name), element("dd", value)) for name, value in pairs)
    return element("dl", *rows)


def details(summary: str, *content: str) -> Html:
    """Content that opens when its summary is clicked."""
    return element("details", element("summary", summary), *content)


def note(*content: str) -> Html:
    """A paragraph that explains, smaller than the others."""
    return element("p", *content, class_="note")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page under its heading; `name` is its anchor."""

    name: str
    title: str
    content: Sequence[Html]

    def html(self, *, prefix: str) -> Html:
        """The section, its anchor made unique by `prefix`."""
        return element("section", element("h2", self.title), *self.content, id=f"{prefix}-{self.name}")


_PNG = b"\x89PNG\r\n\x1a\n"


def thumbnail(encoded: str, *, text: str, over: str = "") -> Html:
    """A PNG from base64, perhaps with another one laid over it; "no image" where it is no PNG.

    Args:
        encoded: the image.
        text: what it shows, for those who hear the page.
        over: a see-through image to lay over it.

    Example:
        >>> thumbnail("PHN2Zz4=", text="a cat")
        '<div class="blank">no image</div>'
    """
    source, upper = image_source(encoded), image_source(over)
    if source is None:
        return element("div", "no image", class_="blank")
    lower = element("img", src=source, alt=text, loading="lazy")
    if upper is None:
        return lower
    return element("div", lower, element("img", src=upper, alt="", loading="lazy"), class_="layers")


def image_source(encoded: str) -> str | None:
    """A PNG from base64 as an address that holds it all; None where it is no PNG.

    Example:
        >>> image_source("PHN2Zz4=") is None
        True
    """
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return f"data:image/png;base64,{base64.b64encode(data).decode()}" if data.startswith(_PNG) else None
