"""What `allometry run` reaches on the icons, in what time and memory, beside its own baseline and a simple rule.

    python benchmarks/run_icons.py

For each seed: a fresh `allometry run`; then its baseline (a quarter of the budget, before growing) trained by the
same recipe, which shows what growing bought. Beside them the nearest neighbor on 16 x 16 pixels, which learns
nothing. Seconds and peak memory are those of the whole process. One seed takes 8 to 12 minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import Spread, machine, print_result, table

from allometry.data import open_data


def call(arguments: list[str]) -> tuple[dict[str, Any], float, int]:
    """The JSON that a fresh `allometry` process prints, its seconds, and its peak memory in bytes."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "allometry", *arguments, "--json"], stdout=out, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(
                f"allometry {' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}"
            )
        out.seek(0)
        return json.loads(out.read()), time.perf_counter() - began, usage.ru_maxrss * 1024


def one_seed(seed: int, folder: Path) -> dict[str, Any]:
    """A run and the training of its baseline."""
    run = folder / f"run-{seed}"
    outcome, seconds, memory = call(["run", "--out", str(run), "--seed", str(seed)])
    baseline, baseline_seconds, _ = call(
        ["train", str(run / "baseline.json"), "--out", str(folder / f"baseline-{seed}"), "--seed", str(seed)]
    )
    return {
        "seed": seed,
        "seconds": seconds,
        "memory": memory,
        "law": outcome["law"],
        "macs": outcome["macs"],
        "params": outcome["params"],
        "resolution": outcome["resolution"],
        "validation_accuracy": outcome["validation_accuracy"],
        "test_accuracy": outcome["test_accuracy"],
        "baseline_macs": baseline["macs"],
        "baseline_test_accuracy": baseline["test_accuracy"],
        "baseline_seconds": baseline_seconds,
    }


def nearest_neighbor() -> float:
    """Test accuracy of the nearest training drawing on 16 x 16 pixels."""
    splits = open_data("icons").splits

    def small(name: str) -> np.ndarray:
        split = splits[name]
        images = np.stack([split.image(index)[:, :, 0] for index in range(len(split))])
        return images.reshape(-1, 16, 6, 16, 6).mean((2, 4)).reshape(len(split), -1).astype(np.float32)

    known, queries = small("train"), small("test")
    distances = (known**2).sum(1)[None] - 2 * queries @ known.T
    answers = np.asarray(splits["train"].labels)[distances.argmin(1)]
    return float((answers == np.asarray(splits["test"].labels)).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0 (default: 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [one_seed(seed, Path(folder)) for seed in range(args.seeds)]
    result = {
        "benchmark": "run_icons",
        "runs": runs,
        "nearest_neighbor": nearest_neighbor(),
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a Markdown table with its caption."""
    rows = [
        [
            str(run["seed"]),
            " ".join(f"{run['law'][name]:.3g}" for name in ("alpha", "beta", "gamma")),
            f"{run['resolution']}",
            f"{run['macs']:,}",
            f"{run['params']:,}",
            f"{run['test_accuracy']:.2%}",
            f"{run['baseline_test_accuracy']:.2%}",
            f"{run['seconds']:,.0f}",
            f"{run['memory'] / 1e6:,.0f}",
        ]
        for run in result["runs"]
    ]

    def spread(name: str, pattern: str) -> str:
        values = Spread.of([run[name] for run in result["runs"]])
        return values.show(pattern) if len(rows) > 1 else pattern.format(values.median)

    seeds = "One seed" if len(rows) == 1 else f"Medians of {len(rows)} seeds, least and most in brackets"
    header = ["seed", "alpha beta gamma", "px", "MACs", "params", "test", "baseline, test", "seconds", "MB"]
    return [
        *table(header, rows),
        "",
        f"{seeds}: test accuracy {spread('test_accuracy', '{:.2%}')}; the baseline's "
        f"{spread('baseline_test_accuracy', '{:.2%}')} with a quarter of the MACs and the same recipe; "
        f"{spread('seconds', '{:,.0f}')} seconds for the whole run, trials, export and report included. "
        f"Nearest neighbor on 16 x 16 pixels: {result['nearest_neighbor']:.2%}.",
    ]


if __name__ == "__main__":
    main()
