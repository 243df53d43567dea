"""How many networks `allometry.count` counts in a second on one core.

    python benchmarks/count_speed.py

Two kinds of network: random ones, made beforehand from a seed, and EfficientNet-B0 to B7. In the same run the
other way to the same numbers: build each network on PyTorch's meta device and let PyTorch's flop counter watch one
forward pass. Seconds are the process's own (processor time), on one thread, so that other work on the machine
disturbs little.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from common import Spread, machine, print_result, table
from torch.utils.flop_counter import FlopCounterMode

from allometry import Network, count, get
from allometry.arch import ACTIVATIONS, Head, MBConv, Stage, Stem
from allometry.nn import ConvNet


def random_network(draw: random.Random) -> Network:
    """A network of one to seven stages with random blocks."""
    stages = tuple(
        Stage(
            block=MBConv(
                channels=draw.randint(1, 48) * 8,
                kernel=draw.choice([3, 5, 7]),
                stride=draw.choice([1, 1, 2]),
                expand_ratio=draw.choice([1, 1.5, 2, 3, 6]),
                se_ratio=draw.choice([0, 0.05, 0.25, 1]),
                activation=draw.choice(ACTIVATIONS),
            ),
            repeats=draw.randint(1, 6),
        )
        for _ in range(draw.randint(1, 7))
    )
    return Network(
        stem=Stem(channels=draw.randint(1, 8) * 8, kernel=draw.choice([3, 5]), stride=draw.choice([1, 2])),
        stages=stages,
        head=Head(channels=draw.randint(1, 200) * 8, classes=draw.randint(2, 1000)),
        resolution=draw.randint(16, 300),
        in_channels=draw.choice([1, 3]),
    )


def macs_by_torch(network: Network) -> int:
    """MACs as PyTorch's flop counter sees them, without allocating a weight."""
    with torch.device("meta"):
        module = ConvNet(network).eval()
        image = torch.zeros(1, network.in_channels, network.resolution, network.resolution)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    return int(counter.get_total_flops()) // 2


def per_second(
    work: Callable[[Network], object], networks: Sequence[Network], *, repeats: int, passes: int
) -> Spread:
    """Networks that `work` gets through in a second of processor time: median and spread of the repeats."""
    speeds = []
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(passes):
            for network in networks:
                work(network)
        speeds.append(passes * len(networks) / (time.process_time() - began))
    return Spread.of(speeds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", type=int, default=2000, help="random networks (default: 2000)")
    parser.add_argument("--sample", type=int, default=20, help="of them for the flop counter (default: 20)")
    parser.add_argument("--repeats", type=int, default=9, help="repeats of each measurement (default: 9)")
    parser.add_argument("--seed", type=int, default=0, help="of the random networks (default: 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    torch.set_num_threads(1)
    draw = random.Random(args.seed)
    randoms = [random_network(draw) for _ in range(args.networks)]
    family = [get(f"efficientnet-b{number}") for number in range(8)]
    sample = randoms[: args.sample]
    differing = sum(count(network).macs != macs_by_torch(network) for network in [*sample, *family])

    kinds = {}
    for name, ours, theirs, passes in (
        (f"{len(randoms):,} random networks", randoms, sample, 1),
        ("EfficientNet-B0 to B7", family, family, 100),
    ):
        counted = per_second(count, ours, repeats=args.repeats, passes=passes)
        watched = per_second(macs_by_torch, theirs, repeats=args.repeats, passes=1)
        kinds[name] = {
            "count_per_second": counted._asdict(),
            "torch_per_second": watched._asdict(),
            "torch_networks": len(theirs),
            "ratio": counted.median / watched.median,
        }
    result = {
        "benchmark": "count_speed",
        "repeats": args.repeats,
        "seed": args.seed,
        "kinds": kinds,
        "compared": len(sample) + len(family),
        "differing": differing,
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a Markdown table with its caption."""
    rows = [
        [
            name,
            Spread(**kind["count_per_second"]).show(),
            Spread(**kind["torch_per_second"]).show("{:,.1f}"),
            f"{kind['ratio']:,.0f}x",
        ]
        for name, kind in result["kinds"].items()
    ]
    sample = next(iter(result["kinds"].values()))["torch_networks"]
    return [
        *table(["networks", "`count`, networks per second", "PyTorch, networks per second", "ratio"], rows),
        "",
        f"Medians of {result['repeats']} repeats, least and most in brackets; one thread, processor time. PyTorch: "
        f"built on the meta device and watched by its flop counter; {sample} of the random networks.",
        f"MACs differ in {result['differing']} of the {result['compared']} networks that both sides counted.",
    ]


if __name__ == "__main__":
    main()
