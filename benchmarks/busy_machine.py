"""What another process on the machine does to training, with OpenMP's usual spinning and with less of it.

    python benchmarks/busy_machine.py

`import allometry` sets `GOMP_SPINCOUNT=10000` unless it is set already. All settings run in turn, in fresh
processes, while 0, 1 and 2 other processes keep a core busy each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import Any

from common import Spread, machine, print_result, table

SETTINGS = {"OpenMP's own": None, "10,000 spins": "10000", "1,000 spins": "1000"}
STEPS = """
import time, torch
from allometry.nn import build
from allometry.scaling import solve
from allometry.catalog import get
network = solve(get("efficientnet-b0"), "10M").network
module = build(network, seed=0).to(memory_format=torch.channels_last)
images = torch.zeros(64, 3, network.resolution, network.resolution).contiguous(memory_format=torch.channels_last)
times, began = [], time.perf_counter()
while len(times) < 3 or time.perf_counter() - began < SECONDS:
    start = time.perf_counter()
    module(images).sum().backward()
    times.append(time.perf_counter() - start)
print(64 / sorted(times)[len(times) // 2])
"""


def images_per_second(spins: str | None, seconds: float) -> float:
    """Median throughput of a training step in a fresh process."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if spins is not None:
        environment["GOMP_SPINCOUNT"] = spins
    code = STEPS.replace("SECONDS", str(seconds))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def measure(busy: int, repeats: int, seconds: float) -> dict[str, list[float]]:
    """Throughputs of each setting beside `busy` processes that do nothing but work."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        speeds: dict[str, list[float]] = {name: [] for name in SETTINGS}
        for _ in range(repeats):
            for name, spins in SETTINGS.items():
                speeds[name].append(images_per_second(spins, seconds))
        return speeds
    finally:
        for other in others:
            other.kill()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="processes of each kind (default: 5)")
    parser.add_argument("--seconds", type=float, default=4, help="of each process (default: 4)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    busy = {
        str(number): {
            name: Spread.of(values)._asdict()
            for name, values in measure(number, args.repeats, args.seconds).items()
        }
        for number in (0, 1, 2)
    }
    result = {"benchmark": "busy_machine", "repeats": args.repeats, "busy": busy, "machine": machine()}
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a Markdown table with its caption."""
    rows = [
        [number, *(Spread(**speeds[name]).show() for name in SETTINGS)]
        for number, speeds in result["busy"].items()
    ]
    header = ["busy processes beside it", *(f"{name}, images per second" for name in SETTINGS)]
    return [
        *table(header, rows),
        "",
        f"Forward and backward pass of B0 within 10M MACs, batch 64. Medians of {result['repeats']} processes, "
        "least and most in brackets.",
    ]


if __name__ == "__main__":
    main()
