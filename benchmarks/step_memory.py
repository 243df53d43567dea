"""What a training step of B0 holds in memory: whole, recomputed, in parts, and in plain PyTorch modules.

    python benchmarks/step_memory.py

Each case runs two steps in a fresh process; the figure is the most memory the process ever had, less what it had before
the first step, when modules and batch were there. Beside it stands what the library counts without doing a step.
`efficientnet_pytorch` is the other implementation, where it is installed (tests/parity.txt).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from common import Spread, machine, print_result, table

CASES = {
    "whole batches": "ours()",
    "recomputed (execution.recompute)": "ours(recompute=True)",
    "in parts of 16 (execution.micro_batch)": "ours(micro_batch=16)",
    "recomputed, in parts of 16": "ours(recompute=True, micro_batch=16)",
    "plain PyTorch: efficientnet_pytorch": "theirs()",
}
CODE = """
import json, resource, tempfile
from dataclasses import replace
from pathlib import Path
import numpy as np, torch
import torch.nn.functional as F
SIZE, SIDE = {size}, 224

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def ours(**execution):
    from allometry.data import Batch, open_data
    from allometry.training import ClassificationJob, ClassificationTask, Execution, Preprocessing, small, step_memory
    from allometry.training.loop import take_steps
    from allometry.training.state import TrainingState
    from allometry.catalog import get
    network = get("efficientnet-b0")
    recipe = replace(small(network, images=7901), batch_size=SIZE, execution=Execution(**execution))
    dataset = open_data("icons")
    preprocessing = Preprocessing(
        channels=3, resolution=SIDE, crop=1.0, mean=(.5,) * 3, std=(.5,) * 3, classes=dataset.classes
    )
    folder = Path(tempfile.mkdtemp())
    job = ClassificationJob(
        network=network, dataset=dataset, preprocessing=preprocessing, recipe=recipe, folder=folder
    )
    task = ClassificationTask(job)
    state = TrainingState(task)
    epoch = replace(job.epochs[-1], first_step=0, steps=10**9)
    labels = np.zeros(SIZE, np.int64)
    batch = Batch(np.zeros((SIZE, SIDE, SIDE, 3), np.uint8), labels, labels, labels, np.ones(SIZE, np.float32))
    before = peak()
    take_steps(task, state, epoch, [batch, batch])
    # The weights and their average were there before; moments and gradients come with the step.
    there = 8 * sum(weight.numel() for weight in task.module.parameters())
    return peak() - before, step_memory(network, recipe, images=SIZE) - there

def theirs():
    from efficientnet_pytorch import EfficientNet
    module = EfficientNet.from_name("efficientnet-b0").train()
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    images, labels = torch.zeros(SIZE, 3, SIDE, SIDE), torch.zeros(SIZE, dtype=torch.long)
    before = peak()
    for _ in range(2):
        loss = F.cross_entropy(module(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return peak() - before, None

import time
began = time.perf_counter()
measured, counted = {case}
print(json.dumps({{"measured": measured, "counted": counted, "seconds": time.perf_counter() - began}}))
"""


def run(case: str, size: int) -> dict[str, Any] | None:
    """One case in a fresh process; None where a package is missing."""
    code = CODE.format(case=case, size=size)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=False, capture_output=True, text=True
    )
    if "ModuleNotFoundError" in done.stderr:
        return None
    if done.returncode:
        raise SystemExit(done.stderr)
    step: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="processes of each case (default: 3)")
    parser.add_argument("--size", type=int, default=64, help="images of a step (default: 64)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    cases: dict[str, list[dict[str, Any]]] = {}
    for _ in range(args.repeats):
        for name, case in CASES.items():
            one = run(case, args.size)
            if one is not None:
                cases.setdefault(name, []).append(one)
    rows = {
        name: {
            "gigabytes": Spread.of([case["measured"] / 1e9 for case in each_case])._asdict(),
            "counted": each_case[0]["counted"] and each_case[0]["counted"] / 1e9,
            "seconds": Spread.of([case["seconds"] for case in each_case])._asdict(),
        }
        for name, each_case in cases.items()
    }
    result = {
        "benchmark": "step_memory",
        "repeats": args.repeats,
        "size": args.size,
        "rows": rows,
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as text."""
    rows = [
        [
            name,
            Spread(**row["gigabytes"]).show("{:.2f}"),
            "" if row["counted"] is None else f"{row['counted']:.2f}",
            Spread(**row["seconds"]).show("{:.1f}"),
        ]
        for name, row in result["rows"].items()
    ]
    return [
        *table(["B0, 224 px, AdamW", "peak in GB", "counted in GB", "seconds of two steps"], rows),
        "",
        f"Batch {result['size']}, float32. Medians of {result['repeats']} processes, least and most in brackets; "
        "seconds with building the module.",
    ]


if __name__ == "__main__":
    main()
