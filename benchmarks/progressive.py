"""Progressive learning beside training at one size: accuracy and time, seed by seed.

    python benchmarks/progressive.py --out FOLDER [--data icons|solar]

The same network, recipe and data; once all epochs at the network's own resolution, once with images that grow, and once
at one size for as few epochs as take about as long as the growing ones: what would simply stopping earlier give? The
settings were chosen by validation accuracy on another seed; the test split is looked at here only. A folder that is
there already is not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common import Spread, machine, print_result, table
from solar import solar_cells

from allometry.arch import save
from allometry.base.files import read_lines
from allometry.pipeline import adapt, train_run
from allometry.scaling import solve
from allometry.zoo import get

DATA = {
    "icons": {"budget": "10M", "channels": 1, "classes": 88, "side": 96, "epochs": 14},
    "solar": {"budget": "40M", "channels": 1, "classes": 2, "side": 300, "epochs": 40},
}
FIXED = ["progressive.stages=1"]


def ways(epochs: int) -> dict[str, list[str]]:
    """The settings of each kind of training."""
    growing = ["progressive.stages=2", "progressive.resolution=0.5", "progressive.early=0.6"]
    return {
        "one size": [f"epochs={epochs}", *FIXED],
        "progressive": [f"epochs={round(epochs * 6 / 7)}", *growing],
        "one size, half the epochs": [f"epochs={epochs // 2}", *FIXED],
    }


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--data", choices=DATA, default="icons", help="default: icons")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind (default: 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    about = DATA[asked.data]
    asked.out.mkdir(parents=True, exist_ok=True)
    data = "icons" if asked.data == "icons" else str(solar_cells(asked.out / "solar cells"))
    network = solve(
        adapt(
            get("efficientnet-b0"),
            classes=about["classes"],
            channels=about["channels"],
            image_size=about["side"],
        ),
        about["budget"],
        largest_resolution=about["side"],
    ).network
    file = asked.out / f"{asked.data}.json"
    save(network, file)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(asked.seeds):
        for name, settings in ways(about["epochs"]).items():
            folder = asked.out / f"{asked.data}-{name.replace(',', '').replace(' ', '-')}-{seed}"
            result = train_run(str(file), data=data, out=folder, seed=seed, settings=settings)
            records = read_lines(folder / "metrics.jsonl")
            found.setdefault(name, []).append(
                {
                    "test": result["test_accuracy"],
                    "validation": result["validation_accuracy"],
                    "seconds": sum(record["seconds"] for record in records),
                }
            )
    fixed = [each["seconds"] for each in found["one size"]]
    rows = {
        name: {
            **{
                key: Spread.of([each[key] for each in runs])._asdict()
                for key in ("test", "validation", "seconds")
            },
            "ratio": Spread.of(
                [each["seconds"] / whole for each, whole in zip(runs, fixed, strict=True)]
            )._asdict(),
        }
        for name, runs in found.items()
    }
    result = {
        "benchmark": "progressive",
        "data": asked.data,
        "network": f"B0 within {about['budget']} MACs, {network.resolution} px",
        "seeds": asked.seeds,
        "rows": rows,
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=asked.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as text."""
    rows = [
        [
            name,
            Spread(**figures["test"]).show("{:.1%}"),
            Spread(**figures["validation"]).show("{:.1%}"),
            Spread(**figures["seconds"]).show("{:.0f}"),
            Spread(**figures["ratio"]).show("{:.2f}"),
        ]
        for name, figures in result["rows"].items()
    ]
    columns = [f"{result['data']}, {result['network']}", "test", "validation", "seconds", "of the time"]
    return [
        *table(columns, rows),
        "",
        f"Medians of {result['seeds']} seeds, least and most in brackets; the time's share seed by seed.",
    ]


if __name__ == "__main__":
    main()
