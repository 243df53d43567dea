"""One supernet on the icons beside networks that are trained alone, and beside other ways to serve many devices.

    python benchmarks/once_for_all.py --folder runs/ofa [--parts train alone plans predict budgets grown costs]

`train` trains the supernet of a space from 0.7M to 10.9M MACs. `alone` trains 20 of its subnets by themselves, each
with the epochs that the largest network has by itself, and three with those of the supernet; those that
`results/once_for_all_alone.jsonl` knows, with the same recipe and images, are not trained again. `plans` trains
supernets of the same space with coupled depth and width, at once without a teacher, and by progressive shrinking.
`predict` fits the predictor of accuracy and judges it by 200 subnets. `budgets` answers budgets, and compares with the
best of 50 random subnets of about the same MACs; `grown` grows a network to each by the paper's law and trains it for a
fifth of the supernet's cost. `costs` serves one target by each other way, and counts what 1, 5 and 40 would cost.

A folder holds all runs, and the same command goes on with them. On one core `train` takes half an hour, `alone` 45
minutes, `plans` 75, `predict` 8, `budgets` 3, `grown` 35, `costs` 40.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from common import Spread, key_of, machine, print_result, table
from run_icons import call

from allometry.arch import Head, MBConv, Network, Space, Stage, Stem, digest, load_space, save, save_space
from allometry.base import SilentProgress
from allometry.base.files import append_line, read_json, read_lines
from allometry.catalog import get, mbconv_space
from allometry.cost import count, parse_budget
from allometry.data import open_data
from allometry.nas import Costs, Encodings, network_of, sample_encodings
from allometry.runs.files import known_subnets
from allometry.scaling import solve
from allometry.scaling.strides import adapt
from allometry.supernets import (
    ESTIMATED,
    THOROUGH,
    Predictor,
    epochs_together,
    evaluate_predictor,
    specialize,
)
from allometry.supernets.accuracy_predictor import evaluate_subnet, measure_subnets, sample_subnets
from allometry.supernets.opened import OpenSupernet, open_supernet
from allometry.supernets.subnet_search import subnet_name
from allometry.training import small
from allometry.training.images import Images, open_images

NETWORK = "efficientnet-b0"
ALONE, LONG, RANDOM, HELD, FITTED = 20, 3, 50, 200, 500
BUDGETS = ("1M", "2M", "3M", "4M", "6M")
PLANS = {
    "the sandwich rule": [],
    "the same, coupled": ["--coupled"],
    "at once": ["--phases", "at-once"],
    "shrinking": ["--phases", "shrinking"],
}
TARGET = "3M"
WAYS = {"evolution": "evolution", "MnasNet": "controller", "ProxylessNAS": "proxylessnas", "FBNet": "fbnet"}
TARGETS = (1, 5, 40)
CONFIRMED = 5
# Once-for-All (Cai et al. 2020), abstract of the first version, in GPU hours.
PUBLISHED = {"ProxylessNAS": "14 x", "FBNet": "16 x", "MnasNet": "1,142 x"}
KEPT = Path(__file__).parent / "results" / "once_for_all_alone.jsonl"
LOOKS = ["--subnets", str(FITTED), "--held-out", str(HELD), "--least-tau", "0"]


def own_space() -> Space:
    """Inverted bottlenecks without squeeze-excite: one to three layers in each of four stages, three sizes."""
    first = Stage(block=MBConv(channels=16, expand_ratio=1, se_ratio=0))
    others = [
        Stage(block=MBConv(channels=channels, stride=stride, se_ratio=0), repeats=3)
        for channels, stride in ((24, 2), (40, 2), (56, 1), (80, 2))
    ]
    network = Network(
        stem=Stem(channels=16),
        stages=(first, *others),
        head=Head(channels=256, classes=88, dropout=0.1),
        in_channels=1,
        resolution=40,
    )
    return mbconv_space(
        network,
        kernels=(3, 5),
        expand_ratios=(3, 4, 6),
        depths=(1, 2, 3),
        resolutions=(24, 32, 40),
        name="own",
    )


def train(folder: Path, name: str, more: list[str]) -> dict[str, Any]:
    """A supernet, or its result if it was trained before."""
    run, space = folder / name, folder / "own.json"
    save_space(own_space(), space)
    trained, _, _ = call(["supernet", "train", str(space), *more, "--out", str(run)])
    return {**trained, "history": [dict(line) for line in read_lines(run / "metrics.jsonl")]}


def alone(folder: Path) -> dict[str, Any]:
    """Subnets in the supernet and trained by themselves, and some of them with as many epochs as the supernet."""
    run = folder / "supernet"
    rows = []
    with open_supernet(run, device=None, progress=SilentProgress(), should_stop=lambda: False) as opened:
        picks = sample_subnets(opened, HELD + ALONE)[HELD:]
        inside = measure_subnets(opened, picks)
        networks = [network_of(opened.space, row) for row in picks]
    networks.append(load_space(run / "space.json").largest())
    images = open_images("icons", seed=0)
    for number, network in enumerate(networks):
        rows.append(
            {
                "macs": count(network).macs,
                "resolution": network.resolution,
                "supernet": float(inside[number]) if number < ALONE else None,
                **_trained_alone(folder, network, images, f"alone-{number}"),
            }
        )
    epochs = epochs_together(images.recipe(small, networks[0], ()).epochs)
    for number, network in enumerate(networks[:LONG]):
        long = _trained_alone(folder, network, images, f"alone-long-{number}", f"epochs={epochs}")
        rows[number] |= {"long": long["alone"], "long_seconds": long["seconds"]}
    return {"rows": rows, "epochs": epochs}


def _trained_alone(
    folder: Path, network: Network, images: Images, name: str, *settings: str
) -> dict[str, float]:
    """What a network comes to by itself: from the folder's file, the kept one, or by training it now."""
    of = key_of(
        digest(network), images.recipe(small, network, settings).to_dict(), images.dataset.fingerprint
    )
    file = folder / "alone.jsonl"
    for line in (*read_lines(file), *read_lines(KEPT)):
        if line["of"] == of:
            return {"alone": line["alone"], "seconds": line["seconds"]}
    run, described = folder / name, folder / f"{name}.json"
    save(network, described)
    more = [word for setting in settings for word in ("--set", setting)]
    trained, _, _ = call(["train", str(described), *more, "--out", str(run)])
    row = {"alone": trained["validation_accuracy"], "seconds": _seconds(run, "train")}
    append_line(file, {"of": of, **row})
    return row


