"""How long `import allometry` and `allometry --help` take in a fresh process.

    python benchmarks/start_up.py

Beside them, in turn and on the same machine: an empty Python, and `import torch`. Each is started once beforehand,
so that files are in the system's cache. Seconds are those of a clock on the wall; the processor's own seconds stand
beside them, because other work on the machine lengthens only the former.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import Spread, machine, print_result, table


def commands() -> dict[str, list[str]]:
    """What is started, by the name it has in the table."""
    program = Path(sys.executable).with_name("allometry")
    start = (
        [str(program)] if program.exists() else [sys.executable, "-c", "import allometry.cli as c; c.main()"]
    )
    return {
        "empty Python": [sys.executable, "-c", ""],
        "import allometry": [sys.executable, "-c", "import allometry"],
        "allometry --help": [*start, "--help"],
        "import torch": [sys.executable, "-c", "import torch"],
    }


def start(command: list[str]) -> tuple[float, float]:
    """Seconds on the wall and of the processor that one fresh process takes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15, help="starts of each (default: 15)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    starts = commands()
    for command in starts.values():
        start(command)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in starts}
    for _ in range(
        args.repeats
    ):  # in turn, so that a busy moment of the machine does not hit one of them alone
        for name, command in starts.items():
            times[name].append(start(command))
    spreads = {
        name: (Spread.of([wall for wall, _ in seconds]), Spread.of([own for _, own in seconds]))
        for name, seconds in times.items()
    }
    result = {
        "benchmark": "start_up",
        "repeats": args.repeats,
        "starts": {
            name: {"wall_seconds": wall._asdict(), "processor_seconds": own._asdict()}
            for name, (wall, own) in spreads.items()
        },
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a Markdown table with its caption."""
    rows = [
        [
            name,
            Spread(**both["wall_seconds"]).show("{:.3f}"),
            Spread(**both["processor_seconds"]).show("{:.3f}"),
        ]
        for name, both in result["starts"].items()
    ]
    return [
        *table(["a fresh process", "seconds on the wall", "seconds of the processor"], rows),
        "",
        f"Medians of {result['repeats']} starts, least and most in brackets.",
    ]


if __name__ == "__main__":
    main()
