"""What `allometry run` reaches on the icons, in what time and memory, beside what is simpler.

    python benchmarks/run_icons.py --folder FOLDER

For each seed, by fresh processes: `allometry run`; its baseline (a quarter of the budget, before growing) trained by
the same recipe, which shows what growing bought; and the network that the paper's law makes of the baseline, trained by
the same recipe without any trial, which shows what choosing a law bought. With `--beside SOURCE`, the run of another
checkout of this project on the same images, in turn, which shows what a change of `run` bought. Beside them the nearest
neighbor of drawings cropped to what is drawn, which learns nothing. What is done already in the folder is not done
again. Seconds and peak memory are those of the whole process. One seed takes some 15 minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from baselines import icons_baseline
from common import Spread, machine, print_result, table

sys.path.insert(0, str(Path(__file__).parents[1]))  # for scripts, which are no package

from allometry.arch import Network, load, save
from allometry.data import group_numbers, open_data
from allometry.scaling import COMPOUND
from allometry.training import predict
from allometry.training.metrics.intervals import fraction_interval, resamples
from allometry.training.pretrained import open_finished
from scripts.split_icons import cropped

BUDGET = 10_000_000
TIMES = 2000  # resamples of the groups of test images, for the interval of a difference


def call(arguments: list[str], source: Path | None = None) -> tuple[dict[str, Any], float, int]:
    """The JSON that a fresh `allometry` process prints, its seconds, and its peak memory in bytes."""
    began = time.perf_counter()
    environment = {**os.environ, **({} if source is None else {"PYTHONPATH": str(source / "src")})}
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "allometry", *arguments, "--json"],
            stdout=out,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(
                f"allometry {' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}"
            )
        out.seek(0)
        text = out.read()
    return json.loads(text), time.perf_counter() - began, usage.ru_maxrss * 1024


class Part:
    """One process of the benchmark: what it printed, and which test images its network has right.

    Args:
        folder: of all parts.
        name: of this one; what is in the folder under it is not done again.
        arguments: of the command.
        source: of another checkout.
    """

    def __init__(self, folder: Path, name: str, arguments: list[str], source: Path | None = None) -> None:
        kept = folder / f"{name}.json"
        if not kept.exists():
            shutil.rmtree(
                folder / name, ignore_errors=True
            )  # what was killed would go on, and its seconds be too few
            outcome, seconds, memory = call([*arguments, "--out", str(folder / name)], source)
            beside = kept.with_suffix(".part")
            beside.write_text(json.dumps({"outcome": outcome, "seconds": seconds, "memory": memory}))
            beside.replace(kept)
        content = json.loads(kept.read_text())
        self.outcome: Mapping[str, Any] = content["outcome"]
        self.seconds: float = content["seconds"]
        self.memory: int = content["memory"]
        self.network: Network = load(folder / name / "network.json")
        finished = open_finished(folder / name)
        split = open_data("icons").splits["test"]
        self.correct = predict(
            finished.module, split, preprocessing=finished.preprocessing, device=torch.device("cpu")
        ).correct

    def to_dict(self) -> dict[str, Any]:
        """What the table shows."""
        return {
            "macs": self.outcome["macs"],
            "params": self.outcome["params"],
            "resolution": self.network.resolution,
            "validation_accuracy": self.outcome["validation_accuracy"],
            "test_accuracy": float(self.correct.mean()),
            "test_interval": fraction_interval(self.correct, GROUPS),
            "seconds": self.seconds,
            "memory": self.memory,
            "law": self.outcome.get("law"),
        }


def test_groups() -> npt.NDArray[np.int64] | None:
    """The authors of the test images, by which intervals are."""
    return group_numbers(open_data("icons").splits["test"])


GROUPS = test_groups()


def one_seed(seed: int, folder: Path, beside: Path | None) -> dict[str, Part]:
    """A run and what it is compared with."""
    common = ["--seed", str(seed)]
    parts = {"run": Part(folder, f"run-{seed}", ["run", *common])}
    if beside is not None:
        parts["before"] = Part(folder, f"before-{seed}", ["run", *common], beside)
    plain = folder / "plain.json"
    save(icons_baseline(str(BUDGET // 4)).grown(BUDGET, COMPOUND), plain)
    parts["plain"] = Part(folder, f"plain-{seed}", ["train", str(plain), *common])
    baseline = folder / f"run-{seed}" / "baseline.json"
    parts["baseline"] = Part(folder, f"baseline-{seed}", ["train", str(baseline), *common])
    return parts


def difference(ours: list[npt.NDArray[np.bool_]], theirs: list[npt.NDArray[np.bool_]]) -> dict[str, Any]:
    """How much more test images ours have right, in the mean of all seeds, and its interval over groups of images."""
    more = np.mean([a.astype(float) - b.astype(float) for a, b in zip(ours, theirs, strict=True)], axis=0)
    drawn = resamples(len(more), seed=0, times=TIMES, groups=GROUPS)
    means = [float((more * times).sum() / times.sum()) for times in drawn]
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": float(more.mean()), "interval": [float(low), float(high)]}


def nearest_neighbor() -> dict[str, Any]:
    """How many test images have the class of the training drawing that looks most like them, filling the frame."""
    splits = open_data("icons").splits

    def vectors(name: str) -> npt.NDArray[np.float32]:
        split = splits[name]
        return cropped(np.stack([split.image(index)[:, :, 0] for index in range(len(split))]))[0]

    answers = np.asarray(splits["train"].labels)[(vectors("test") @ vectors("train").T).argmax(1)]
    correct = answers == np.asarray(splits["test"].labels)
    return {"test_accuracy": float(correct.mean()), "test_interval": fraction_interval(correct, GROUPS)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="for the runs; what is there is not done again"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0 (default: 3)")
    parser.add_argument("--beside", type=Path, help="another checkout, whose run is measured in turn")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    seeds = [one_seed(seed, args.folder, args.beside) for seed in range(args.seeds)]
    others = [name for name in seeds[0] if name != "run"]
    result = {
        "benchmark": "run_icons",
        "seeds": [{name: part.to_dict() for name, part in parts.items()} for parts in seeds],
        "differences": {
            name: difference(
                [parts["run"].correct for parts in seeds], [parts[name].correct for parts in seeds]
            )
            for name in others
        },
        "images": len(seeds[0]["run"].correct),
        "groups": None if GROUPS is None else len(set(GROUPS.tolist())),
        "nearest_neighbor": nearest_neighbor(),
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


NAMES = {
    "run": "`allometry run`",
    "before": "`run` of the other checkout",
    "plain": "the paper's law, no trials",
    "baseline": "its baseline, not grown",
}


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a Markdown table with its caption."""

    def row(seed: int, name: str, part: dict[str, Any]) -> list[str]:
        law = part["law"] or {}
        return [
            f"{NAMES[name]}, seed {seed}",
            " ".join(f"{law[key]:.3g}" for key in ("alpha", "beta", "gamma")) if law else "",
            f"{part['resolution']}",
            f"{part['macs']:,}",
            f"{part['validation_accuracy']:.2%}",
            "{:.2%} ({:.1%} to {:.1%})".format(part["test_accuracy"], *part["test_interval"]),
            f"{part['seconds']:,.0f}",
            f"{part['memory'] / 1e6:,.0f}",
        ]

    rows = [
        row(seed, name, part) for seed, parts in enumerate(result["seeds"]) for name, part in parts.items()
    ]
    header = ["network", "alpha beta gamma", "px", "MACs", "validation", "test", "seconds", "MB"]
    runs = [parts["run"] for parts in result["seeds"]]

    def spread(name: str, pattern: str) -> str:
        values = Spread.of([run[name] for run in runs])
        return values.show(pattern) if len(runs) > 1 else pattern.format(values.median)

    seeds = "of one seed" if len(runs) == 1 else f"medians of {len(runs)} seeds, least and most in brackets"
    nearest = result["nearest_neighbor"]
    told = [
        f"{100 * held['mean']:+.1f} points ({100 * held['interval'][0]:+.1f} to {100 * held['interval'][1]:+.1f}) "
        f"against {NAMES[name]}"
        for name, held in result["differences"].items()
    ]
    return [
        *table(header, rows),
        "",
        f"Test accuracy of {result['images']:,} images with its 95 % interval by their {result['groups']} authors. "
        f"`allometry run`, {seeds}: {spread('test_accuracy', '{:.2%}')} in {spread('seconds', '{:,.0f}')} seconds, "
        "export and report included; on the same "
        f"images, in the mean of the seeds, {'; '.join(told)}. "
        "The nearest neighbor of drawings cropped to what is drawn: {:.2%} ({:.1%} to {:.1%}).".format(
            nearest["test_accuracy"], *nearest["test_interval"]
        ),
    ]


if __name__ == "__main__":
    main()
