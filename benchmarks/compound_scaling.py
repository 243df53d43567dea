"""EfficientNet's first claim put to a test: B0 grown to four times its MACs in depth, width, resolution or all.

    python benchmarks/rendered_fonts.py --fonts runs/fonts
    python benchmarks/compound_scaling.py --folder runs/compound --fonts runs/fonts [--parts first long]

The baseline has all 16 blocks of EfficientNet-B0, half as wide, on images of 64 px, with the strides that leave those
a feature map of 4 px: 18M MACs. It is grown by depth, by width, by resolution, by the paper's law, and by dWr (Dollar
et al. 2021: of a doubling of the MACs eight tenths go to width, one each to depth and resolution; layers are rounded to
the nearest number, as theirs are). All see the same images, as many epochs, by the same recipe, with the same seeds.
`long` trains compound and whatever single dimension had the best validation accuracy five times as long: which one
pays depends on how long one trains (Bello et al. 2021).

Each training is a line of a file; the same command goes on with them. On two cores the defaults take weeks; the scale
is given by the options.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from common import machine, print_result
from paired import (
    PLAIN,
    Row,
    Scale,
    Training,
    between,
    data_of,
    one_scale,
    read_rows,
    scale_of,
    scale_options,
    setting_line,
    trained,
    ways_table,
    whole,
)

from allometry.arch import Network, apply_multipliers
from allometry.catalog import get
from allometry.cost import count
from allometry.scaling import COMPOUND, DEPTH, RESOLUTION, WIDTH, Multipliers, ScalingLaw, solve
from allometry.scaling.strides import adapt

STRIDES_FOR = 64  # px: smaller images keep these strides, or the baseline would cost more on fewer pixels
SINGLE = {"depth": DEPTH, "width": WIDTH, "resolution": RESOLUTION}
PARTS = ("first", "long")


def networks(scale: Scale, times: float) -> dict[str, Network]:
    """The baseline and what it is grown to, by name, in the order in which they are trained."""
    origin = adapt(get("efficientnet-b0"), classes=scale.classes, channels=3, image_size=STRIDES_FOR)
    start = Multipliers(1.0, scale.width, scale.size / origin.resolution)
    baseline = apply_multipliers(origin, **start._asdict())
    macs = round(count(baseline).macs * times)
    grown = {
        name: solve(origin, f"macs<={macs}", law=law, start=start).network
        for name, law in {**SINGLE, "compound": COMPOUND}.items()
    }
    # Rounded up, a little more depth would give a layer to every stage, and half as many again to the network.
    deeper = replace(
        origin,
        stages=tuple(
            replace(stage, repeats=max(1, round(stage.repeats * times**0.1))) for stage in origin.stages
        ),
    )
    rest = ScalingLaw.from_exponents(depth=0, width=8 / 9, resolution=1 / 9)
    fast = solve(deeper, f"macs<={macs}", law=rest, start=start).network
    return {"baseline": baseline, "compound": grown.pop("compound"), "dWr": fast, **grown}


def best_single(rows: Sequence[Row]) -> str | None:
    """The single dimension with the best validation accuracy, over the seeds; None where one was not trained yet.

    Once it was trained for long, it stays: more seeds of the first part do not change it between two seeds of the long.
    """
    chosen = [row["way"] for row in rows if row["part"] == "long" and row["way"] in SINGLE]
    if chosen:
        return str(chosen[0])
    accuracies = {
        way: [row["validation"] for row in rows if row["way"] == way and row["part"] == "first"]
        for way in SINGLE
    }
    if not all(accuracies.values()):
        return None
    return max(accuracies, key=lambda way: statistics.fmean(accuracies[way]))


def main() -> None:
    """Train what is missing, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    scale_options(parser, size=64, width=0.5)
    parser.add_argument(
        "--times", type=between(1.5, 64), default=4.0, help="of the baseline's MACs (default: 4)"
    )
    parser.add_argument(
        "--long", type=whole(2), default=5, help="times the epochs of the long part (default: 5)"
    )
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS), help="default: both")
    args = parser.parse_args()
    scale = scale_of(args)
    record = one_scale(args.folder, scale, times=args.times, long=args.long)
    if not args.show:
        _train(args, scale)
    result = {
        "benchmark": "compound_scaling",
        "scale": record,
        "rows": read_rows(args.folder),
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def _train(args: argparse.Namespace, scale: Scale) -> None:
    """All trainings of the parts, seed by seed, so that pairs are complete first."""
    found = networks(scale, args.times)
    data = data_of(scale, args.fonts, max(network.resolution for network in found.values()))
    if "first" in args.parts:
        settings = (f"epochs={scale.epochs}", *PLAIN, *scale.settings)
        trained(
            (
                Training(way, network, settings, seed, "first")
                for seed in scale.seeds
                for way, network in found.items()
            ),
            data,
            args.folder,
        )
    single = best_single(read_rows(args.folder))
    if "long" in args.parts and single is not None:
        settings = (f"epochs={args.long * scale.epochs}", *PLAIN, *scale.settings)
        trained(
            (
                Training(way, found[way], settings, seed, "long")
                for seed in scale.seeds
                for way in ("compound", single)
            ),
            data,
            args.folder,
        )


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    scale, rows = result["scale"], result["rows"]
    first, long = ([row for row in rows if row["part"] == part] for part in PARTS)
    grown = [*SINGLE, "compound", "dWr"]
    text = [
        setting_line(scale, rows, expected=len(scale["seeds"]) * (len(grown) + 3)),
        "",
        *ways_table(first, ["baseline", *grown], "compound"),
    ]
    if long:
        ways = [way for way in SINGLE if any(row["way"] == way for row in long)]
        text += ["", f"{scale['long']} times the epochs:", "", *ways_table(long, ways, "compound")]
    return text


if __name__ == "__main__":
    main()
