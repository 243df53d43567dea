"""One supernet beside networks that are trained alone for as many epochs, and beside other ways to many devices.

    python benchmarks/once_for_all.py --folder runs/ofa [--data rendered] [--sizes 32 48 64 96] [--seeds 3]
        [--parts alone predict budgets grown costs]

For each seed the supernet of a space is trained by the default plan. `alone` trains some of its subnets by themselves,
each for as many epochs. `predict` fits the predictor of accuracy to some hundreds of measured subnets and judges it, by
the images it was not fitted to and by the same ones. `budgets` answers five budgets, and compares each with the best of
50 random subnets of nearly the same MACs; `grown` grows a network to each by the paper's law and trains it for as many
epochs. `costs` serves one target by each other way, and counts what 1, 5 and 40 would cost.

The folder holds all runs, and the same command goes on with them; `supernet_plans.py` shares its supernets. The number
of measured images is that of the data's validation split. At its full size this takes nights on two cores.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from common import machine, print_result
from once_for_all_tables import lines
from supernet_space import Setting, add_arguments, described, opened, setting_of, trained

from allometry.arch import Network, Space, load_space
from allometry.base.files import read_lines
from allometry.catalog import get
from allometry.cost import MACS, Budget, Limit, count
from allometry.nas import Costs, network_of, sample_encodings
from allometry.nas.search_config import SearchConfig
from allometry.runs import TrainResult
from allometry.scaling import solve
from allometry.scaling.strides import adapt
from allometry.supernets import evaluate_predictor, fit_predictor, least_counted
from allometry.supernets.accuracy_predictor import (
    PredictorConfig,
    fit_and_judge,
    measure_subnets,
    part_sums,
    sample_subnets,
)
from allometry.supernets.validation_halves import Half, accuracies_by_loss
from allometry.verbs import supernet
from allometry.verbs.open import Run
from allometry.verbs.search import search
from allometry.verbs.train import train

PARTS = ("alone", "predict", "budgets", "grown", "costs")
RANDOM, BUDGETS = 50, 5
WAYS = {"evolution": "evolution", "MnasNet": "controller", "ProxylessNAS": "proxylessnas", "FBNet": "fbnet"}


class Sizes(NamedTuple):
    """How many subnets are trained alone, measured to fit a predictor, and measured to judge it."""

    alone: int
    fitted: int
    held: int

    @property
    def config(self) -> PredictorConfig:
        """The same for searches, which may trust any predictor: the benchmark says what it is worth."""
        return PredictorConfig(subnets=self.fitted, held_out=self.held, least_tau=-1)


def alone(folder: Path, setting: Setting, sizes: Sizes, seed: int, run: Run) -> list[dict[str, Any]]:
    """Random subnets as they are in the supernet, and trained by themselves for as many epochs."""
    with opened(run, setting) as held:
        picks = sample_subnets(held, sizes.held + sizes.alone)[sizes.held :]
        inside = measure_subnets(held, picks)
        networks = [network_of(held.space, pick) for pick in picks]
    rows = []
    for number, network in enumerate(networks):
        result = _trained(folder / f"alone-{seed}-{number}", network, setting, seed)
        rows.append({"macs": count(network).macs, "supernet": float(inside[number]), **result})
    return rows


def predict(folder: Path, setting: Setting, sizes: Sizes, seed: int, run: Run) -> dict[str, Any]:
    """What predictors are worth: the one that is told of, and what it would be by other targets and images."""
    del folder
    with opened(run, setting) as held:
        encodings = sample_subnets(held, sizes.held + sizes.fitted)
        measure_subnets(held, encodings)
        sums = part_sums(held, encodings)
    _, quality = fit_and_judge(run_space(run), encodings, sums, held_out=sizes.held, seed=seed)
    fitted, judged = encodings[sizes.held :], encodings[: sizes.held]

    def tau(targets: Callable[[Half], Any], fitting: int | None, judging: int | None) -> float:
        half = Half(*(values[sizes.held :] for values in sums.half(fitting)))
        predictor = fit_predictor(run_space(run), fitted, targets(half), seed=seed)
        return evaluate_predictor(predictor, judged, sums.half(judging).accuracies[: sizes.held]).tau

    return {
        "number": quality.number,
        "fitted": quality.fitted,
        "tau": quality.tau,
        "attainable": quality.attainable,
        "true_tau": quality.true_tau,
        "target": quality.target,
        "mean_absolute_error": quality.mean_absolute_error,
        "spread": float(sums.half(None).accuracies.std()),
        "by_loss": tau(accuracies_by_loss, 0, 1),
        "by_accuracy": tau(lambda half: half.accuracies, 0, 1),
        "same_images": tau(lambda half: half.accuracies, 0, 0),
    }


def budgets(folder: Path, setting: Setting, sizes: Sizes, seed: int, run: Run) -> list[dict[str, Any]]:
    """Each budget's subnet beside random ones of about its MACs."""
    rows = []
    for limit in limits(run):
        subnet = supernet.search(run, budget=limit, config=sizes.config, progress=False)
        macs = subnet.cost.macs
        with opened(run, setting) as held:
            random = np.random.default_rng([seed, macs])
            picks = sample_encodings(held.space, random, 20_000, by="choice")
            away = np.abs(np.log(Costs(held.space)(picks)["macs"] / macs))
            near = picks[np.argsort(away, kind="stable")[:RANDOM]]
            others = measure_subnets(held, near)
        best = network_of(run_space(run), near[int(others.argmax())])
        tested = supernet.extract(run, best, out=folder / f"random-{seed}-{macs}", progress=False).result
        rows.append(
            {
                "budget": str(limit),
                "macs": macs,
                "predicted": subnet.predicted_accuracy,
                "validation": subnet.validation_accuracy,
                "test": subnet.test_accuracy,
                "random": [float(accuracy) for accuracy in others],
                "random_test": cast(TrainResult, tested).test_accuracy,
            }
        )
    return rows