def plans(folder: Path) -> dict[str, Any]:
    """Other ways to train a supernet: the same random subnets in each, as far as these are coupled where it is."""
    trained_by: dict[str, Any] = {}
    for name, more in PLANS.items():
        place = "-".join(["supernet", *(option.strip("-") for option in more)])
        trained = train(folder, place, more)
        with open_supernet(
            folder / place, device=None, progress=SilentProgress(), should_stop=lambda: False
        ) as opened:
            accuracies = measure_subnets(opened, sample_subnets(opened, HELD + ALONE)[HELD:])
        trained_by[name] = {
            "seconds": trained["seconds"],
            "largest": trained["largest"]["validation_accuracy"],
            "smallest": trained["smallest"]["validation_accuracy"],
            "subnets": [float(accuracy) for accuracy in accuracies],
        }
    return trained_by


def predict(folder: Path) -> dict[str, Any]:
    """The predictor, and how long a search of a million candidates takes."""
    run = folder / "supernet"
    call(["supernet", "search", str(run), "--budget", TARGET, *LOOKS])
    space = load_space(run / "space.json")
    predictor, costs = Predictor.load(run / "predictor.safetensors", space), Costs(space)
    seconds = {}
    for name, settings in (("default", None), ("thorough", THOROUGH)):
        began = time.perf_counter()
        more = {} if settings is None else {"settings": settings}
        front = specialize(
            space, predictor, allows=lambda rows: costs(rows)["macs"] <= 3_000_000, seed=0, **more
        )
        seconds[name] = {"seconds": time.perf_counter() - began, "looked": front.examined}
    with open_supernet(run, device=None, progress=SilentProgress(), should_stop=lambda: False) as opened:
        picks = _evenly(opened)
        even = evaluate_predictor(predictor, picks, measure_subnets(opened, picks))
    # The first ones that were looked at are those that are held out.
    spread = statistics.stdev(line["accuracy"] for line in read_lines(run / "accuracies.jsonl")[:HELD])
    return {
        "spread": spread,
        **read_json(run / "predictor.json"),
        "even": {"number": even.number, "tau": even.tau, "mean_absolute_error": even.mean_absolute_error},
        "searches": seconds,
    }


