"""When growth saves time: a network that grows while it is trained, beside the same network trained anew.

    python benchmarks/growth.py --folder FOLDER

On the icons, from 2.5M to 9.1M MACs by depth and width at the same pixels. Each training is a process of its own, whose
processor seconds count, those of the small network included. `anew` has a schedule of its own for every time that is
compared: its number of epochs. A way is told from chance where all seeds agree and its interval leaves out 0.
What is done already in the folder is not done again; a training takes some six minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from baselines import icons_baseline
from common import Spread, machine, print_result, table

from allometry.arch import Network, load, save
from allometry.cost import as_budget, count
from allometry.data import group_numbers, open_data
from allometry.scaling import as_law, solve
from allometry.training import predict
from allometry.training.metrics.intervals import resamples
from allometry.training.pretrained import open_finished

SMALL, LARGE = "2.5M", "9.1M"
LAW = "1.2,1.1,1"  # the paper's depth and width, the pixels as they are
_TIMES = 2000


class Way(NamedTuple):
    """How the large network is trained.

    Attributes:
        name: in the table.
        growth: of the option `--grow`; none where it is large from the beginning.
        epochs: of the whole training.
        after: epochs of the small network's own training, from which it is grown then by `allometry grow`.
        method: what new channels are.
    """

    name: str
    growth: str = ""
    epochs: int = 10
    after: int = 0
    method: str = "new"


WAYS = (
    Way("anew, 6 epochs", epochs=6),
    Way("anew, 8 epochs", epochs=8),
    Way("anew, 10 epochs", epochs=10),
    Way("grows once, early", growth="9.1M@4", epochs=10),
    Way("grows twice, early", growth="4.8M@3, 9.1M@5", epochs=10),
    Way("grows once, in the middle", growth="9.1M@6", epochs=12),
    Way("trained small, then grown", after=6, epochs=5),
    Way("trained small, then copied", after=6, epochs=5, method="copies"),
    Way("trained small, then in pairs", after=6, epochs=5, method="pairs"),
)


class Row(NamedTuple):
    """One training."""

    way: str
    seed: int
    seconds: float
    macs: int
    validation: float
    test: float


def call(arguments: Sequence[str], threads: int) -> tuple[dict[str, Any], float]:
    """The JSON that a fresh `allometry` process prints, and its processor seconds."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "allometry", *arguments, "--json"],
            stdout=out,
            stderr=said,
            env=environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            said.seek(0)
            raise SystemExit(f"allometry {' '.join(arguments)} failed: {said.read().decode()[-2000:]}")
        out.seek(0)
        return json.loads(out.read()), usage.ru_utime + usage.ru_stime


def once(folder: Path, name: str, arguments: list[str], threads: int) -> dict[str, Any]:
    """A process whose result is kept in the folder; one that was killed is done again from its beginning."""
    kept = folder / f"{name}.json"
    if not kept.exists():
        shutil.rmtree(folder / name, ignore_errors=True)
        outcome, seconds = call([*arguments, "--out", str(folder / name)], threads)
        beside = kept.with_suffix(".part")
        beside.write_text(json.dumps({"outcome": outcome, "seconds": seconds}))
        beside.replace(kept)
    content: dict[str, Any] = json.loads(kept.read_text())
    return content


def train(way: Way, seed: int, folder: Path, threads: int) -> tuple[Row, npt.NDArray[np.bool_]]:
    """Train in one way, or read what is done; and which test images are right then."""
    small, large = folder / "small.json", folder / "large.json"
    name = f"{way.name.replace(',', '').replace(' ', '-')}-{seed}"
    common = ["--seed", str(seed)]
    if way.after:
        first = once(
            folder,
            f"small-{way.after}-{seed}",
            ["train", str(small), "--set", f"epochs={way.after}", *common],
            threads,
        )
        grown = ["grow", str(folder / f"small-{way.after}-{seed}"), "--budget", LARGE, "--law", LAW]
        more = ["--method", way.method, "--data", "icons", "--epochs", str(way.epochs), *common]
        done = once(folder, name, [*grown, *more], threads)
        seconds = first["seconds"] + done["seconds"]
    else:
        start = small if way.growth else large
        growing = ["--grow", way.growth, "--law", LAW] if way.growth else []
        done = once(
            folder, name, ["train", str(start), "--set", f"epochs={way.epochs}", *growing, *common], threads
        )
        seconds = done["seconds"]
    finished = open_finished(folder / name)
    split = open_data("icons").splits["test"]
    correct = predict(
        finished.module, split, preprocessing=finished.preprocessing, device=torch.device("cpu")
    ).correct
    outcome = done["outcome"]
    row = Row(
        way.name, seed, seconds, count(load(folder / name / "network.json")).macs,
        outcome["validation_accuracy"], float(correct.mean()),
    )  # fmt: skip
    return row, correct