def grown(folder: Path, setting: Setting, sizes: Sizes, seed: int, run: Run) -> list[dict[str, Any]]:
    """For each budget a network that grew by the paper's law, trained for as many epochs."""
    del sizes
    data = setting.dataset
    origin = adapt(
        get("efficientnet-b0"),
        classes=len(data.classes),
        channels=data.channels,
        image_size=setting.sizes[-1],
    )
    rows = []
    for number, limit in enumerate(limits(run)):
        network = solve(origin, limit, largest_resolution=setting.sizes[-1]).network
        rows.append(
            {"budget": str(limit), **_trained(folder / f"grown-{seed}-{number}", network, setting, seed)}
        )
    return rows


def costs(folder: Path, setting: Setting, sizes: Sizes, seed: int, run: Run) -> dict[str, Any]:
    """Seconds from cost logs: what one target costs by each way, its search and its training."""
    target, ways = limits(run)[BUDGETS // 2], {}
    subnet = supernet.search(run, budget=target, config=sizes.config, progress=False)
    for name, by in WAYS.items():
        found = search(
            setting.space,
            data=setting.dataset,
            budget=target,
            config=SearchConfig(searcher=by),
            out=folder / f"way-{by}-{seed}",
            seed=seed,
            progress=False,
        )
        result = _trained(folder / f"way-{by}-{seed}-trained", found.network, setting, seed)
        ways[name] = {
            "search": _seconds(found.folder, "search", "gradient", "prepare"),
            "train": result["seconds"],
            "test": result["test"],
        }
    lines = read_lines(run.folder / "costs.jsonl")
    ends = [place for place, line in enumerate(lines) if line["phase"] == "search"]
    later = [
        sum(line["seconds"] for line in lines[before + 1 : end + 1] if line["phase"] != "look")
        for before, end in pairwise(ends)
    ]
    return {
        "ways": ways,
        "first": sum(line["seconds"] for line in lines[: ends[0] + 1]),
        "later": float(np.median(later)) if later else 0.0,
        "test": subnet.test_accuracy,
    }


def limits(run: Run) -> list[Budget]:
    """Budgets in MACs, evenly spaced by their logarithm between the smallest subnet and the largest."""
    space = run_space(run)
    least, most = least_counted(space, MACS).value, count(space.largest()).macs
    return [
        Budget((Limit(MACS, float(f"{macs:.2g}")),)) for macs in np.geomspace(least, most, BUDGETS + 2)[1:-1]
    ]


def run_space(run: Run) -> Space:
    """The space of a supernet's run, whose strides suit the images."""
    return load_space(run.folder / "space.json")


def _trained(out: Path, network: Network, setting: Setting, seed: int) -> dict[str, float]:
    run = train(
        network,
        data=setting.dataset,
        settings=[f"epochs={setting.epochs}"],
        out=out,
        seed=seed,
        progress=False,
    )
    result = cast(TrainResult, run.result)
    return {
        "alone": result.validation_accuracy,
        "test": result.test_accuracy,
        "seconds": _seconds(out, "train"),
    }


def _seconds(run: Path, *phases: str) -> float:
    return sum(line["seconds"] for line in read_lines(run / "costs.jsonl") if line["phase"] in phases)


def main() -> None:
    """Run the parts that are asked for, seed after seed, and print all that the folder's parts have come to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--alone", type=int, default=20, help="subnets that are trained alone")
    parser.add_argument("--subnets", type=int, default=500, help="that are measured to fit a predictor")
    parser.add_argument("--held-out", type=int, default=200, help="that are measured to judge it")
    parser.add_argument("--plan", default="bignas", help="of the supernet")
    args = parser.parse_args()
    setting, sizes = setting_of(args), Sizes(args.alone, args.subnets, args.held_out)
    args.folder.mkdir(parents=True, exist_ok=True)
    kept = args.folder / "once_for_all.json"
    parts: dict[str, dict[str, Any]] = json.loads(kept.read_text())["parts"] if kept.exists() else {}
    makers = {"alone": alone, "predict": predict, "budgets": budgets, "grown": grown, "costs": costs}
    result: dict[str, Any] = {}
    for seed in range(args.seeds):
        run = trained(args.folder, setting, plan=args.plan, seed=seed)
        for name in ("train", *args.parts):
            make = partial(makers[name], args.folder, setting, sizes, seed) if name in makers else _ends
            parts.setdefault(name, {})[str(seed)] = make(run)
            result = {
                "benchmark": "once_for_all",
                "setting": described(setting),
                "plan": args.plan,
                "epochs": setting.epochs,
                "parts": parts,
                "machine": machine(),
            }
            kept.write_text(json.dumps(result, indent=2))
    print_result(result, lines(result), as_json=args.json)


def _ends(run: Run) -> dict[str, Any]:
    return run.to_dict()


if __name__ == "__main__":
    main()
