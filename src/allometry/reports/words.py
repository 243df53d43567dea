"""How the report writes numbers, dates and lists."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

NO_BREAK = "\u00a0"
TIMES = "\u00d7"
ARROW = "\u2192"
_MILLION = 1_000_000


def percent(fraction: float, *, digits: int = 1) -> str:
    """A fraction of one in percent.

    Example:
        >>> percent(0.8874).replace(NO_BREAK, " "), percent(1, digits=0).replace(NO_BREAK, " ")
        ('88.7 %', '100 %')
    """
    return f"{100 * fraction:.{digits}f}{NO_BREAK}%"


def percent_range(interval: tuple[float, float]) -> str:
    """An interval of shares, in percent without the sign.

    Example:
        >>> percent_range((0.874, 0.899))
        '87.4 to 89.9'
    """
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def whole(value: float | None) -> str:
    """A count with its thousands apart, or nothing.

    Example:
        >>> whole(2481), whole(None)
        ('2,481', '')
    """
    return "" if value is None else f"{round(value):,}"


def networks_in(size: int) -> str:
    """How many networks a space has; from a million on as a power of ten.

    Example:
        >>> networks_in(400), networks_in(20_576_477_749_824)
        ('400', 'about 10^13')
    """
    return whole(size) if size < _MILLION else f"about 10^{len(str(size)) - 1}"


def decimal(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals, or nothing.

    Example:
        >>> decimal(0.45), decimal(None)
        ('0.450', '')
    """
    return "" if value is None else f"{value:.{digits}f}"


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence as a list.

    Example:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def moment(text: str | None) -> str:
    """A date and time as people read it; text that is none stays as it is.

    Example:
        >>> moment("2026-11-22T21:00:00+00:00"), moment("yesterday")
        ('2026-11-22 21:00 UTC', 'yesterday')
    """
    if not text:
        return ""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when:%Y-%m-%d %H:%M %Z}".strip()


def shortened(text: str, most: int = 24) -> str:
    """The text, its middle left out where it is too long for the side of a figure.

    Example:
        >>> shortened("a-very-long-name-of-some-class-of-birds", 17)
        'a-very-l...-birds'
    """
    if len(text) <= most:
        return text
    kept = most - 3
    return f"{text[: kept - kept // 2 + 1]}...{text[len(text) - kept // 2 + 1 :]}"
