"""Searchers beside random search: on a table of results, where repeats are cheap, and on the icons.

    python benchmarks/searchers.py --folder runs/searchers [--parts workers table icons] [--repeats 200] [--seeds 3]

`workers` runs the same random search by one process and by two, one thread each, in turns: about 6 minutes.

`table` lets each searcher search a table again and again, from other seeds: `results/searchers_table.jsonl`, which has
all 1,600 networks of a small space after one epoch on icons of 24 px, of their first split. A search of 100 networks
takes a tenth of a second of one core, the controller's one second, TPE's twelve, which therefore has fewer repeats.
With `--anew` the table is made again with today's icons, which takes about an hour and stays in the folder.

`icons` lets each searcher try 24 networks around EfficientNet-B0 within 2M MACs by `allometry search`, and gives random
search the same cost, with several seeds: about 10 minutes for each. A folder holds all results, and the same command
goes on with them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import Spread, key_of, machine, print_result, table
from drawing import curves
from run_icons import call

from allometry.arch import Head, MBConv, Network, Space, Stage, Stem, members, space_to_json
from allometry.base.files import append_line, read_json, read_lines
from allometry.catalog import mbconv_space
from allometry.nas import Encoding, Halving, Proposals, encodings_of, follow, make_searcher
from allometry.nas.law_trials import GridTraining, run_grid_training
from allometry.nas.trial_training import TrialConfig, trial_recipe
from allometry.training.images import open_images

SIDE, TRIALS, ICON_TRIALS = 24, 100, 24
WORKED = 6
KEPT = Path(__file__).parent / "results" / "searchers_table.jsonl"
AT = (25, 50, 100)
SHARES = tuple(round(0.1 + 0.05 * step, 2) for step in range(19))  # of the cost, for curves
OTHERS = ("evolution", "nsga2", "controller", "tpe")


def small_space() -> Space:
    """1,600 networks of three stages: kernel and expand ratio of up to five layers, and two depths."""
    stages = (
        Stage(block=MBConv(channels=16, stride=2), repeats=2),
        Stage(block=MBConv(channels=24, stride=2), repeats=2),
        Stage(block=MBConv(channels=40), repeats=1),
    )
    network = Network(
        stages=stages,
        stem=Stem(channels=16),
        head=Head(channels=64, classes=88),
        resolution=SIDE,
        in_channels=1,
    )
    return mbconv_space(network, kernels=(3, 5), expand_ratios=(2, 4), depths=(1, 2), name="small")


def kept_table() -> dict[bytes, float]:
    """The validation accuracy of every network of the small space, by its encoding, as it is kept."""
    space = small_space()
    accuracies = {line["number"]: line["accuracy"] for line in read_lines(KEPT)[1:]}
    encodings = encodings_of(space, list(members(space)))
    return {encoding.tobytes(): accuracies[number] for number, encoding in enumerate(encodings)}


def table_anew(folder: Path) -> dict[bytes, float]:
    """The same, of trainings on the icons as they are now."""
    space = small_space()
    every = list(members(space))
    images = open_images("icons", seed=0)
    settings = TrialConfig(
        data="icons",
        seed=0,
        device="cpu",
        settings=(),
        epochs=1,
        objectives=("accuracy",),
        halving=Halving(),
        threads=1,
    )
    recipe = trial_recipe(images, space.largest(), (), 1)
    of = key_of(space_to_json(space), recipe.to_dict(), images.dataset.fingerprint)
    file = folder / f"table-{of}.jsonl"
    if not file.exists():
        append_line(file, {"of": of})
    known = {line["number"]: line["accuracy"] for line in read_lines(file)[1:]}
    for number, network in enumerate(every):
        if number not in known:
            arm = GridTraining(network=network, seed=0)
            known[number] = run_grid_training(arm, images, settings, folder=folder / "table").accuracy
            append_line(file, {"number": number, "accuracy": known[number]})
    encodings = encodings_of(space, every)
    return {encoding.tobytes(): known[number] for number, encoding in enumerate(encodings)}


def on_table(folder: Path, repeats: int, tpe_repeats: int, *, anew: bool) -> dict[str, Any]:
    """The best after so many networks, over many repeats of each searcher; those that the folder has are taken."""
    known = table_anew(folder) if anew else kept_table()
    file = folder / f"climbs-{key_of(sorted(known.values()), TRIALS)}.jsonl"
    done = (
        {(line["searcher"], line["seed"]): line["climb"] for line in read_lines(file)}
        if file.exists()
        else {}
    )
    seeds = {name: range(tpe_repeats if name == "tpe" else repeats) for name in ("random", *OTHERS)}
    for name, own in seeds.items():
        for seed in own:
            if (name, seed) not in done:
                done[name, seed] = climb(known, name, seed)
                append_line(file, {"searcher": name, "seed": seed, "climb": done[name, seed]})
    climbs = {name: np.array([done[name, seed] for seed in own]) for name, own in seeds.items()}
    bests = {name: {str(at): ours[:, at - 1].tolist() for at in AT} for name, ours in climbs.items()}
    medians = {name: np.median(ours, axis=0).tolist() for name, ours in climbs.items()}
    accuracies = sorted(known.values(), reverse=True)
    return {
        "networks": len(known),
        "best": accuracies[0],
        "median": statistics.median(accuracies),
        "found": bests,
        "medians": medians,
    }


def climb(known: dict[bytes, float], name: str, seed: int) -> list[float]:
    """The best accuracy after each network of one search of the table."""
    space = small_space()

    def worth(encoding: Encoding) -> tuple[float]:
        return (known[encoding.tobytes()],)

    searcher = make_searcher(name, space, seed=seed)
    proposals = Proposals(
        space, searcher, lambda encodings: np.ones(len(encodings), np.bool_), max_pending=1, seed=seed
    )
    values = [worths[0] for _, worths in follow(proposals, worth, TRIALS)]
    best: list[float] = np.maximum.accumulate(values).tolist()
    return best


def by_workers(rounds: int) -> dict[str, Any]:
    """Seconds of the same search with one worker and with two, by turns."""
    seconds: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(rounds):
        for workers, taken in seconds.items():
            with tempfile.TemporaryDirectory() as name:
                command = [
                    "search",
                    "efficientnet-b0",
                    "--budget",
                    "2M",
                    "--searcher",
                    "random",
                    "--no-halving",
                ]
                command += ["--trials", str(WORKED), "--trial-threads", "1", "--workers", workers]
                taken.append(call([*command, "--out", f"{name}/run"])[1])
    return {"trials": WORKED, "seconds": seconds}


def on_icons(folder: Path, seeds: int) -> dict[str, Any]:
    """Each searcher with random search of the same cost beside it."""
    rows = []
    for name in OTHERS:
        for seed in range(seeds):
            run = folder / f"{name}-{seed}"
            if not (run / "result.json").exists():
                call(
                    [
                        "search",
                        "efficientnet-b0",
                        "--budget",
                        "2M",
                        "--searcher",
                        name,
                        "--trials",
                        str(ICON_TRIALS),
                        "--compare-with",
                        "random",
                        "--seed",
                        str(seed),
                        "--out",
                        str(run),
                    ]
                )
            result = read_json(run / "result.json")
            rows.append(
                {
                    "by": name,
                    "seed": seed,
                    "best": result["best"],
                    "random": result["random"],
                    "mean": _mean(run, "search"),
                    "random_mean": _mean(run, "random"),
                    **_climbs(read_lines(run / "trials.jsonl")),
                }
            )
    return {"trials": ICON_TRIALS, "shares": SHARES, "rows": rows}


def _mean(run: Path, phase: str) -> float:
    """Of the networks that were trained to their end."""
    trials = [trial for trial in read_lines(run / "trials.jsonl") if trial["phase"] == phase]
    return statistics.fmean(trial["values"][0] for trial in trials if not trial["stopped"])


def _climbs(trials: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """The best so far after each fraction of the search's cost, of the search and of random search."""
    whole = sum(trial["training_macs"] for trial in trials if trial["phase"] == "search")
    climbs = {}
    for phase in ("search", "random"):
        spent = np.cumsum([trial["training_macs"] for trial in trials if trial["phase"] == phase])
        values = np.maximum.accumulate(
            [trial["values"][0] or 0.0 for trial in trials if trial["phase"] == phase]
        )
        # The random trial that passes the cost counts, as it does in the search itself.
        ends = [max(1, int((spent <= share * whole).sum())) for share in SHARES[:-1]] + [len(values)]
        climbs[f"{phase}_climb"] = values[np.array(ends) - 1].tolist()
    return climbs


