"""What a training step costs on a GPU: images per second and memory, beside the same networks in plain PyTorch.

    pip install --no-deps efficientnet-pytorch
    python benchmarks/gpu_training.py

EfficientNet-B0 at 224 px and EfficientNetV2-S at 300 px in bfloat16, channels last, compiled and not. The plain side
is a loop that anybody would write: for B0 over the modules of `efficientnet_pytorch`, for V2-S over ours, since no
other implementation of it is at hand. All kinds take turns. It needs a CUDA device.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import Spread, machine, print_result, table
from torch import nn

from allometry.catalog import get
from allometry.data import Batch, open_data
from allometry.nn import build
from allometry.training import ClassificationJob, ClassificationTask, Execution, Preprocessing, small
from allometry.training.loop import take_steps
from allometry.training.state import TrainingState

NETWORKS = {"efficientnet-b0": (224, 256), "efficientnetv2-s": (300, 128)}
STEPS = 20


def batch_of(size: int, side: int) -> Batch:
    """A batch of noise."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 88, size)
    pixels = random.integers(0, 256, (size, side, side, 3), dtype=np.uint8)
    return Batch(pixels, labels, labels, labels, np.ones(size, np.float32))


def plain(module: nn.Module, device: torch.device) -> Callable[[Batch, int], None]:
    """A loop as anybody would write it."""
    module.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)

    def run(batch: Batch, steps: int) -> None:
        for _ in range(steps):
            pixels = torch.from_numpy(batch.images).to(device, non_blocking=True).permute(0, 3, 1, 2)
            labels = torch.from_numpy(batch.labels).to(device, non_blocking=True)
            with torch.autocast("cuda", dtype=torch.bfloat16):
                scores = module(pixels.float().sub_(127.5).div_(127.5))
            loss = F.cross_entropy(scores.float(), labels, label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()

    return run


def ours(
    name: str, size: int, side: int, device: torch.device, *, compiled: bool
) -> Callable[[Batch, int], None]:
    """The library's loop, with its average and its clipping."""
    dataset = open_data("icons")
    network = replace(get(name), resolution=side, head=replace(get(name).head, classes=88))
    recipe = replace(
        small(network, images=7901),
        batch_size=size,
        precision="bfloat16",
        execution=Execution(compile=compiled),
    )
    half = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing(
        channels=3, resolution=side, crop=1.0, mean=half, std=half, classes=dataset.classes
    )
    folder = Path(tempfile.mkdtemp())
    job = ClassificationJob(
        network=network,
        dataset=dataset,
        preprocessing=preprocessing,
        recipe=recipe,
        folder=folder,
        device=device,
    )
    task = ClassificationTask(job)
    state = TrainingState(task)
    epoch = replace(job.epochs[-1], first_step=0, steps=10**9)

    def run(batch: Batch, steps: int) -> None:
        take_steps(task, state, epoch, [batch] * steps)

    return run


def theirs(name: str) -> nn.Module:
    """The network in plain PyTorch modules."""
    if name == "efficientnet-b0" and importlib.util.find_spec("efficientnet_pytorch"):
        module: nn.Module = importlib.import_module("efficientnet_pytorch").EfficientNet.from_name(
            name, num_classes=88
        )
        return module
    network = get(name)
    return build(replace(network, head=replace(network.head, classes=88)), seed=0)


def measure(name: str, turns: int, device: torch.device) -> dict[str, dict[str, list[float]]]:
    """Images per second and gigabytes of each kind, turn by turn."""
    side, size = NETWORKS[name]
    kinds = {
        "plain PyTorch": lambda: plain(theirs(name), device),
        "plain PyTorch, compiled": lambda: plain(_compiled(theirs(name)), device),
        "allometry": lambda: ours(name, size, side, device, compiled=False),
        "allometry, compiled": lambda: ours(name, size, side, device, compiled=True),
    }
    batch = batch_of(size, side)
    loops = {kind: make() for kind, make in kinds.items()}
    measured: dict[str, dict[str, list[float]]] = {kind: {"speed": [], "memory": []} for kind in kinds}
    for turn in range(turns + 1):
        for kind, loop in loops.items():
            torch.cuda.empty_cache()
            before = torch.cuda.memory_allocated(device)
            torch.cuda.reset_peak_memory_stats(device)
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            loop(batch, STEPS)
            end.record()
            torch.cuda.synchronize(device)
            if turn:  # the first one warms up and compiles
                measured[kind]["speed"].append(1000 * STEPS * size / start.elapsed_time(end))
                measured[kind]["memory"].append((torch.cuda.max_memory_allocated(device) - before) / 1e9)
    return measured


def _compiled(module: nn.Module) -> nn.Module:
    compiled: Any = torch.compile(module)
    return compiled


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=7, help="of each kind (default: 7)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("This needs a CUDA device and a build of torch for it; there is none here.")
    device = torch.device("cuda", 0)
    rows = {
        name: {
            kind: {key: Spread.of(values)._asdict() for key, values in lists.items()}
            for kind, lists in measure(name, args.turns, device).items()
        }
        for name in NETWORKS
    }
    about = {**machine(), "processor": torch.cuda.get_device_name(device)}
    result = {
        "benchmark": "gpu_training",
        "turns": args.turns,
        "steps": STEPS,
        "rows": rows,
        "machine": about,
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as text."""
    rows = [
        [
            f"{name}, {NETWORKS[name][0]} px, batch {NETWORKS[name][1]}",
            kind,
            Spread(**spreads["speed"]).show(),
            Spread(**spreads["memory"]).show("{:.2f}"),
        ]
        for name, kinds in result["rows"].items()
        for kind, spreads in kinds.items()
    ]
    return [
        *table(["network", "loop", "images per second", "peak in GB"], rows),
        "",
        f"bfloat16, channels last. Medians of {result['turns']} turns of {result['steps']} steps, least and most in "
        "brackets; memory beyond what all loops hold between their turns.",
    ]


if __name__ == "__main__":
    main()
