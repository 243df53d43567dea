"""What the training loop costs over a bare PyTorch loop on the same batches, network and precision.

    python benchmarks/training_loop.py

Both take the same prepared batches, in turn, a few steps each, so that a noisy machine disturbs both alike; on one
core, of which the processor's own time is taken: with more, the wait for the slowest of them hides what is sought. The
bare loop moves a batch to the device, normalizes it, and does forward, loss, backward and AdamW's step: what nobody can
leave out. The loop has its checks, its schedules, its random state, its progress; once without the average of the
weights and without clipping, which the bare loop does not do either, and once with both. A second bare loop says how
far two of the same kind lie apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import Spread, machine, print_result, table

from allometry.arch import Network
from allometry.catalog import get
from allometry.data import Batch, open_data, train_batches
from allometry.nn import build
from allometry.scaling import fit_strides, solve
from allometry.training import ClassificationJob, ClassificationTask, Preprocessing, small
from allometry.training.loop import take_steps
from allometry.training.state import TrainingState

STEPS = 10  # of one turn; after each turn the loop looks at the loss, as it does in a training


def networks() -> dict[str, tuple[Network, int]]:
    """The networks, each with its batch."""
    b0 = get("efficientnet-b0")
    icons = replace(b0, in_channels=1, head=replace(b0.head, classes=88))
    tiny = solve(fit_strides(replace(icons, resolution=96)), "10M", largest_resolution=96).network
    return {
        f"B0 within 10M MACs, {tiny.resolution} px, batch 64": (tiny, 64),
        "B0, 128 px, batch 32": (replace(icons, resolution=128), 32),
    }


def batches_for(network: Network, size: int) -> list[Batch]:
    """Prepared batches of icons."""
    made = train_batches(
        open_data("icons").splits["train"],
        resolution=network.resolution,
        batch_size=size,
        augmentation=small(network, images=7901, drawings=True).augmentation,
        seed=0,
        epoch=0,
    )
    batches = [batch for _, batch in zip(range(STEPS), made, strict=False)]
    made.close()
    return batches


def bare(network: Network) -> Callable[[list[Batch]], None]:
    """A loop as anybody would write it."""
    module = build(network, seed=0).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=0.05, fused=True)

    def run(batches: list[Batch]) -> None:
        for batch in batches:
            images = torch.from_numpy(batch.images).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)
            loss = F.cross_entropy(module(images), torch.from_numpy(batch.labels), label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()

    return run


def ours(network: Network, size: int, folder: Path, **changes: float) -> Callable[[list[Batch]], None]:
    """The library's loop."""
    dataset = open_data("icons")
    recipe = replace(
        small(network, images=7901, drawings=True), batch_size=size, epochs=10_000, dropout=None, **changes
    )
    preprocessing = Preprocessing(
        channels=1,
        resolution=network.resolution,
        crop=1.0,
        mean=(0.5,),
        std=(0.5,),
        classes=dataset.classes,
    )
    job = ClassificationJob(
        network=network, dataset=dataset, preprocessing=preprocessing, recipe=recipe, folder=folder
    )
    task = ClassificationTask(job)
    state = TrainingState(task)
    epoch = replace(job.epochs[-1], first_step=0, steps=10**9)

    def run(batches: list[Batch]) -> None:
        take_steps(task, state, epoch, batches)

    return run


def measure(network: Network, size: int, turns: int) -> dict[str, list[float]]:
    """Seconds of each turn."""
    with tempfile.TemporaryDirectory() as folder:
        loops = {
            "bare PyTorch": bare(network),
            "bare PyTorch once more": bare(network),
            "the loop": ours(network, size, Path(folder) / "plain", ema=0.0, clip=0.0),
            "the loop, with average and clipping": ours(network, size, Path(folder) / "whole"),
        }
        batches = batches_for(network, size)
        times: dict[str, list[float]] = {name: [] for name in loops}
        for turn in range(turns + 1):
            for name in _order(list(loops), turn):
                began = time.process_time()
                loops[name](batches)
                if turn:  # the first one warms up
                    times[name].append(time.process_time() - began)
    return times


def _order(names: list[str], turn: int) -> list[str]:
    """Another order in each turn: no loop always has the same neighbor before it."""
    return [names[place] for place in np.random.default_rng(turn).permutation(len(names))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=15, help="of each loop (default: 15)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for label, (network, size) in networks().items():
        seconds = measure(network, size, args.turns)
        plain = seconds["bare PyTorch"]
        rows[label] = {
            name: {
                "milliseconds": Spread.of([1000 * value / STEPS for value in values])._asdict(),
                # Turn by turn: what disturbs the machine disturbs neighbors alike.
                "ratio": Spread.of(np.divide(values, plain).tolist())._asdict(),
            }
            for name, values in seconds.items()
        }
    result = {
        "benchmark": "training_loop",
        "turns": args.turns,
        "steps": STEPS,
        "rows": rows,
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as text."""
    rows = [
        [
            label,
            name,
            Spread(**row["milliseconds"]).show("{:.1f}"),
            Spread(**row["ratio"]).show("{:.3f}"),
        ]
        for label, loops in result["rows"].items()
        for name, row in loops.items()
    ]
    return [
        *table(["network", "loop", "milliseconds a step", "times the bare loop"], rows),
        "",
        f"Medians of {result['turns']} turns of {result['steps']} steps each, on one core, in the processor's own "
        "time; least and most in brackets.",
    ]


if __name__ == "__main__":
    main()