def _evenly(opened: OpenSupernet) -> Encodings:
    """About as many random subnets as are held out, but evenly from the fewest MACs to the most."""
    rows = sample_encodings(opened.space, np.random.default_rng(7), 20_000, by="choice")
    macs = np.log(Costs(opened.space)(rows)["macs"].astype(float))
    places = {int(np.abs(macs - target).argmin()) for target in np.linspace(macs.min(), macs.max(), HELD)}
    return rows[sorted(places)]


def budgets(folder: Path) -> dict[str, Any]:
    """Each budget's subnet beside random ones of about its MACs."""
    run = folder / "supernet"
    rows = []
    for budget in BUDGETS:
        subnet, seconds, _ = call(["supernet", "search", str(run), "--budget", budget, *LOOKS])
        with open_supernet(run, device=None, progress=SilentProgress(), should_stop=lambda: False) as opened:
            random = np.random.default_rng(int(subnet["macs"]))
            picks = sample_encodings(opened.space, random, 20_000, by="choice")
            macs = Costs(opened.space)(picks)["macs"]
            near = picks[(macs <= subnet["macs"] * 1.02) & (macs >= subnet["macs"] * 0.8)][:RANDOM]
            others = measure_subnets(opened, near)
            best = evaluate_subnet(
                opened, near[others.argmax()], opened.images.dataset.splits["test"], images=ESTIMATED
            )
        rows.append(
            {
                "budget": budget,
                "seconds": seconds,
                "macs": subnet["macs"],
                "predicted": subnet["predicted_accuracy"],
                "validation": subnet["validation_accuracy"],
                "test": subnet["test_accuracy"],
                "random": [float(accuracy) for accuracy in others],
                "random_test": best.accuracy,
            }
        )
    return {"rows": rows}


def grown(folder: Path) -> dict[str, Any]:
    """For each budget a network that grew by the paper's law, trained for a fifth of the supernet's cost."""
    lines = read_lines(folder / "supernet" / "costs.jsonl")
    spent = sum(line["seconds"] for line in lines if line["phase"] == "supernet")
    return {
        "spent": spent,
        "rows": [{"budget": budget, **_grown(folder, budget, spent / 5)} for budget in BUDGETS],
    }


def _grown(folder: Path, budget: str, seconds: float) -> dict[str, Any]:
    """A network that grew by the paper's law, trained for about so long."""
    file, data = folder / f"grown-{budget}.json", open_data("icons")
    origin = adapt(
        get(NETWORK), classes=len(data.classes), channels=data.channels, image_size=data.image_size
    )
    save(solve(origin, budget, largest_resolution=data.image_size).network, file)
    first = folder / f"grown-{budget}-short"
    call(["train", str(file), "--set", "epochs=2", "--out", str(first)])
    epochs = max(2, round(2 * seconds / _seconds(first, "train")))
    run = folder / f"grown-{budget}"
    trained, _, _ = call(["train", str(file), "--set", f"epochs={epochs}", "--out", str(run)])
    return {
        "epochs": epochs,
        "seconds": _seconds(run, "train"),
        "validation": trained["validation_accuracy"],
        "test": trained["test_accuracy"],
    }