def networks(folder: Path) -> tuple[Network, Network]:
    """The small network and the large one, written into the folder."""
    small = icons_baseline(SMALL).network
    large = solve(small, as_budget(LARGE), law=as_law(LAW), largest_resolution=small.resolution).network
    save(small, folder / "small.json")
    save(large, folder / "large.json")
    return small, large


def difference(
    ours: Sequence[npt.NDArray[np.bool_]],
    theirs: Sequence[npt.NDArray[np.bool_]],
    groups: npt.NDArray[np.int64] | None,
) -> dict[str, Any]:
    """How much more test images one way has right than another, by seed, with its interval over groups of images."""
    by_seed = [one.astype(float) - two.astype(float) for one, two in zip(ours, theirs, strict=True)]
    more = np.mean(by_seed, axis=0)
    drawn = resamples(len(more), seed=0, times=_TIMES, groups=groups)
    low, high = np.quantile([float((more * times).sum() / times.sum()) for times in drawn], (0.025, 0.975))
    return {
        "mean": float(more.mean()),
        "interval": [float(low), float(high)],
        "seeds": [float(each.mean()) for each in by_seed],
    }


def nearest_anew(rows: Sequence[Row], seconds: float) -> str:
    """The training anew that took the nearest time to this."""
    anew = [row for row in rows if row.way.startswith("anew")]
    times = {
        way: statistics.median(row.seconds for row in anew if row.way == way) for way in {r.way for r in anew}
    }
    return min(times, key=lambda way: abs(times[way] - seconds))


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="for the runs; what is there is not done again"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")
    parser.add_argument("--ways", nargs="+", help="parts of the names of some ways (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="of each training (default: 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    small, large = networks(args.folder)
    chosen = [way for way in WAYS if args.ways is None or any(part in way.name for part in args.ways)]
    rows, correct = [], {}
    for seed in args.seeds:
        for way in chosen:
            row, right = train(way, seed, args.folder, args.threads)
            rows.append(row)
            correct[way.name, seed] = right
    groups = group_numbers(open_data("icons").splits["test"])
    compared = {}
    for way in chosen:
        if any(name.startswith("anew") for name, _ in correct) and not way.name.startswith("anew"):
            own = [row for row in rows if row.way == way.name]
            other = nearest_anew(rows, statistics.median(row.seconds for row in own))
            ours, theirs = ([correct[name, seed] for seed in args.seeds] for name in (way.name, other))
            compared[way.name] = {"beside": other, **difference(ours, theirs, groups)}
    result = {
        "benchmark": "growth",
        "small": {"macs": count(small).macs, "resolution": small.resolution},
        "large": {"macs": count(large).macs, "resolution": large.resolution},
        "rows": [row._asdict() for row in rows],
        "compared": compared,
        "images": len(next(iter(correct.values()))),
        "groups": None if groups is None else len(set(groups.tolist())),
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a Markdown table with its caption."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in result["rows"]:
        rows.setdefault(row["way"], []).append(row)
    told = []
    for way, own in rows.items():
        beside = result["compared"].get(way)
        told.append(
            [
                way,
                Spread.of([row["seconds"] for row in own]).show("{:,.0f}"),
                Spread.of([row["validation"] for row in own]).show("{:.1%}"),
                Spread.of([row["test"] for row in own]).show("{:.1%}"),
                ""
                if beside is None
                else "{}: {:+.1f} ({:+.1f} to {:+.1f})".format(
                    beside["beside"], 100 * beside["mean"], *(100 * edge for edge in beside["interval"])
                ),
            ]
        )
    header = [
        "way",
        "processor seconds",
        "validation",
        "test",
        "points beside the training anew of that time",
    ]
    seeds = len({row["seed"] for row in result["rows"]})
    return [
        *table(header, told),
        "",
        f"From {result['small']['macs']:,} to {result['large']['macs']:,} MACs at {result['large']['resolution']} px; "
        + ("one seed" if seeds == 1 else f"medians of {seeds} seeds, least and most in brackets")
        + f"; {result['images']:,} test images by {result['groups']} authors.",
    ]


if __name__ == "__main__":
    main()
