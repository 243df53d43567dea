"""How to train a supernet: the same random subnets after each plan, at equal passes of the images, over seeds.

    python benchmarks/supernet_plans.py --folder runs/plans [--data rendered] [--sizes 32 48 64 96] [--seeds 3]
        [--plans sandwich bignas coupled at-once shrinking]

All plans have four passes of each image in an epoch; `shrinking` has as many epochs in its first phase as bring all of
its phases to that. Of each supernet the largest, the smallest and 20 random subnets are measured on the validation
images; the subnets of a seed are the same ones, so that plans are compared in pairs (coupled, where their widths follow
their depths). The folder holds all supernets; the same command goes on with them.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any, cast

from common import Spread, machine, print_result, table
from supernet_space import Setting, add_arguments, described, opened, setting_of, trained

from allometry.nas import encodings_of
from allometry.runs import SupernetResult
from allometry.supernets.accuracy_predictor import measure_subnets, sample_subnets

PLANS = ("sandwich", "bignas", "coupled", "at-once", "shrinking")
SUBNETS = 20


def one(folder: Path, setting: Setting, plan: str, seed: int) -> dict[str, Any]:
    """A supernet and its subnets."""
    coupled = plan == "coupled"
    run = trained(folder, setting, plan="sandwich" if coupled else plan, coupled=coupled, seed=seed)
    result = cast(SupernetResult, run.result)
    with opened(run, setting) as held:
        ends = measure_subnets(held, encodings_of(held.space, [held.space.smallest(), held.space.largest()]))
        accuracies = measure_subnets(held, sample_subnets(held, SUBNETS))
    return {
        "plan": plan,
        "seed": seed,
        "epochs": result.epochs,
        "seconds": result.seconds,
        "smallest": float(ends[0]),
        "largest": float(ends[1]),
        "subnets": [float(accuracy) for accuracy in accuracies],
    }


def main() -> None:
    """Train what is not trained yet, and print all that the folder has come to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--plans", choices=PLANS, nargs="+", default=list(PLANS))
    args = parser.parse_args()
    setting, rows = setting_of(args), []
    args.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(args.seeds):
        for plan in args.plans:
            rows.append(one(args.folder, setting, plan, seed))
            result = {
                "benchmark": "supernet_plans",
                "setting": described(setting),
                "rows": rows,
                "machine": machine(),
            }
            (args.folder / "result.json").write_text(json.dumps(result, indent=2))
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    by_plan: dict[str, list[dict[str, Any]]] = {}
    for row in result["rows"]:
        by_plan.setdefault(row["plan"], []).append(row)
    means = {plan: [statistics.fmean(row["subnets"]) for row in rows] for plan, rows in by_plan.items()}
    base = next(iter(means))
    rows = [
        [
            plan,
            Spread.of([row["seconds"] / 60 for row in own]).show("{:.1f}"),
            *(Spread.of([100 * row[end] for row in own]).show("{:.1f}") for end in ("largest", "smallest")),
            Spread.of([100 * mean for mean in means[plan]]).show("{:.1f}"),
            Spread.of(
                [100 * (mean - other) for mean, other in zip(means[plan], means[base], strict=False)]
            ).show("{:+.1f}"),
        ]
        for plan, own in by_plan.items()
    ]
    return [
        result["setting"],
        "",
        *table(
            ["plan", "minutes", "largest, %", "smallest, %", f"{SUBNETS} subnets, %", f"less {base}, points"],
            rows,
        ),
        "",
        f"Accuracies on the validation images; medians over seeds, of which there are "
        f"{max(map(len, by_plan.values()))}, least and most in brackets.",
    ]


if __name__ == "__main__":
    main()
