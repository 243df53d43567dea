"""Pictures that are part of the page."""

from __future__ import annotations

import base64
import binascii

from allometry.reports.markup import Html, element

_PNG = b"\x89PNG\r\n\x1a\n"


def picture(encoded: str, *, text: str, over: str = "") -> Html:
    """A PNG from base64, perhaps with another one laid over it; "no picture" where it is no PNG.

    Args:
        encoded: the picture.
        text: what it shows, for those who hear the page.
        over: a see-through picture to lay over it.

    Example:
        >>> picture("PHN2Zz4=", text="a cat")
        '<div class="blank">no picture</div>'
    """
    source, upper = picture_source(encoded), picture_source(over)
    if source is None:
        return element("div", "no picture", class_="blank")
    lower = element("img", src=source, alt=text, loading="lazy")
    if upper is None:
        return lower
    return element("div", lower, element("img", src=upper, alt="", loading="lazy"), class_="layers")


def picture_source(encoded: str) -> str | None:
    """A PNG from base64 as an address that holds it all; None where it is no PNG.

    Example:
        >>> picture_source("PHN2Zz4=") is None
        True
    """
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return f"data:image/png;base64,{base64.b64encode(data).decode()}" if data.startswith(_PNG) else None
