"""By which law `run` grows a network: what short trials choose, beside what full trainings of all laws say.

    python benchmarks/choosing_law.py --folder runs/choosing --data icons emoji rendered

For each data set, the five laws of `run` from one baseline: each tried shortly at twice the baseline's MACs with
several seeds, as `run` does it; tried at equal cost, the baseline trained once and grown by each law with what it has
learned; and trained at four times its MACs with other seeds, for a part of the default recipe's epochs. Every
training is a line of a table in the folder; the same command goes on where it stopped. From the table rules are
played with every seed of the trials: the law with the highest accuracy after one trial each (`best of five`, as it
was), the law nearest to the paper's whatever the trials say (`prior`), what `run` does (`run`), and the first and the
last with trials that are grown. What a rule chose is worth what the full trainings of that law reach on the test
images. Kendall's tau says how far a seed's trials have the laws in the order of their worth. Beside the laws that are
tried, resolution alone is trained fully. See `emoji.py` and `rendered_fonts.py` for what is to be fetched. With its
defaults a data set takes an hour of one core.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, print_result, table
from law_table import Line, data_sets, fill, open_images, plan_of, wanted
from rendered_fonts import fonts_folder

from allometry.base.files import read_lines
from allometry.data import group_numbers
from allometry.nas import LawTrial, Point, try_laws
from allometry.nas.law_grid import distance_from_paper
from allometry.scaling import RESOLUTION
from allometry.supernets import kendall_tau
from allometry.training.images import Images

ANEW, GROWN = "trial", "grown"
RULES = {
    "best of five": ("best", ANEW),
    "best of five, grown": ("best", GROWN),
    "prior": ("prior", ANEW),
    "run": ("run", ANEW),
    "run, grown": ("run", GROWN),
}
_Trials = dict[tuple[str, int], Line]


def played(lines: Sequence[Line], images: Images, points: Sequence[Point]) -> dict[str, Any]:
    """A data set's trainings, and what each rule makes of them."""
    keys = [str(point.law.to_dict()) for point in points]
    alone = str(RESOLUTION.to_dict())
    prior = min(points, key=lambda point: distance_from_paper(point.law))
    full = {
        key: [line for line in lines if line["kind"] == "full" and str(line["law"]) == key]
        for key in (*keys, alone)
    }
    worth = {key: statistics.fmean(line["test_accuracy"] for line in full[key]) for key in keys if full[key]}
    trials = {
        kind: {(str(line["law"]), line["seed"]): line for line in lines if line["kind"] == kind}
        for kind in (ANEW, GROWN)
    }
    seeds = {kind: _whole_seeds(found, keys) for kind, found in trials.items()}
    laws = {**dict(zip(keys, (point.law for point in points), strict=True)), alone: RESOLUTION}
    rows = [
        {
            "law": law.to_dict(),
            **{
                kind: [trials[kind][key, seed]["val_accuracy"] for seed in seeds[kind] if key in keys]
                for kind in (ANEW, GROWN)
            },
            "validation": [line["val_accuracy"] for line in full[key]],
            "test": [line["test_accuracy"] for line in full[key]],
            "resolution": full[key][0]["resolution"] if full[key] else 0,
            "seconds": [line["seconds"] for line in full[key]],
        }
        for key, law in laws.items()
        if key in keys or full[key]
    ]
    choices: dict[str, list[dict[str, Any]]] = {}
    for rule, (way, kind) in RULES.items():
        choices[rule] = [
            _chosen(way, points, prior, trials[kind], images, seeds[kind], number)
            for number in range(len(seeds[kind]))
            if way != "run" or len(seeds[kind]) > 1
        ]
    return {
        "images": len(images.dataset.splits["val"]),
        "prior": str(prior.law.to_dict()),
        "rows": rows,
        "choices": choices,
        "worth": worth,
        "tau": {kind: _taus(trials[kind], keys, seeds[kind], worth) for kind in (ANEW, GROWN)},
        "small": [line["val_accuracy"] for line in lines if line["kind"] == "small"],
    }


def _whole_seeds(trials: _Trials, keys: Sequence[str]) -> list[int]:
    """The seeds with which every law was tried."""
    seen = sorted({seed for _, seed in trials})
    return [seed for seed in seen if all((key, seed) in trials for key in keys)]


def _taus(trials: _Trials, keys: Sequence[str], seeds: Sequence[int], worth: dict[str, float]) -> list[float]:
    if len(worth) < len(keys):
        return []
    order = np.array([worth[key] for key in keys])
    return [
        kendall_tau(np.array([trials[key, seed]["val_accuracy"] for key in keys]), order) for seed in seeds
    ]


def _chosen(
    way: str,
    points: Sequence[Point],
    prior: Point,
    trials: _Trials,
    images: Images,
    seeds: Sequence[int],
    number: int,
) -> dict[str, Any]:
    """What a rule chooses when its first seed is the one of this number."""
    seed = seeds[number]
    if way == "prior":
        return {"law": str(prior.law.to_dict()), "trials": 0}
    if way == "run":
        return _as_run(points, trials, images, (seed, seeds[(number + 1) % len(seeds)]))
    keys = [str(point.law.to_dict()) for point in points]
    best = max(keys, key=lambda key: (trials[key, seed]["val_accuracy"], -trials[key, seed]["loss"]))
    return {"law": best, "trials": len(points)}