def options(result: dict[str, Any]) -> str:
    """What the command was given."""
    found, first = result["table"]["found"], str(AT[0])
    return f" --folder runs/searchers --repeats {len(found['random'][first])} --tpe-repeats {len(found['tpe'][first])}"


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    text: list[str] = []
    if "workers" in result:
        part = result["workers"]
        one, two = (part["seconds"][workers] for workers in ("1", "2"))
        ratios = Spread.of([mine / theirs for mine, theirs in zip(one, two, strict=True)])
        text += [
            f"{part['trials']} trials by one worker take {Spread.of(one).show()} seconds, by two "
            f"{Spread.of(two).show()}: {ratios.show('{:.2f}')} times as many in the same "
            "time. All starts, images and prices are part of it.",
            "",
        ]
    if "table" in result:
        part = result["table"]
        rows = [
            [
                name,
                str(len(best[str(AT[0])])),
                *(_percent(best[str(at)]) for at in AT),
                _wins(part["found"], name),
            ]
            for name, best in part["found"].items()
        ]
        text += [
            f"A space of {part['networks']:,} networks, each trained: the best reaches {part['best']:.1%}, the one "
            f"in the middle {part['median']:.1%}. The best of so many networks, medians of the "
            "repeats with the 10th and the 90th percentile, and how often, with its standard error, it is better than "
            "random search from the same seed:",
            "",
            *table(["searcher", "repeats", *(f"{at} networks" for at in AT), f"better after {AT[-1]}"], rows),
            "",
        ]
    if "icons" in result:
        part = result["icons"]
        rows = [
            [
                name,
                *(_points(part["rows"], name, field) for field in ("best", "random", "mean", "random_mean")),
            ]
            for name in OTHERS
        ]
        text += [
            f"On the icons, {part['trials']} networks of 2M MACs at most, trained for two epochs:",
            "",
            *table(
                ["searcher", "best, %", "random search's best", "mean of all, %", "random search's mean"],
                rows,
            ),
        ]
    return text


