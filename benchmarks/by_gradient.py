"""Searches by gradient: the pressure above the budget alone beside the papers' losses and rates, at equal epochs.

    python benchmarks/by_gradient.py --folder runs/by_gradient [--seeds 3] [--epochs 8] [--classes 16]

In the space of 1,600 networks of `searchers.py`, on the icons of so many classes at 24 px, within 400k MACs. Every arm
has the same images, epochs and seeds. What it finds is trained for as many epochs and judged on the test images, which
no search has seen; so are random networks within the budget. Beside it stands which share of the networks within the
budget is worse on the kept table (`results/searchers_table.jsonl`: all classes, one epoch, the icons' first split).
One thread; about ten minutes of a quiet core. A folder holds all results, and the same command goes on with them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import key_of, machine, print_result, table
from searchers import kept_table, small_space

from allometry import search, train
from allometry.arch import Network, Space, from_json, members, to_json
from allometry.base.files import append_line, read_json, read_lines
from allometry.cost import count
from allometry.data import ArraySplit, Dataset, open_data
from allometry.nas import encodings_of, network_of
from allometry.nas.search_config import SearchConfig

BUDGET = 400_000
RANDOM = 10  # networks, however many seeds there are
ARMS: dict[str, SearchConfig] = {
    f"{searcher}{', REINFORCE' if reinforce else ''}, {loss}": SearchConfig(
        searcher=searcher, loss=loss, reinforce=reinforce, threads=1
    )
    for searcher, reinforce in (("fbnet", False), ("proxylessnas", False), ("proxylessnas", True))
    for loss in ("budget", "paper")
}


def few_classes(number: int) -> Dataset:
    """The icons of the classes that have most images."""
    data = open_data("icons")
    counts = np.bincount(data.splits["train"].labels, minlength=len(data.classes))
    kept = np.sort(np.argsort(-counts, kind="stable")[:number])
    splits = {}
    for name, split in data.splits.items():
        places = np.flatnonzero(np.isin(split.labels, kept))
        splits[name] = ArraySplit(
            images=np.stack([split.image(place) for place in places.tolist()]),
            labels=np.searchsorted(kept, split.labels[places]),
            names=tuple(split.names[place] for place in places),
            groups=None if split.groups is None else tuple(split.groups[place] for place in places),
        )
    classes = tuple(data.classes[place] for place in kept)
    return replace(data, name=f"icons of {number} classes", classes=classes, splits=splits)


def found(folder: Path, arm: str, seed: int, data: Dataset, epochs: int) -> dict[str, Any]:
    """The network that a search finds, and what the search passed through its networks."""
    run = folder / f"{key_of(arm)}-{seed}"
    search(
        small_space(),
        data=data,
        budget=str(BUDGET),
        config=ARMS[arm],
        epochs=epochs,
        settings=("epochs=16",),  # an eighth of which the trial has that every search ends with
        seed=seed,
        out=run,
        progress=False,
    )
    kept = read_json(run / "gradient.json")
    return {
        "network": kept["networks"][0],
        "images": kept["images"],
        "seconds": kept["seconds"],
        "expected_macs": kept["expected_cost"],
        "entropy": kept["epochs"][-1]["entropy"],
        "budgeted": kept["budgeted"],
    }


def judged(folder: Path, network: Network, seed: int, data: Dataset, epochs: int) -> float:
    """The test accuracy of a network after a training; searches that find the same network share it."""
    run = folder / f"judge-{key_of(to_json(network))}-{seed}"
    settings = (f"epochs={epochs}",)
    trained = train(network, data=data, settings=settings, seed=seed, out=run, progress=False)
    accuracy: float = trained.result.test_accuracy
    return accuracy


class Kept:
    """The kept table, and which share of the networks within the budget is worse there."""

    def __init__(self, space: Space) -> None:
        self._space, self._known = space, kept_table()
        every = list(members(space))
        self.within = encodings_of(space, [network for network in every if count(network).macs <= BUDGET])
        self._sorted = np.sort([self._known[encoding.tobytes()] for encoding in self.within])

    def share_below(self, network: Network) -> float:
        """Which share is worse than this one."""
        value = self._known[encodings_of(self._space, [network])[0].tobytes()]
        return float(np.searchsorted(self._sorted, value) / len(self._sorted))


def measure(folder: Path, seeds: int, epochs: int, classes: int) -> list[dict[str, Any]]:
    """One row for each arm and seed, and one for each random network; those that the folder has are taken."""
    data, space = few_classes(classes), small_space()
    kept = Kept(space)
    file = folder / f"rows-{key_of(data.fingerprint, epochs)}.jsonl"
    rows = read_lines(file) if file.exists() else []
    done = {(row["arm"], row["seed"]) for row in rows}
    chosen = np.random.default_rng(0).choice(len(kept.within), RANDOM, replace=False)
    networks = {number: network_of(space, kept.within[place]) for number, place in enumerate(chosen)}
    # What the default is decided by comes first.
    plain = [arm for arm, config in ARMS.items() if not config.reinforce]
    todo = [(arm, seed) for seed in range(seeds) for arm in plain]
    todo += [("random", number) for number in networks]
    todo += [(arm, seed) for seed in range(seeds) for arm in ARMS if arm not in plain]
    for arm, seed in todo:
        if (arm, seed) in done:
            continue
        row: dict[str, Any] = {"arm": arm, "seed": seed}
        if arm == "random":
            network = networks[seed]
        else:
            row |= found(folder, arm, seed, data, epochs)
            network = from_json(row["network"])
        judge = seed % seeds
        row |= {
            "macs": count(network).macs,
            "test_accuracy": judged(folder, _for_data(network, data), judge, data, epochs),
            "share_below": kept.share_below(_of_table(network)),
        }
        append_line(file, row)
        rows.append(row)
    return rows


def _of_table(network: Network) -> Network:
    """The network with the classes of the table's."""
    classes = small_space().template.head.classes
    return replace(network, name="", head=replace(network.head, classes=classes))