def _as_run(
    points: Sequence[Point], trials: _Trials, images: Images, seeds: tuple[int, int]
) -> dict[str, Any]:
    """What `run` chooses, by its own code, from trials that are looked up."""
    split = images.dataset.splits["val"]

    def look_up(point: Point, seed: int, _folder: Path) -> LawTrial:
        line = trials[str(point.law.to_dict()), seed]
        return LawTrial(
            point,
            seed,
            line["val_accuracy"],
            line["loss"],
            line["epochs"],
            line["seconds"],
            0,
            line["correct"],
        )

    with tempfile.TemporaryDirectory() as folder:
        choice = try_laws(
            points,
            look_up,
            folder=Path(folder),
            seeds=seeds,
            images=len(split),
            groups=group_numbers(split),
        )
    assert choice.difference is not None  # noqa: S101
    return {
        "law": str(choice.point.law.to_dict()),
        "trials": len(choice.trials),
        "ahead": choice.difference.ahead,
        "noise": choice.difference.noise,
        "switched": choice.switched,
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    text: list[str] = []
    for name, part in result["sets"].items():
        done = sum(bool(row["test"]) for row in part["rows"])
        if done < len(part["rows"]):
            text += [
                f"{name}: {done} of {len(part['rows'])} laws have a full training; no rule can be judged yet.",
                "",
            ]
            continue
        text += [f"{name}, {part['images']:,} validation images:", "", *_laws(part), "", *_rules(part), ""]
        text += [_order(part), ""]
    return [
        *text,
        f"Networks of {result['budget']} MACs, trained for {result['fraction']:.0%} of the default recipe's epochs; "
        "each trial and each full training is one figure.",
    ]


def _order(part: dict[str, Any]) -> str:
    """How far trials have the laws in the order of what they are worth."""
    return "; ".join(
        f"Kendall's tau of trials {name} with the full trainings, mean of {len(taus)} seeds: "
        f"{statistics.fmean(taus):.2f} ({min(taus):.2f} to {max(taus):.2f})"
        for name, taus in (("anew", part["tau"][ANEW]), ("grown", part["tau"][GROWN]))
        if taus
    )


def _laws(part: dict[str, Any]) -> list[str]:
    def several(values: Sequence[float]) -> str:
        return " ".join(f"{value:.1%}" for value in values)

    return table(
        ["alpha, beta, gamma", "px", "after trials anew", "after trials grown", "validation", "test"],
        [
            [
                ", ".join(f"{row['law'][name]:.3g}" for name in ("alpha", "beta", "gamma")),
                str(row["resolution"]),
                *(several(row[name]) for name in (ANEW, GROWN, "validation", "test")),
            ]
            for row in part["rows"]
        ],
    )


def _rules(part: dict[str, Any]) -> list[str]:
    worth = part["worth"]
    best = max(worth, key=lambda law: worth[law])
    rows = []
    for rule, choices in part["choices"].items():
        reached = [worth[choice["law"]] for choice in choices if choice["law"] in worth]
        if reached:
            rows.append(
                [
                    rule,
                    f"{statistics.fmean(choice['trials'] for choice in choices):.1f}",
                    f"{sum(choice['law'] != part['prior'] for choice in choices)} of {len(choices)}",
                    f"{statistics.fmean(reached):.1%} ({min(reached):.1%} to {max(reached):.1%})",
                    f"{100 * (statistics.fmean(reached) - worth[best]):+.1f}",
                ]
            )
    columns = [
        "rule",
        "trials",
        "another law than the paper's",
        "test, what it chose",
        "points beside the best",
    ]
    return table(columns, rows)


def main() -> None:
    """Train what is missing, play the rules, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="of the tables")
    parser.add_argument("--data", nargs="+", choices=("icons", "emoji", "rendered"), default=["icons"])
    parser.add_argument("--packages", type=Path, default=Path("runs/emoji"), help="folder of the emoji")
    parser.add_argument("--fonts", type=Path, default=fonts_folder(), help="folder of the fonts")
    parser.add_argument("--budget", default="3M", help="of the full trainings (default: 3M)")
    parser.add_argument("--fraction", type=float, default=0.5, help="of the default epochs (default: 0.5)")
    parser.add_argument("--trial-seeds", type=int, default=4, help="of each law (default: 4)")
    parser.add_argument("--full-seeds", type=int, default=2, help="of each law (default: 2)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--play", action="store_true", help="train nothing more")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    sets = {}
    for name in args.data:
        images = open_images(data_sets(args.packages, args.fonts)[name]())
        kept = args.folder / f"{name}.jsonl"
        if not args.play:
            trainings = wanted(
                name,
                images,
                budget=args.budget,
                fraction=args.fraction,
                trial_seeds=args.trial_seeds,
                full_seeds=args.full_seeds,
            )
            fill(kept, images, trainings, threads=args.threads)
        points = plan_of(images, args.budget).points
        sets[name] = played(read_lines(kept), images, points)
    result = {
        "benchmark": "choosing_law",
        "budget": args.budget,
        "fraction": args.fraction,
        "sets": sets,
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


if __name__ == "__main__":
    main()
