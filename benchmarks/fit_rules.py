"""How near `fit` comes to the best law: successive halving, as it was, beside a surface through laws trained alike.

    python benchmarks/fit_rules.py [--repeats 1000]

Simulated, with what the kept table of all 22 laws on the icons (`results/fit_law.json`) says: a surface through its
accuracies after one of four epochs, after two, after four and after full trainings is the truth of each length, and
what is left over is the noise. In `noise` all of that is drawn anew for each training; in `bumps` half of its variance
belongs to the law and is the same for all its trainings; in `domes` the truth is a dome with its top anywhere on the
triangle, as high as the surface of the full trainings, and the same at all lengths. The error is how far the chosen law
is from the best one, in shares of depth, width and resolution, and what it costs in points of accuracy. The median of
the distances has the least and the most of nine in ten fits in brackets. A minute on one core.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from common import machine, print_result, table

from allometry.scaling import (
    COMPOUND,
    LawAccuracy,
    ScalingLaw,
    Shares,
    best_region,
    expected_accuracy,
    fit_surface,
    shares_of,
    spread_out,
)

TABLE = Path(__file__).parent / "results" / "fit_law.json"
Floats = npt.NDArray[np.float64]
Trained = Callable[[Sequence[int], str], Floats]
"""Accuracies of laws, by their places, in a training of so many epochs with a new seed."""


class World(NamedTuple):
    """A truth that trainings are drawn from.

    Attributes:
        surfaces: accuracy of each law by the epochs of its training; `full` is what counts.
        seeds: standard deviation of the noise of a training, by its epochs.
        own: the same of what belongs to a law.
    """

    surfaces: dict[str, Floats]
    seeds: dict[str, float]
    own: dict[str, float]


def kept() -> tuple[list[Shares], dict[str, Floats]]:
    """The laws of the table, and their accuracies by the epochs of the trainings."""
    result = json.loads(TABLE.read_text(encoding="utf-8"))
    rows = sorted(result["grid"]["rows"], key=lambda row: row["number"])
    shares = [shares_of(ScalingLaw(**row["law"])) for row in rows]
    accuracies = {
        **{epochs: result["short"][epochs] for epochs in ("1 of 4", "2", "4")},
        "full": [float(np.mean(row["validation"])) for row in rows],
    }
    return shares, {epochs: np.array(values) for epochs, values in accuracies.items()}


def smooth(shares: Sequence[Shares], accuracies: Floats) -> tuple[Floats, float]:
    """The surface through some accuracies, and the standard deviation of what is left over."""
    surface = fit_surface(
        [
            LawAccuracy(shares=one, accuracy=float(value), variance=1.0)
            for one, value in zip(shares, accuracies, strict=True)
        ]
    )
    values = np.array([expected_accuracy(surface, one).accuracy for one in shares])
    freedom = len(shares) - len(surface.coefficients)
    return values, float(np.sqrt(((accuracies - values) ** 2).sum() / freedom))


def worlds(rng: np.random.Generator) -> dict[str, World]:
    """The truths, one drawing of each."""
    shares, accuracies = kept()
    fitted = {epochs: smooth(shares, values) for epochs, values in accuracies.items()}
    surfaces = {epochs: values for epochs, (values, _) in fitted.items()}
    left = {epochs: deviation for epochs, (_, deviation) in fitted.items()}
    top = rng.dirichlet((1, 1, 1))
    dome = -((np.array(shares) - top) ** 2).sum(axis=1)
    dome *= np.ptp(surfaces["full"]) / np.ptp(dome)
    half = {epochs: deviation / math.sqrt(2) for epochs, deviation in left.items()}
    return {
        "noise": World(surfaces, left, dict.fromkeys(left, 0.0)),
        "bumps": World(surfaces, half, half),
        "domes": World(dict.fromkeys(left, dome), left, dict.fromkeys(left, 0.0)),
    }


def trainer(world: World, rng: np.random.Generator) -> Trained:
    """Trainings in a world; what belongs to a law is drawn once."""
    own = rng.standard_normal(len(world.surfaces["full"]))

    def train(places: Sequence[int], epochs: str) -> Floats:
        mean = world.surfaces[epochs][list(places)] + world.own[epochs] * own[list(places)]
        drawn: Floats = mean + world.seeds[epochs] * rng.standard_normal(len(places))
        return drawn

    return train


def halving(shares: Sequence[Shares], train: Trained) -> Shares:
    """As `fit` was: all after one of four epochs, three to the end, two with another seed, the best of these."""
    first = train(range(len(shares)), "1 of 4")
    better = np.argsort(-first)[:3]
    second = train(better.tolist(), "4")
    finalists = better[np.argsort(-second)[:2]]
    mean = np.sort(second)[::-1][:2] + train(finalists.tolist(), "4")
    return shares[int(finalists[mean.argmax()])]


def surface(
    shares: Sequence[Shares], train: Trained, *, laws: int, epochs: str, middle: bool = True
) -> Shares:
    """As `fit` is: laws that lie far from each other, two seeds each, a surface, the middle of what may be the best."""
    places = spread_out(shares, laws)
    drawn = np.stack([train(places, epochs) for _ in range(2)])
    variance = max(float(drawn.var(axis=0, ddof=1).mean()) / 2, 1e-9)
    fitted = fit_surface(
        [
            LawAccuracy(shares=shares[place], accuracy=float(value), variance=variance)
            for place, value in zip(places, drawn.mean(axis=0), strict=True)
        ]
    )
    region = best_region(shares, [expected_accuracy(fitted, one) for one in shares])
    return region.middle if middle else shares[region.best]


RULES: dict[str, tuple[float, Callable[[Sequence[Shares], Trained], Shares]]] = {
    "the paper's law": (0, lambda _shares, _train: shares_of(COMPOUND)),
    "the middle of all laws": (0, lambda _shares, _train: Shares(1 / 3, 1 / 3, 1 / 3)),
    "successive halving": (39, halving),
    "surface, 16 laws of 1 epoch": (34, partial(surface, laws=16, epochs="1 of 4")),
    "the same, its best instead of the middle": (
        34,
        partial(surface, laws=16, epochs="1 of 4", middle=False),
    ),
    "surface, 22 laws of 1 epoch": (46, partial(surface, laws=22, epochs="1 of 4")),
    "surface, 9 laws of 2 epochs": (40, partial(surface, laws=9, epochs="2")),
    "surface, 9 laws of 4 epochs": (80, partial(surface, laws=9, epochs="4")),
}
"""Each with its cost in epochs, the training of the law that is found included."""


def simulate(repeats: int) -> list[dict[str, Any]]:
    """The mean errors of each rule in each world, with their standard errors."""
    shares = kept()[0]
    errors: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        for name, world in worlds(rng).items():
            true = world.surfaces["full"]
            for rule, (_, choose) in RULES.items():
                found = choose(shares, trainer(world, rng))
                errors.setdefault((name, rule), []).append(_error(shares, true, found))
    rows = []
    for (name, rule), values in errors.items():
        distance, lost = np.array(values).T
        rows.append(
            {
                "world": name,
                "rule": rule,
                "epochs": RULES[rule][0],
                "distance": [float(distance.mean()), float(distance.std(ddof=1) / repeats**0.5)],
                "quantiles": np.quantile(distance, (0.5, 0.05, 0.95)).tolist(),
                "lost": [float(lost.mean()), float(lost.std(ddof=1) / repeats**0.5)],
            }
        )
    return rows


def _error(shares: Sequence[Shares], true: Floats, found: Shares) -> tuple[float, float]:
    """How far a law is from the best one, and how much accuracy less it has."""
    best = shares[int(true.argmax())]
    surface_of_truth = fit_surface(
        [
            LawAccuracy(shares=one, accuracy=float(value), variance=1.0)
            for one, value in zip(shares, true, strict=True)
        ]
    )
    return math.dist(found, best), float(true.max()) - expected_accuracy(surface_of_truth, found).accuracy


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    text: list[str] = []
    for name in dict.fromkeys(row["world"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["world"] == name]
        text += [
            f"In `{name}`:",
            "",
            *table(
                ["rule", "epochs", "distance from the best law", "median", "points behind it"],
                [
                    [
                        row["rule"],
                        str(row["epochs"]),
                        "{:.3f} ± {:.3f}".format(*row["distance"]),
                        "{:.2f} ({:.2f} to {:.2f})".format(*row["quantiles"]),
                        "{:.2f} ± {:.2f}".format(*(100 * value for value in row["lost"])),
                    ]
                    for row in rows
                ],
            ),
            "",
        ]
    return [*text, f"Means of {result['repeats']:,} simulated fits with their standard errors."]


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=1000, help="simulated fits of each rule")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    result = {
        "benchmark": "fit_rules",
        "machine": machine(),
        "repeats": args.repeats,
        "rows": simulate(args.repeats),
    }
    print_result(result, lines(result), as_json=args.json)


if __name__ == "__main__":
    main()