def _for_data(network: Network, data: Dataset) -> Network:
    return replace(network, name="", head=replace(network.head, classes=len(data.classes)))


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    rows = result["rows"]
    by_arm = {arm: [row for row in rows if row["arm"] == arm] for arm in (*ARMS, "random")}
    return [
        f"Found by {result['epochs']} epochs on the icons of {result['classes']} classes at 24 px, within "
        f"{BUDGET / 1000:.0f}k MACs, and trained for as many epochs; {result['seeds']} seeds, {RANDOM} random "
        "networks. Means with standard errors:",
        "",
        *table(
            ["searcher, loss", "test accuracy, %", "better than, % of the table", "MACs, k", "entropy, nats"],
            [
                [
                    arm,
                    _mean([100 * row["test_accuracy"] for row in found_rows]),
                    _mean([100 * row["share_below"] for row in found_rows]),
                    _mean([row["macs"] / 1000 for row in found_rows]),
                    "" if arm == "random" else _mean([row["entropy"] for row in found_rows]),
                ]
                for arm, found_rows in by_arm.items()
            ],
        ),
        "",
        "The paper's loss beside the pressure above the budget, the same seeds, in points of test accuracy:",
        "",
        *table(["searcher", "paper less budget", "images passed, paper : budget"], _pairs(by_arm)),
    ]


def _pairs(by_arm: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    pairs = []
    for arm in ARMS:
        searcher, _, loss = arm.rpartition(", ")
        if loss == "paper":
            ours, theirs = by_arm[f"{searcher}, budget"], by_arm[arm]
            both = list(zip(ours, theirs, strict=True))
            gains = [100 * (paper["test_accuracy"] - plain["test_accuracy"]) for plain, paper in both]
            images = sum(row["images"] for row in theirs) / sum(row["images"] for row in ours)
            pairs.append([searcher, _mean(gains), f"{images:.2f}"])
    return pairs


def _mean(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.1f}" if values else ""
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.1f}"


def main() -> None:
    """Measure what the folder does not have yet, and print all of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="of all results")
    parser.add_argument("--seeds", type=int, default=3, help="of each arm")
    parser.add_argument("--epochs", type=int, default=8, help="of each search, and of each training after it")
    parser.add_argument("--classes", type=int, default=16, help="of the icons")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    result = {
        "benchmark": "by_gradient",
        "seeds": args.seeds,
        "epochs": args.epochs,
        "classes": args.classes,
        "rows": measure(args.folder, args.seeds, args.epochs, args.classes),
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


if __name__ == "__main__":
    main()
