"""The scaling law that `fit` finds on the icons, beside the full grid, and what growing by it is worth.

    python benchmarks/fit_law.py --folder runs/law [--parts fit grid short ways]

`fit` runs `allometry fit` from a baseline of about 2M MACs. `grid` trains every network of its grid fully, with two
seeds; `short` trains each for a few epochs only. `ways` grows the baseline to four times its MACs by depth, by width,
by resolution, by the fitted law and by the paper's, and trains each fully with several seeds. A folder holds all
trainings, and the same command goes on with them. On two cores `fit` takes five minutes, `short` ten, `grid` and `ways`
about an hour each. `fit_rules.py` simulates with the table.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from baselines import icons_baseline
from common import machine, print_result, table
from drawing import Bar, bars
from run_icons import call

from allometry.arch import Network, save
from allometry.base.files import read_json, read_lines
from allometry.cost import MACS, Budget, Limit, count
from allometry.data import open_data
from allometry.nas import FitConfig, Point, grid_points
from allometry.scaling import COMPOUND, DEPTH, RESOLUTION, WIDTH, ScalingLaw

BASELINE, TIMES = "2M", 4
SHORT = (1, 2, 4)  # epochs
_T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's t for a mean of so many seeds


def fit(folder: Path) -> dict[str, Any]:
    """The command itself."""
    fitted, seconds, _ = call(["fit", "efficientnet-b0", "--budget", BASELINE, "--out", str(folder / "fit")])
    kept = ("law", "region", "near_best", "laws", "standard_error", "trained", "fraction_of_full", "macs")
    return {"seconds": seconds, **{name: fitted[name] for name in kept}}


def points() -> tuple[Point, ...]:
    """The laws of `fit`'s grid, each with its network, in its order."""
    baseline = icons_baseline(BASELINE)
    budget = Budget((Limit(MACS, 2 * count(baseline.network).macs),))
    laws = FitConfig().laws
    return grid_points(
        baseline.origin,
        budget,
        start=baseline.multipliers,
        laws=laws,
        largest_resolution=open_data("icons").image_size,
    )


def grid(folder: Path, seeds: int) -> dict[str, Any]:
    """Every network of the grid, fully trained with each seed, the best first by its mean on the validation images."""
    rows = []
    for number, point in enumerate(points(), start=1):
        results = [trained(folder, point.network, f"grid-{number}", seed) for seed in range(seeds)]
        rows.append(
            {
                "number": number,
                "law": point.law.to_dict(),
                "resolution": point.network.resolution,
                "validation": [run["validation_accuracy"] for run in results],
                "test": [run["test_accuracy"] for run in results],
                "seconds": [run["seconds"] for run in results],
            }
        )
    rows.sort(key=lambda row: -statistics.fmean(row["validation"]))
    return {"seeds": seeds, "rows": rows}


def ways(folder: Path, seeds: int) -> dict[str, Any]:
    """The baseline grown by one dimension, and by all of them."""
    baseline = icons_baseline(BASELINE)
    macs = count(baseline.network).macs
    laws: dict[str, ScalingLaw] = {
        "depth": DEPTH,
        "width": WIDTH,
        "resolution": RESOLUTION,
        "compound, fitted": ScalingLaw.load(folder / "fit" / "law.json"),
        "compound, (1.2, 1.1, 1.15)": COMPOUND,
    }
    networks = {"baseline": baseline.network}
    for name, law in laws.items():
        networks[name] = baseline.grown(TIMES * macs, law)
    rows = []
    for place, (name, network) in enumerate(networks.items()):
        results = [trained(folder, network, f"way-{place}", seed) for seed in range(seeds)]
        rows.append(
            {
                "way": name,
                "macs": count(network).macs,
                "params": count(network).params,
                "depth": network.depth,
                "resolution": network.resolution,
                "validation": [run["validation_accuracy"] for run in results],
                "test": [run["test_accuracy"] for run in results],
                "seconds": sum(run["seconds"] for run in results) / seeds,
            }
        )
    return {"seeds": seeds, "rows": rows}


def short(folder: Path) -> dict[str, Any]:
    """Every network of the grid after a few epochs with the first seed, in the order of the grid."""
    return {
        str(epochs): [
            trained(folder, point.network, f"grid-{number}-after-{epochs}", 0, "--set", f"epochs={epochs}")[
                "validation_accuracy"
            ]
            for number, point in enumerate(points(), start=1)
        ]
        for epochs in SHORT
    }


def trained(folder: Path, network: Network, name: str, seed: int, *more: str) -> dict[str, Any]:
    """A training, full unless told otherwise, or its result if it was done before."""
    run = folder / f"{name}-{seed}"
    if not (run / "result.json").exists():
        file = folder / f"{name}.json"
        save(network, file)
        call(["train", str(file), "--seed", str(seed), "--out", str(run), *more])
    result = read_json(run / "result.json")
    seconds = next(line["seconds"] for line in read_lines(run / "costs.jsonl") if line["phase"] == "train")
    return {**result, "seconds": seconds}


