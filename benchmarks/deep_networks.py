"""Short trainings of shallow and deep networks, with residual branches that begin with 1 and with 0.

    python benchmarks/deep_networks.py --folder runs/deep [--seeds 3]

A baseline of about 2M MACs, in which one block has a residual, and the same network grown to four times its MACs by
depth alone, are trained on the icons by the default recipe, with `residual_scale` 1 and 0. A folder holds all
trainings, and the same command goes on with them: about 4 minutes each on one core.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines import icons_baseline
from common import Spread, machine, print_result, table
from run_icons import call

from allometry.arch import Network, save
from allometry.base.files import read_json, read_lines
from allometry.cost import count
from allometry.scaling import DEPTH

BASELINE, TIMES = "macs<=2M", 4
SCALES = (1.0, 0.0)


def networks() -> dict[str, Network]:
    """The baseline, and the deep network."""
    baseline = icons_baseline(BASELINE)
    deep = baseline.grown(TIMES * count(baseline.network).macs, DEPTH)
    return {"baseline": baseline.network, "four times as many MACs by depth": deep}


def trained(folder: Path, network: Network, name: str, scale: float, seed: int) -> dict[str, Any]:
    """A training, or its result if it was done before."""
    run = folder / f"{name}-{scale:g}-{seed}"
    if not (run / "result.json").exists():
        file = folder / f"{name}.json"
        save(network, file)
        call(
            ["train", str(file), "--set", f"residual_scale={scale:g}", "--seed", str(seed), "--out", str(run)]
        )
    return {**read_json(run / "result.json"), "history": _history(run)}


def _history(run: Path) -> list[float]:
    return [record["val_accuracy"] for record in read_lines(run / "metrics.jsonl")]


def main() -> None:
    """Train what is not trained yet, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="of all trainings")
    parser.add_argument("--seeds", type=int, default=3, help="of each network and scale")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    # By turns, so that both sides of a comparison are there for every seed that is.
    results: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for seed in range(args.seeds):
        for place, (name, network) in enumerate(networks().items()):
            for scale in SCALES:
                run = trained(args.folder, network, f"network-{place}", scale, seed)
                results.setdefault((name, scale), []).append(run)
    for (name, scale), run in results.items():
        network = networks()[name]
        rows.append(
            {
                "network": name,
                "residual_scale": scale,
                "layers": network.depth,
                "macs": count(network).macs,
                "validation": [run["validation_accuracy"] for run in run],
                "test": [run["test_accuracy"] for run in run],
                "after_3": [run["history"][2] for run in run],
            }
        )
    result = {"benchmark": "deep_networks", "seeds": args.seeds, "rows": rows, "machine": machine()}
    (args.folder / "result.json").write_text(json.dumps(result, indent=2))
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    return [
        *table(
            ["network", "layers", "residual_scale", "after 3 epochs", "validation, %", "test, %"],
            [
                [
                    row["network"],
                    str(row["layers"]),
                    f"{row['residual_scale']:g}",
                    f"{100 * statistics.median(row['after_3']):.1f}",
                    _show(row["validation"]),
                    _show(row["test"]),
                ]
                for row in result["rows"]
            ],
        ),
        "",
        f"{result['seeds']} seed{'s' if result['seeds'] > 1 else ''} each.",
    ]


def _show(values: Sequence[float]) -> str:
    """Percent: the median, and the least and the most where there are several."""
    percent = [100 * value for value in values]
    return Spread.of(percent).show("{:.1f}") if len(percent) > 1 else f"{percent[0]:.1f}"


if __name__ == "__main__":
    main()