def costs(folder: Path) -> dict[str, Any]:
    """Seconds from cost logs: what one target costs by each way, its search and its training."""
    run, space = folder / "supernet", str(folder / "supernet" / "space.json")
    rows = {}
    for name, by in WAYS.items():
        search = folder / f"way-{by}"
        call(["search", space, "--budget", TARGET, "--searcher", by, "--out", str(search)])
        trained = folder / f"way-{by}-trained"
        tested, _, _ = call(["train", str(search / "network.json"), "--out", str(trained)])
        phases = {"search", "gradient", "prepare"}
        rows[name] = {
            "search": sum(
                line["seconds"] for line in read_lines(search / "costs.jsonl") if line["phase"] in phases
            ),
            "train": _seconds(trained, "train"),
            "test": tested["test_accuracy"],
        }
    return {"ways": rows, **_supernet_costs(run)}


def _supernet_costs(run: Path) -> dict[str, float]:
    """Seconds up to the first answer, and for each later one, as the first is known by its own measured subnets.

    What this benchmark measured besides, random subnets, is charged with later answers and left out: an answer's five
    subnets count with what one takes in the middle.
    """
    lines = read_lines(run / "costs.jsonl")
    ends = [place for place, line in enumerate(lines) if line["phase"] == "search"]
    later = [
        sum(line["seconds"] for line in lines[before + 1 : end + 1] if line["phase"] != "look")
        for before, end in pairwise(ends)
    ]
    evaluate_subnet = statistics.median(line["seconds"] for line in read_lines(run / "accuracies.jsonl"))
    return {
        "first": sum(line["seconds"] for line in lines[: ends[0] + 1]),
        "each": statistics.median(later) + CONFIRMED * evaluate_subnet,
        "test": known_subnets(run)[subnet_name(parse_budget(TARGET))].test_accuracy,
    }


def _seconds(run: Path, phase: str) -> float:
    return sum(line["seconds"] for line in read_lines(run / "costs.jsonl") if line["phase"] == phase)