def interval(values: Sequence[float]) -> str:
    """Mean and 95 % interval of so few values, in percent."""
    mean, half = statistics.fmean(values), _half(values)
    return f"{mean:.1%} ± {half:.1%}" if half else f"{mean:.1%}"


def _half(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean; 0 for a single value, which has none."""
    if len(values) < 2:
        return 0.0
    return _T_95[len(values)] * statistics.stdev(values) / math.sqrt(len(values))


def _law(law: dict[str, Any]) -> str:
    return f"{law['alpha']:.3g}, {law['beta']:.3g}, {law['gamma']:.3g}"


def _agreement(rows: Sequence[dict[str, Any]]) -> str:
    """How far the first two seeds put the laws into the same order."""
    if len(rows[0]["validation"]) < 2:
        return ""
    one, other = ([row["validation"][seed] for row in rows] for seed in (0, 1))
    correlation = _rank_correlation(one, other)
    return f" The orders by the first and by the second seed have a rank correlation of {correlation:.2f}."


def _short_lines(accuracies: dict[str, list[float]], rows: Sequence[dict[str, Any]]) -> list[str]:
    """How far a short training with one seed tells the order of full ones with the other."""
    ordered = sorted(rows, key=lambda row: row["number"])
    other = [row["validation"][1] for row in ordered]
    correlations = [
        f"{_rank_correlation(values, other):.2f} after {epochs} epochs"
        for epochs, values in accuracies.items()
    ]
    whole = _rank_correlation([row["validation"][0] for row in ordered], other)
    return [
        "Rank correlation of trainings with the first seed and full ones with the second: "
        f"{', '.join(correlations)}, {whole:.2f} after full training.",
        "",
    ]


def _rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    return float(np.corrcoef(*(np.array(values).argsort().argsort() for values in (one, other)))[0, 1])


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    text: list[str] = []
    if "fit" in result:
        part = result["fit"]
        region = ", ".join(f"{name} {low:.0%} to {high:.0%}" for name, (low, high) in part["region"].items())
        text += [
            f"`fit` took {part['seconds'] / 60:.1f} minutes, {part['fraction_of_full']:.0%} of the MACs of training "
            f"all {part['laws']} laws fully, and chose {_law(part['law'])}: the middle of {part['near_best']} laws "
            f"that may be the best ({region}).",
            "",
        ]
    if "grid" in result:
        part = result["grid"]
        text += [
            f"All {len(part['rows'])} laws of the grid, by the mean validation accuracy of {part['seeds']} seeds."
            f"{_agreement(part['rows'])}",
            "",
            *table(
                ["alpha, beta, gamma", "px", "validation", "test"],
                [
                    [
                        _law(row["law"]),
                        str(row["resolution"]),
                        *(
                            " ".join(f"{value:.1%}" for value in row[split])
                            for split in ("validation", "test")
                        ),
                    ]
                    for row in part["rows"]
                ],
            ),
            "",
        ]
    if "short" in result and "grid" in result:
        text += _short_lines(result["short"], result["grid"]["rows"])
    if "ways" in result:
        part = result["ways"]
        text += table(
            ["grown by", "MMACs", "kparams", "layers", "px", "validation", "test", "training, s"],
            [
                [
                    row["way"],
                    f"{row['macs'] / 1e6:.2f}",
                    f"{row['params'] / 1e3:,.0f}",
                    str(row["depth"]),
                    str(row["resolution"]),
                    interval(row["validation"]),
                    interval(row["test"]),
                    f"{row['seconds']:.0f}",
                ]
                for row in part["rows"]
            ],
        )
        text += ["", f"Means of {part['seeds']} seeds with their 95 % intervals."]
    return text


def figures(result: dict[str, Any]) -> dict[str, str]:
    """The figures of the documentation, as SVG, by name."""
    if "ways" not in result:
        return {}
    rows = []
    for row in result["ways"]["rows"]:
        values = [100 * value for value in row["test"]]
        mean, half = statistics.fmean(values), 100 * _half(row["test"])
        rows.append(Bar(row["way"], values, mean, mean - half, mean + half))
    return {"ways-of-growing": bars("test accuracy, %: each seed, their mean, its 95 % interval", rows)}


def main() -> None:
    """Run the parts that are asked for, and print all that the folder's parts have come to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="of all trainings")
    parser.add_argument(
        "--parts",
        choices=("fit", "grid", "short", "ways"),
        nargs="+",
        default=["fit", "grid", "short", "ways"],
    )
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, 6), help="of each way of growing")
    parser.add_argument("--grid-seeds", type=int, default=2, help="of each network of the full grid")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    kept = args.folder / "result.json"
    result = json.loads(kept.read_text()) if kept.exists() else {}
    if "fit" in args.parts:
        result["fit"] = fit(args.folder)
    if "grid" in args.parts:
        result["grid"] = grid(args.folder, args.grid_seeds)
    if "short" in args.parts:
        result["short"] = short(args.folder)
    if "ways" in args.parts:
        result["ways"] = ways(args.folder, args.seeds)
    result |= {"benchmark": "fit_law", "machine": machine()}
    args.folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(result, indent=2))
    print_result(result, lines(result), as_json=args.json)


if __name__ == "__main__":
    main()
