"""Quantities as people write them: 400M, 2.5G, 512MB, 20ms; and the way back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from allometry.base.text import shown

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
_PREFIXES = {"p": -12, "n": -9, "u": -6, "µ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
_LONGEST, _LARGEST = 40, 27  # digits of a number, and of its exponent of ten: as many as are exact
_SHOWN = ("p", "n", "u", "m", "", "k", "M", "G", "T")
_QUANTITY = re.compile(r"\s*(?P<number>[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)\s*(?P<suffix>[a-zA-Zµ]*)\s*")


@dataclass(frozen=True, slots=True)
class Unit:
    """What a quantity is in, and how people write it.

    Attributes:
        symbol: such as `B`, `s` or `J`; empty for what is merely counted.
        whole: whether it comes in ones, written with k, M, G and Ki, Mi, Gi in capitals or not. Else it has any value,
            written with the symbol and one of p, n, u, m, k, M, G, T before it, where capitals matter.
        prefix: that is always shown, such as `m` for times in ms; None for what leaves up to three digits.

    Example:
        >>> joule = Unit("J")
        >>> joule.parse("5mJ"), joule.format(0.00512), Unit("B", whole=True).format(512_000_000)
        (0.005, '5.12 mJ', '512MB')
    """

    symbol: str = ""
    whole: bool = False
    prefix: str | None = None

    def parse(self, text: str) -> float:
        """Read a quantity; an exact integer where the unit comes in ones.

        Raises:
            ValueError: the text is none, or not in this unit.

        Example:
            >>> SECONDS.parse("20ms"), SECONDS.parse("1.5 s"), COUNT.parse("20M")
            (0.02, 1.5, 20000000)
        """
        if self.whole:
            return parse_quantity(text, unit=self.symbol)
        match = _QUANTITY.fullmatch(text)
        if match is None:
            raise ValueError(f"{shown(text)} is not a quantity")
        suffix = match["suffix"]
        exponent = _PREFIXES.get(suffix.removesuffix(self.symbol)) if suffix.endswith(self.symbol) else None
        if exponent is None or (self.symbol and not suffix):
            symbol = self.symbol
            raise ValueError(f"{shown(text)} needs a unit: {symbol}, m{symbol} or u{symbol}")
        return float(_bounded(match["number"], exponent=exponent))

    def format(self, value: float) -> str:
        """Write a quantity with three significant digits.

        Example:
            >>> [SECONDS.format(seconds) for seconds in (0.0001234, 0.0221, 12.3)]
            ['0.123 ms', '22.1 ms', '12,300 ms']
            >>> COUNT.format(385814752), BYTES.format(5_000_000)
            ('386M', '5.00MB')
        """
        if self.whole:
            return format_quantity(value, unit=self.symbol)
        if not self.symbol:
            return f"{value:.4g}"
        prefix = self._prefix_of(value) if self.prefix is None else self.prefix
        scaled = float(f"{value * 10.0 ** -_PREFIXES[prefix]:.3g}")
        number = f"{scaled:,.0f}" if abs(scaled) >= 1000 else f"{scaled:g}"
        return f"{number} {prefix}{self.symbol}"

    def exact(self, value: float) -> str:
        """Write a quantity so that it reads back as itself.

        Example:
            >>> SECONDS.exact(0.02), BYTES.exact(5_000_001)
            ('0.02s', '5000001')
        """
        return f"{value!r}{'' if self.whole else self.symbol}"

    @property
    def axis(self) -> tuple[float, str]:
        """By what values are multiplied on an axis of a chart, and the unit that is written there.

        Example:
            >>> SECONDS.axis, COUNT.axis
            ((1000.0, 'ms'), (1.0, ''))
        """
        prefix = self.prefix or ""
        return 10.0 ** -_PREFIXES[prefix], f"{prefix}{self.symbol}"

    def _prefix_of(self, value: float) -> str:
        kept = [prefix for prefix in _SHOWN if abs(value) >= 0.9995 * 10.0 ** _PREFIXES[prefix]]
        return kept[-1] if kept else _SHOWN[0] if value else ""


COUNT = Unit(whole=True)
BYTES = Unit("B", whole=True)
SECONDS = Unit("s", prefix="m")


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
        raise ValueError(f"{shown(text)} is not a quantity")
    suffix = match["suffix"]
    if unit and suffix.lower().endswith(unit.lower()):
        suffix = suffix[: -len(unit)]
    factor = _FACTORS.get(suffix.lower())
    if factor is None:
        raise ValueError(f"{shown(match['suffix'])} is not a known suffix")
    return int(_bounded(match["number"], factor=factor))


def _bounded(number: str, *, factor: int = 1, exponent: int = 0) -> Decimal:
    """A number, times something, that arithmetic can bear: text may ask for more digits than there is memory."""
    value = Decimal(number)
    small = len(number) <= _LONGEST and abs(value.adjusted()) <= _LARGEST
    scaled = (value * factor).scaleb(exponent) if small else value
    if not small or abs(scaled.adjusted()) > _LARGEST:
        raise ValueError(f"{shown(number)[1:-1]} is beyond all bounds")
    return scaled


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
        >>> format_milliseconds(0.0221)
        '22.1 ms'
    """
    return SECONDS.format(seconds)


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
