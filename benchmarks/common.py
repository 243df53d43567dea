"""What the benchmarks share: the machine in words, medians with their spread, tables and JSON."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NamedTuple

from allometry.base.machine import processor

# Student's t for the mean of 2 to 10 values.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


class Spread(NamedTuple):
    """The median of some repeats, with the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of these values."""
        return cls(statistics.median(values), min(values), max(values))

    def show(self, pattern: str = "{:,.0f}") -> str:
        """Text: the median and, in brackets, the spread."""
        low, high = pattern.format(self.least), pattern.format(self.most)
        return f"{pattern.format(self.median)} ({low} to {high})"


def key_of(*known: object) -> str:
    """What a result that is kept depends on, as 16 hexadecimal digits: the result of anything else is not taken."""
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def machine() -> dict[str, str]:
    """The machine, the versions and the date: what every figure has to stand beside."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "load": load,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def machine_line(about: dict[str, str]) -> str:
    """The machine as one line of text."""
    return (
        f"{about['processor']}; {about['system']}; Python {about['python']}; torch {about['torch']}; "
        f"load average {about['load']} at the end; {about['date']}"
    )


def print_result(result: dict[str, Any], lines: Sequence[str], *, as_json: bool) -> None:
    """Print the result as JSON, or the lines for people with the machine below them."""
    if as_json:
        print(json.dumps(result, indent=2))
        return
    for line in lines:
        print(line)
    print(f"\nMachine: {machine_line(result['machine'])}")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; the first column is text, the others are numbers."""
    rule = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]