def _points(rows: Sequence[dict[str, Any]], name: str, field: str) -> str:
    return Spread.of([100 * row[field] for row in rows if row["by"] == name]).show("{:.1f}")


def figures(result: dict[str, Any]) -> dict[str, str]:
    """The figures of the documentation, as SVG, by name."""
    made = {}
    if "table" in result:
        medians = result["table"]["medians"]
        made["searchers-on-a-table"] = curves(
            "The best validation accuracy so far, %, over the networks tried",
            "networks tried",
            range(1, TRIALS + 1),
            {name: [100 * value for value in values] for name, values in medians.items()},
        )
    if "icons" in result:
        part = result["icons"]
        climbs = {name: [row["search_climb"] for row in part["rows"] if row["by"] == name] for name in OTHERS}
        climbs = {"random": [row["random_climb"] for row in part["rows"]], **climbs}
        made["searchers-on-icons"] = curves(
            "The best validation accuracy so far, %, over the cost of the search",
            "% of the cost of the search",
            [100 * share for share in part["shares"]],
            {name: (100 * np.mean(climb, axis=0)).tolist() for name, climb in climbs.items()},
        )
    return made


def _percent(values: Sequence[float]) -> str:
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    return f"{100 * middle:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _wins(bests: dict[str, dict[str, list[float]]], name: str) -> str:
    """How often it is better than random from the same seed, half of the ties counted."""
    if name == "random":
        return ""
    last = str(AT[-1])
    pairs = list(zip(bests[name][last], bests["random"][last], strict=False))  # TPE has fewer
    wins = [1.0 if ours > theirs else 0.5 if ours == theirs else 0.0 for ours, theirs in pairs]
    error = np.std(wins, ddof=1) / len(wins) ** 0.5
    return f"{np.mean(wins):.0%} ± {error:.0%}"


def main() -> None:
    """Run the parts that are asked for, and print all that the folder's parts have come to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="of all results")
    parts = ("workers", "table", "icons")
    parser.add_argument("--parts", choices=parts, nargs="+", default=list(parts))
    parser.add_argument("--rounds", type=int, default=3, help="of one worker and of two")
    parser.add_argument("--repeats", type=int, default=200, help="of each searcher on the table")
    parser.add_argument(
        "--tpe-repeats", type=int, default=15, help="of TPE, which takes twelve seconds for one"
    )
    parser.add_argument("--anew", action="store_true", help="make the table again, with today's icons")
    parser.add_argument("--seeds", type=int, default=3, help="of each searcher on the icons")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    kept = args.folder / "result.json"
    result = json.loads(kept.read_text()) if kept.exists() else {}
    if "workers" in args.parts:
        result["workers"] = by_workers(args.rounds)
    if "table" in args.parts:
        result["table"] = on_table(args.folder, args.repeats, args.tpe_repeats, anew=args.anew)
    if "icons" in args.parts:
        result["icons"] = on_icons(args.folder, args.seeds)
    result |= {"benchmark": "searchers", "machine": machine()}
    kept.write_text(json.dumps(result, indent=2))
    print_result(result, lines(result), as_json=args.json)


if __name__ == "__main__":
    main()
