"""Quantities as people write them: 400M, 2.5G, 512MB; and the way back."""

from __future__ import annotations

import re
from decimal import Decimal

_FACTORS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "b": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
_TIMES = {"s": Decimal(1), "ms": Decimal("1e-3"), "us": Decimal("1e-6"), "µs": Decimal("1e-6")}
_QUANTITY = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)\s*(?P<suffix>[a-zA-Zµ]*)\s*")


def parse_quantity(text: str, *, unit: str = "") -> int:
    """Read `20M`, `0.39B`, `1.5e9` or, with `unit="B"` for bytes, `512MB` and `1GiB`, as an exact integer.

    Raises:
        ValueError: the text is not a number with a known suffix.

    Example:
        >>> parse_quantity("0.39B"), parse_quantity("512MB", unit="B"), parse_quantity("1GiB", unit="B")
        (390000000, 512000000, 1073741824)
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    suffix = match["suffix"]
    if unit and suffix.lower().endswith(unit.lower()):
        suffix = suffix[: -len(unit)]
    factor = _FACTORS.get(suffix.lower())
    if factor is None:
        raise ValueError(f"{match['suffix']!r} is not a known suffix")
    return int(Decimal(match["number"]) * factor)


def parse_duration(text: str) -> float:
    """Read `20ms`, `0.02s` or `500us` as seconds.

    Raises:
        ValueError: the text is not a number with a unit of time.

    Example:
        >>> parse_duration("20ms"), parse_duration("1.5 s")
        (0.02, 1.5)
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time")
    factor = _TIMES.get(match["suffix"].lower())
    if factor is None:
        raise ValueError(f"{text!r} needs a unit of time: s, ms or us")
    return float(Decimal(match["number"]) * factor)


def format_quantity(value: float, *, unit: str = "") -> str:
    """Write a count with three significant digits and a suffix.

    Example:
        >>> format_quantity(5288548), format_quantity(385814752), format_quantity(88), format_quantity(2.5e7, unit="B")
        ('5.29M', '386M', '88', '25.0MB')
    """
    for suffix, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor * 0.9995:
            return f"{_three_digits(value / factor)}{suffix}{unit}"
    return f"{value:g}{unit}"


def format_duration(seconds: float) -> str:
    """Write a time span: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`.

    Example:
        >>> format_duration(0.42), format_duration(185), format_duration(7800)
        ('0.4 s', '3 min 05 s', '2 h 10 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_milliseconds(seconds: float) -> str:
    """A short time for people, to three digits.

    Example:
        >>> [format_milliseconds(seconds) for seconds in (0.0001234, 0.0221, 12.3)]
        ['0.123 ms', '22.1 ms', '12,300 ms']
    """
    milliseconds = float(f"{1000 * seconds:.3g}")
    return f"{milliseconds:,.0f} ms" if milliseconds >= 1000 else f"{milliseconds:g} ms"


def _three_digits(value: float) -> str:
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f}"


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun.

    Example:
        >>> plural(1, "image"), plural(2481, "image"), plural(88, "class", "classes")
        ('1 image', '2,481 images', '88 classes')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
