"""How often `run` takes another law than the paper's: by luck where none is better, and rightly where one is.

    python benchmarks/law_luck.py [--repeats 300]

Simulated with `run`'s own code: five laws, 800 validation images, half of them classified correctly. How hard an image
is has a part that all laws share (half of the variance), one of the law and one of the training. A training's luck
moves its accuracy by as many points as the table says (one standard deviation); one law is better than the four others
by none, 3 or 10 points. Half a minute on one core.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from common import machine, print_result, table

from allometry.catalog import get
from allometry.cost import count
from allometry.nas import LawTrial, Point, grid, try_laws, write_correct

IMAGES = 800
GAPS = (0.0, 0.03, 0.10)
LUCK = (0.0, 0.015, 0.03)
BETTER = 1  # place of the law that is better


def points() -> list[Point]:
    """The laws of `run`, each with a network that tells it from the others."""
    network = get("efficientnet-b0")
    return [
        Point(law, replace(network, resolution=32 * place), count(network))
        for place, law in enumerate(grid(), start=1)
    ]


def chosen(laws: list[Point], gap: float, luck: float, rng: np.random.Generator) -> tuple[bool, bool, bool]:
    """Whether a law was tried again, another one than the paper's was taken, and whether it was the better one."""
    shared = np.sqrt(0.5) * rng.standard_normal(IMAGES)
    own = 0.5 * rng.standard_normal((len(laws), IMAGES))

    def trial(point: Point, seed: int, _folder: Path) -> LawTrial:
        place = laws.index(point)
        accuracy = 0.5 + gap * (place == BETTER) + luck * rng.standard_normal()
        hard = shared + own[place] + 0.5 * rng.standard_normal(IMAGES)
        correct = hard < NormalDist().inv_cdf(float(np.clip(accuracy, 0.01, 0.99)))
        return LawTrial(point, seed, float(correct.mean()), 1.0, 2, 1.0, 1, write_correct(correct))

    with tempfile.TemporaryDirectory() as folder:
        choice = try_laws(laws, trial, folder=Path(folder), seeds=(0, 1), images=IMAGES)
    return choice.seeds == 2, choice.switched, choice.switched and choice.point is laws[BETTER]


def simulate(repeats: int) -> list[dict[str, Any]]:
    """The rates, for each gap and luck."""
    laws, rows = points(), []
    for gap in GAPS:
        for luck in LUCK:
            rng = np.random.default_rng(0)
            again, switched, right = np.mean(
                [chosen(laws, gap, luck, rng) for _ in range(repeats)], axis=0
            ).tolist()
            rows.append({"gap": gap, "luck": luck, "again": again, "switched": switched, "right": right})
    return rows


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    rows = [
        [
            f"{100 * row['gap']:g}",
            f"{100 * row['luck']:g}",
            *(f"{row[name]:.0%}" for name in ("again", "switched")),
            f"{row['right']:.0%}" if row["gap"] else "",
        ]
        for row in result["rows"]
    ]
    columns = [
        "one is better by, points",
        "luck, points",
        "tried once more",
        "taken",
        "taken, the better one",
    ]
    return [*table(columns, rows), "", f"{result['repeats']} simulated runs each."]


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=300, help="simulated runs of each row")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    result = {
        "benchmark": "law_luck",
        "machine": machine(),
        "repeats": args.repeats,
        "rows": simulate(args.repeats),
    }
    print_result(result, lines(result), as_json=args.json)


if __name__ == "__main__":
    main()