def main() -> None:
    """Run the parts that are asked for, and print all that the folder's parts have come to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="of all runs")
    parts = ("train", "alone", "plans", "predict", "budgets", "grown", "costs")
    parser.add_argument("--parts", choices=parts, nargs="+", default=list(parts))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    kept = args.folder / "result.json"
    result = json.loads(kept.read_text()) if kept.exists() else {}
    result["train"] = train(args.folder, "supernet", [])
    for name, part in (
        ("alone", alone),
        ("plans", plans),
        ("predict", predict),
        ("budgets", budgets),
        ("grown", grown),
        ("costs", costs),
    ):
        if name in args.parts:
            result[name] = part(args.folder)
            result |= {"benchmark": "once_for_all", "machine": machine()}
            kept.write_text(json.dumps(result, indent=2))
    result |= {"benchmark": "once_for_all", "machine": machine()}
    kept.write_text(json.dumps(result, indent=2))
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    supernet = result["train"]
    text = [
        f"A space of {int(supernet['size']):,} networks from {supernet['smallest']['macs'] / 1e6:.2f}M to "
        f"{supernet['largest']['macs'] / 1e6:.2f}M MACs, trained in {supernet['seconds'] / 60:.0f} minutes; the "
        f"largest reaches {supernet['largest']['validation_accuracy']:.1%}, the smallest "
        f"{supernet['smallest']['validation_accuracy']:.1%} of the validation images.",
        "",
    ]
    for name, part in (
        ("alone", _alone_lines),
        ("plans", _plan_lines),
        ("predict", _predict_lines),
        ("budgets", _budget_lines),
        ("grown", _grown_lines),
        ("costs", _cost_lines),
    ):
        if name in result:
            text += [*part(result[name]), ""]
    return text


def _alone_lines(part: dict[str, Any]) -> list[str]:
    rows = [row for row in part["rows"] if row["supernet"] is not None]
    long = [row for row in rows if "long" in row]
    ahead = [100 * (row["supernet"] - row["alone"]) for row in rows]
    inside, alone = (100 * statistics.fmean(row[which] for row in rows) for which in ("supernet", "alone"))
    text = (
        f"{len(rows)} random subnets have {inside:.1f}% of the validation images right as they are in the supernet, "
        f"and {alone:.1f}% where each is trained alone, with as many epochs as the largest network has by itself: the "
        f"supernet's are better by {Spread.of(ahead).show('{:.1f}')} points. To train one of them alone takes "
        f"{statistics.median(row['seconds'] for row in rows) / 60:.1f} minutes."
    )
    if long:
        text += (
            f" {len(long)} of them trained alone for {part['epochs']} epochs, as often as the supernet sees each "
            f"image, have {100 * statistics.fmean(row['long'] for row in long):.1f}%, and in the supernet "
            f"{100 * statistics.fmean(row['supernet'] for row in long):.1f}%."
        )
    return [text]


def _plan_lines(plans: dict[str, Any]) -> list[str]:
    return table(
        ["training", "minutes", "largest, %", "smallest, %", f"{ALONE} random subnets, mean %"],
        [
            [
                name,
                f"{plan['seconds'] / 60:.0f}",
                f"{100 * plan['largest']:.1f}",
                f"{100 * plan['smallest']:.1f}",
                f"{100 * statistics.fmean(plan['subnets']):.1f}",
            ]
            for name, plan in plans.items()
        ],
    )


def _predict_lines(part: dict[str, Any]) -> list[str]:
    searches = ", ".join(
        f"{searched['looked']:,} candidates in {searched['seconds']:.1f} s"
        for searched in part["searches"].values()
    )
    return [
        f"The predictor, fitted to {part['fitted']} subnets, has a Kendall tau of {part['tau']:.2f} on "
        f"{part['number']} others, and is off by {100 * part['mean_absolute_error']:.2f} points in the mean; their "
        f"accuracies have a standard deviation of {100 * part['spread']:.2f} points. "
        f"One that knew how good subnets are would have about {part['attainable']:.2f}. "
        f"On {part['even']['number']} subnets spread evenly over the MACs tau is {part['even']['tau']:.2f}. "
        f"Searches look at {searches}."
    ]


def _budget_lines(part: dict[str, Any]) -> list[str]:
    return table(
        [
            "MACs at most",
            "seconds",
            "predicted, %",
            "validation, %",
            "test, %",
            "best of random ones: validation, %",
            "test, %",
        ],
        [
            [
                row["budget"],
                f"{row['seconds']:.0f}",
                f"{100 * row['predicted']:.1f}",
                f"{100 * row['validation']:.1f}",
                f"{100 * row['test']:.1f}",
                f"{100 * max(row['random']):.1f} of {len(row['random'])}",
                f"{100 * row['random_test']:.1f}",
            ]
            for row in part["rows"]
        ],
    )


def _grown_lines(part: dict[str, Any]) -> list[str]:
    return table(
        ["grown to", "epochs", "minutes", "validation, %", "test, %"],
        [
            [
                row["budget"],
                str(row["epochs"]),
                f"{row['seconds'] / 60:.1f}",
                f"{100 * row['validation']:.1f}",
                f"{100 * row['test']:.1f}",
            ]
            for row in part["rows"]
        ],
    )


def _cost_lines(part: dict[str, Any]) -> list[str]:
    ours = {number: part["first"] + (number - 1) * part["each"] for number in TARGETS}
    rows = [
        [
            "once for all",
            *(f"{ours[number] / 60:.0f} min" for number in TARGETS),
            "",
            f"{100 * part['test']:.1f}",
        ]
    ]
    for name, way in part["ways"].items():
        one = way["search"] + way["train"]
        rows.append(
            [
                name,
                *(f"{number * one / 60:.0f} min ({number * one / ours[number]:.1f} x)" for number in TARGETS),
                PUBLISHED.get(name, ""),
                f"{100 * way['test']:.1f}",
            ]
        )
    names = [f"{number} {'target' if number == 1 else 'targets'}" for number in TARGETS]
    return table(["way", *names, "published for 40", f"test at {TARGET}, %"], rows)


if __name__ == "__main__":
    main()
