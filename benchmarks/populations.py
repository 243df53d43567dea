"""How many networks an evolution keeps alive: a fixed number, a quarter of its trials, or a quarter of those so far.

    python benchmarks/populations.py [--repeats 100]

On the kept table of 1,600 trained networks (`results/searchers_table.jsonl`), and on made objectives, where the worth
of a network of a large space is a sum over its choices and pairs of neighbors among them, and each look at it is off
by chance. A repeat has the same seed, and the same objective, for every population. About five minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from common import machine, print_result, table
from searchers import kept_table, small_space

from allometry.arch import Space
from allometry.catalog import find_space
from allometry.nas import (
    Encoding,
    EvolutionConfig,
    EvolutionSearcher,
    Proposals,
    RandomSearcher,
    follow,
)
from allometry.nas.encodings import Values

TRIALS = (24, 100, 400)
WAYS: dict[str, Callable[[int], EvolutionConfig | None]] = {
    "random": lambda _trials: None,
    "16": lambda _trials: EvolutionConfig(population=16),
    "a quarter of all trials": lambda trials: EvolutionConfig(population=max(6, trials // 4)),
    "a quarter of those so far": lambda _trials: EvolutionConfig(),
}
Worth = Callable[[Encoding], float]


def on_table(repeats: int) -> list[dict[str, Any]]:
    """The best accuracy found on the kept table, in percent."""
    space = small_space()
    known = {encoding: 100 * accuracy for encoding, accuracy in kept_table().items()}

    def worth(encoding: Encoding) -> float:
        return known[encoding.tobytes()]

    return [
        {"space": "table", "trials": trials, "way": way, "best": best}
        for trials in TRIALS[:2]
        for way in WAYS
        for best in [[best_of(space, way, trials, seed, worth, worth) for seed in range(repeats)]]
    ]


def on_made(name: str, repeats: int) -> list[dict[str, Any]]:
    """The true worth of the network that looked best, of a made objective a repeat."""
    space = find_space(name)
    rows = []
    for trials in TRIALS:
        for way in WAYS:
            best = []
            for seed in range(max(2, repeats // 4) if trials == TRIALS[-1] else repeats):
                worth, look = made_objective(space, seed)
                best.append(best_of(space, way, trials, seed, look, worth))
            rows.append({"space": name, "trials": trials, "way": way, "best": best})
    return rows


def made_objective(space: Space, seed: int) -> tuple[Worth, Worth]:
    """What a network is worth, and what one look at it says."""
    random = np.random.default_rng((seed, 1))
    options = max(len(choice.options) for choice in space.choices) + 1  # the last is for what is not there
    alone = random.normal(size=(len(space.choices), options))
    paired = random.normal(size=(len(space.choices), options)) / 2
    places = np.arange(len(space.choices))

    def worth(encoding: Encoding) -> float:
        pairs = paired[places, encoding]
        return float(alone[places, encoding].sum() + (pairs * np.roll(pairs, 1)).sum())

    return worth, lambda encoding: worth(encoding) + float(random.normal() / 2)


def best_of(space: Space, way: str, trials: int, seed: int, look: Worth, worth: Worth) -> float:
    """What a search finds."""
    config = WAYS[way](trials)
    searcher = (
        RandomSearcher(space, seed=seed)
        if config is None
        else EvolutionSearcher(space, seed=seed, settings=config)
    )
    proposals = Proposals(
        space, searcher, lambda rows: np.ones(len(rows), np.bool_), max_pending=1, seed=seed
    )

    def values(encoding: Encoding) -> Values:
        return (look(encoding),)

    tried = follow(proposals, values, trials)
    return worth(max(tried, key=lambda pair: pair[1])[0])


def options(result: dict[str, Any]) -> str:
    """What the command was given."""
    return f" --repeats {len(result['rows'][0]['best'])}"


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    text = []
    for space in dict.fromkeys(row["space"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["space"] == space]
        columns = list(dict.fromkeys(row["trials"] for row in rows))
        unit = "accuracy on the table, %" if space == "table" else f"made objectives on the space {space}"
        repeats = len(rows[0]["best"])
        fewer = "" if space == "table" else f", of {TRIALS[-1]} trials {repeats // 4},"
        text += [
            f"Means of {repeats} repeats{fewer} with their standard errors, {unit}:",
            "",
            *table(
                ["population", *(f"{trials} trials" for trials in columns)],
                [
                    [way, *(_mean(row["best"]) for row in rows if row["way"] == way)]
                    for way in dict.fromkeys(row["way"] for row in rows)
                ],
            ),
            "",
        ]
    return text


def _mean(values: list[float]) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.2f}"


def main() -> None:
    """Run all of it and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--repeats", type=int, default=100, help="of each population; a quarter of it at 400 trials"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    parts = (
        partial(on_table, args.repeats),
        *(partial(on_made, name, args.repeats) for name in ("fbnet", "mnasnet")),
    )
    result = {
        "benchmark": "populations",
        "machine": machine(),
        "rows": [row for part in parts for row in part()],
    }
    print_result(result, lines(result), as_json=args.json)


if __name__ == "__main__":
    main()
