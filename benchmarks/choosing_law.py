"""By which law `run` grows a network: what short trials choose, beside what full trainings of all laws say.

    python benchmarks/choosing_law.py --folder runs/choosing --data icons emoji rendered

For each data set, the five laws of `run` from one baseline: each tried shortly at twice the baseline's MACs with
several seeds, as `run` does it, and trained at four times its MACs with other seeds, for a part of the default
recipe's epochs. Every training is a line of a table in the folder; the same command goes on where it stopped. From the
table rules are played with every seed of the trials: the law with the highest accuracy after one trial each (`best of
five`, as it was), the law nearest to the paper's whatever the trials say (`prior`), and what `run` does (`run`). What
a rule chose is worth what the full trainings of that law reach on the test images. See `emoji.py` and
`rendered_fonts.py` for what is to be fetched. With its defaults a data set takes half an hour of one core.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import machine, print_result, table
from law_table import Line, data_sets, fill, open_images, plan_of, wanted
from rendered_fonts import fonts_folder

from allometry.base.files import read_lines
from allometry.data import group_numbers
from allometry.nas import LawTrial, Point, try_laws
from allometry.nas.law_grid import distance_from_paper
from allometry.training.images import Images

RULES = ("best of five", "prior", "run")


def played(lines: Sequence[Line], images: Images, points: Sequence[Point]) -> dict[str, Any]:
    """A data set's trainings, and what each rule makes of them."""
    trials = {(str(line["law"]), line["seed"]): line for line in lines if line["kind"] == "trial"}
    keys = [str(point.law.to_dict()) for point in points]
    full = {
        key: [line for line in lines if line["kind"] == "full" and str(line["law"]) == key] for key in keys
    }
    seeds = sorted(
        seed for seed in {seed for _, seed in trials} if all((key, seed) in trials for key in keys)
    )
    prior = min(points, key=lambda point: distance_from_paper(point.law))
    worth = {key: statistics.fmean(line["test_accuracy"] for line in full[key]) for key in keys if full[key]}
    rows = [
        {
            "law": point.law.to_dict(),
            "trials": [trials[key, seed]["val_accuracy"] for seed in seeds],
            "validation": [line["val_accuracy"] for line in full[key]],
            "test": [line["test_accuracy"] for line in full[key]],
            "resolution": full[key][0]["resolution"] if full[key] else 0,
            "seconds": [line["seconds"] for line in full[key]],
        }
        for key, point in zip(keys, points, strict=True)
    ]
    choices: dict[str, list[dict[str, Any]]] = {rule: [] for rule in RULES}
    for number, seed in enumerate(seeds):
        best = max(keys, key=lambda key: (trials[key, seed]["val_accuracy"], -trials[key, seed]["loss"]))
        choices["best of five"].append({"law": best, "trials": len(points)})
        choices["prior"].append({"law": str(prior.law.to_dict()), "trials": 0})
        if len(seeds) > 1:
            again = seeds[(number + 1) % len(seeds)]
            choices["run"].append(_as_run(points, trials, images, (seed, again)))
    return {
        "images": len(images.dataset.splits["val"]),
        "prior": str(prior.law.to_dict()),
        "rows": rows,
        "choices": choices,
        "worth": worth,
    }


def _as_run(
    points: Sequence[Point], trials: dict[tuple[str, int], Line], images: Images, seeds: tuple[int, int]
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
    full = result["fraction"]
    return [
        *text,
        f"Networks of {result['budget']} MACs, trained for {full:.0%} of the default recipe's epochs (the rendered "
        f"images {result['rendered_fraction']:.0%}); each trial and each full training is one figure.",
    ]


def _laws(part: dict[str, Any]) -> list[str]:
    def several(values: Sequence[float]) -> str:
        return " ".join(f"{value:.1%}" for value in values)

    return table(
        ["alpha, beta, gamma", "px", "after the trials", "validation", "test"],
        [
            [
                ", ".join(f"{row['law'][name]:.3g}" for name in ("alpha", "beta", "gamma")),
                str(row["resolution"]),
                *(several(row[name]) for name in ("trials", "validation", "test")),
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
    parser.add_argument(
        "--rendered-fraction", type=float, default=0.3, help="of the rendered images (default: 0.3)"
    )
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
            fraction = args.rendered_fraction if name == "rendered" else args.fraction
            trainings = wanted(
                name,
                images,
                budget=args.budget,
                fraction=fraction,
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
        "rendered_fraction": args.rendered_fraction,
        "sets": sets,
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


if __name__ == "__main__":
    main()
