"""Images that grow beside training at one size, by what a shorter training gives: accuracy and time, seed by seed.

    pip install --no-deps elpv-dataset
    python benchmarks/growing_images.py --out FOLDER [--data icons solar]

The same network, recipe and data; once all epochs at the network's own resolution, twice with images that grow, and
once at one size for as few epochs as take about as long as the growing ones: what would a shorter training give? The
settings were chosen by validation accuracy on another seed; the test split is looked at here only. A folder that is
there already is not trained again.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from common import Spread, machine, machine_line, print_result, table
from solar import solar_cells

from allometry.arch import save
from allometry.base.files import read_lines
from allometry.catalog import get
from allometry.scaling import solve
from allometry.scaling.strides import adapt
from allometry.verbs.train import train

DATA: dict[str, dict[str, Any]] = {
    "icons": {"budget": "10M", "classes": 88, "images": 96, "side": 96, "epochs": 14},
    "solar": {"budget": "20M", "classes": 2, "images": 300, "side": 160, "epochs": 20},
}
# Epochs as a fraction of the data set's, and what the images do.
WAYS: dict[str, dict[str, Any]] = {
    "one size": {"epochs": 1.0, "settings": ["progressive.stages=1"]},
    "from half the size": {
        "epochs": 6 / 7,
        "settings": ["progressive.stages=2", "progressive.resolution=0.5", "progressive.early=0.6"],
    },
    "from 0.7 of the size": {
        "epochs": 9 / 14,
        "settings": ["progressive.stages=4", "progressive.resolution=0.7", "progressive.early=0.75"],
    },
    "one size, half the epochs": {"epochs": 0.5, "settings": ["progressive.stages=1"]},
}


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--data", choices=DATA, nargs="+", default=list(DATA), help="default: all")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind (default: 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    result = {
        "benchmark": "growing_images",
        "seeds": args.seeds,
        "sets": [compare(name, args.out, args.seeds) for name in args.data],
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def compare(name: str, out: Path, seeds: int) -> dict[str, Any]:
    """All kinds of training on one data set, seed by seed."""
    about = DATA[name]
    data = "icons" if name == "icons" else str(solar_cells(out / "solar cells"))
    side = about["side"]
    origin = adapt(get("efficientnet-b0"), classes=about["classes"], channels=1, image_size=about["images"])
    network = solve(origin, about["budget"], largest_resolution=side).network
    file = out / f"{name}.json"
    save(network, file)
    trainings: dict[str, list[dict[str, float]]] = {}
    for seed in range(seeds):
        for way, settings in WAYS.items():
            changes = [f"epochs={max(1, round(about['epochs'] * settings['epochs']))}", *settings["settings"]]
            folder = out / f"{name}-{way.replace(',', '').replace(' ', '-')}-{seed}"
            run = train(str(file), data=data, out=folder, seed=seed, settings=changes)
            records = read_lines(folder / "metrics.jsonl")
            trainings.setdefault(way, []).append(
                {
                    "test": run.evaluation.accuracy,
                    "validation": run.result.validation_accuracy,
                    "epochs": len(records),
                    "small": _after_the_first_stage(records),
                    "seconds": sum(record["seconds"] for record in records),
                }
            )
    fixed = [run["seconds"] for run in trainings["one size"]]
    rows = {
        way: {
            "epochs": runs[0]["epochs"],
            **{
                key: Spread.of([run[key] for run in runs])._asdict()
                for key in ("test", "validation", "seconds")
            },
            "small": Spread.of([run["small"] for run in runs])._asdict(),
            "mean": statistics.mean(run["test"] for run in runs),
            "ratio": Spread.of(
                [run["seconds"] / whole for run, whole in zip(runs, fixed, strict=True)]
            )._asdict(),
        }
        for way, runs in trainings.items()
    }
    return {
        "data": name,
        "network": f"B0 within {about['budget']} MACs, {network.resolution} px",
        "rows": rows,
        "machine": machine(),
    }


def _after_the_first_stage(records: list[dict[str, Any]]) -> float:
    """Validation accuracy, on images of full size, when the smallest ones had been trained on."""
    smallest = records[0]["resolution"]
    accuracy: float = [record["val_accuracy"] for record in records if record["resolution"] == smallest][-1]
    return accuracy


def lines(result: dict[str, Any]) -> list[str]:
    """The result as text."""
    shown: list[str] = []
    for data_set in result["sets"]:
        rows = [
            [
                way,
                str(row["epochs"]),
                f"{row['mean']:.1%}",
                Spread(**row["test"]).show("{:.1%}"),
                Spread(**row["validation"]).show("{:.1%}"),
                Spread(**row["seconds"]).show("{:.0f}"),
                Spread(**row["ratio"]).show("{:.2f}"),
                Spread(**row["small"]).show("{:.1%}") if "from" in way else "",
            ]
            for way, row in data_set["rows"].items()
        ]
        first = f"{data_set['data']}, {data_set['network']}"
        columns = [
            first,
            "epochs",
            "test, mean",
            "test",
            "validation",
            "seconds",
            "of the time",
            "after the first stage",
        ]
        shown += [*table(columns, rows), "", f"On {machine_line(data_set['machine'])}.", ""]
    return [
        *shown,
        f"Medians of {result['seeds']} seeds, least and most in brackets; the time's share seed by seed. After the "
        "first stage: validation accuracy at full size, of what the smallest images have taught.",
    ]


if __name__ == "__main__":
    main()
