"""The predictor of accuracy and the searches by it, on accuracies that are made and so known exactly.

    python benchmarks/specializing.py [--seeds 3]

Once-for-All's MobileNetV3 space gets accuracies that saturate in MACs, rise with depth times width, and have chance
effects of options and pairs of options. Some networks are "measured", with noise; a predictor is fitted to them and
judged by others without noise: ours, and the paper's network of three layers of 400 units on the options, which is
trained here. Then the best network under limits of MACs is searched by the predictor, and compared with random ones and
with the truth. About 5 minutes on one core; seconds are of one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from common import Spread, machine, print_result, table
from torch import nn

from allometry.arch import Space
from allometry.catalog import find_space
from allometry.nas import ABSENT, Costs, Encodings, sample_encodings
from allometry.supernets import (
    THOROUGH,
    SpecializeConfig,
    encode_options,
    fit_predictor,
    kendall_tau,
    pareto,
    specialize,
)

Floats = npt.NDArray[np.float64]
MEASURED, NOISE, JUDGED = (300, 1000), 0.005, 1000
LIMITS = (100e6, 150e6, 200e6, 300e6)
PAPERS = SpecializeConfig(population=100, generations=500)


def made(space: Space, costs: Costs, seed: int) -> Callable[[Encodings], Floats]:
    """Accuracies of any encodings, as fractions: mean 0.78 and standard deviation 0.025 over random networks."""
    random = np.random.default_rng(seed)
    features = encode_options(space, sample_encodings(space, random, 1, by="choice")).shape[1]
    alone, one, other = random.normal(size=(3, features))
    depths = [place for place, choice in enumerate(space.choices) if choice.targets[0].what == "depth"]
    weights = random.uniform(0.3, 1, len(depths))

    def parts(encodings: Encodings) -> tuple[Floats, ...]:
        macs = np.log(costs(encodings)["macs"].astype(float)) - np.log(2e8)
        encoded = encode_options(space, encodings).astype(float)
        rank = np.where(encodings == ABSENT, 0, encodings) / np.array(
            [max(1, len(k.options) - 1) for k in space.choices]
        )
        filled = (encodings != ABSENT).mean(1) * rank.mean(1)
        deep = -np.exp(-1.5 * (rank[:, depths] + filled[:, None])) @ weights
        return -np.exp(-1.2 * macs), deep, encoded @ alone, (encoded @ one) * (encoded @ other)

    usual = parts(sample_encodings(space, np.random.default_rng(0), 4000, by="choice"))
    centers = [(term.mean(), term.std()) for term in usual]
    shares = (1.0, 0.6, 0.4, 0.3)

    def mixed(values: tuple[Floats, ...]) -> Floats:
        return sum(  # type: ignore[return-value]
            share * (term - mean) / spread
            for share, term, (mean, spread) in zip(shares, values, centers, strict=True)
        )

    spread = mixed(usual).std()
    return lambda encodings: 0.78 + 0.025 * mixed(parts(encodings)) / spread


def papers_network(
    space: Space, encodings: Encodings, accuracies: Floats, seed: int
) -> Callable[[Encodings], Floats]:
    """Three layers of 400 units on the options and the mean accuracy as a constant, trained to its end."""
    torch.manual_seed(seed)
    inputs = torch.from_numpy(encode_options(space, encodings))
    mean, spread = accuracies.mean(), accuracies.std()
    wanted = torch.from_numpy((accuracies - mean) / spread).float()
    sizes = [inputs.shape[1], 400, 400, 400]
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    network = nn.Sequential(*layers, nn.Linear(400, 1, bias=False))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-4)
    epochs = 200
    steps = epochs * -(-len(encodings) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(encodings)).split(64):
            optimizer.zero_grad()
            loss = (network(inputs[chosen])[:, 0] - wanted[chosen]).square().mean()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()

    def predicted(encodings: Encodings) -> Floats:
        with torch.no_grad():
            return (
                network(torch.from_numpy(encode_options(space, encodings)))[:, 0].double().numpy() * spread
                + mean
            )

    return predicted


def predictors(space: Space, costs: Costs, seeds: int) -> list[dict[str, Any]]:
    """Kendall's tau of both predictors on networks that they have not seen."""
    lines = []
    for number in MEASURED:
        taus: dict[str, list[float]] = {"ours": [], "paper's": []}
        for seed in range(seeds):
            truth, random = made(space, costs, seed), np.random.default_rng([seed, 1])
            encodings = sample_encodings(space, random, number + JUDGED, by="choice")
            fitted, judged = encodings[:number], encodings[number:]
            noisy = truth(fitted) + random.normal(0, NOISE, number)
            by_name = {
                "ours": fit_predictor(space, fitted, noisy, seed=seed),
                "paper's": papers_network(space, fitted, noisy, seed),
            }
            for name, predictor in by_name.items():
                taus[name].append(kendall_tau(predictor(judged), truth(judged)))
        lines.append({"measured": number, "taus": taus})
    return lines


def searches(space: Space, costs: Costs, seeds: int) -> list[dict[str, Any]]:
    """What each way of searching finds, as predicted and in truth, and how long it takes."""
    ways = {"default": SpecializeConfig(), "100 x 500": PAPERS, "thorough": THOROUGH}
    encodings: dict[str, dict[str, list[float]]] = {}
    for seed in range(seeds):
        truth, random = made(space, costs, seed), np.random.default_rng([seed, 1])
        fitted = sample_encodings(space, random, 500, by="choice")
        predictor = fit_predictor(space, fitted, truth(fitted) + random.normal(0, NOISE, 500), seed=seed)
        some = sample_encodings(space, random, 50_000, by="choice")
        macs = costs(some)["macs"]
        began = time.perf_counter()
        front = pareto(space, predictor, cost=lambda encodings: costs(encodings)["macs"], seed=seed)
        taken = (time.perf_counter() - began) / len(LIMITS)
        for limit in LIMITS:

            def allows(encodings: Encodings, limit: float = limit) -> npt.NDArray[np.bool_]:
                return costs(encodings)["macs"] <= limit

            best = specialize(space, truth, allows=allows, settings=THOROUGH, seed=seed).accuracies[0]
            within = front.costs <= limit
            results: dict[str, tuple[float, Encodings, int]] = {
                "the front, a fourth of it": (
                    taken,
                    front.encodings[within][-1:],
                    front.examined // len(LIMITS),
                ),
                "best predicted of 50,000 random": (
                    0.0,
                    some[macs <= limit][predictor(some[macs <= limit]).argmax()][None],
                    int((macs <= limit).sum()),
                ),
            }
            for name, settings in ways.items():
                began = time.perf_counter()
                result = specialize(space, predictor, allows=allows, settings=settings, seed=seed)
                results[name] = (time.perf_counter() - began, result.encodings[:1], result.examined)
            for name, (seconds, encoding, examined) in results.items():
                kept = encodings.setdefault(
                    name, {"seconds": [], "looked": [], "predicted": [], "behind": [], "optimism": []}
                )
                predicted, true = float(predictor(encoding)[0]), float(truth(encoding)[0])
                kept["seconds"].append(seconds)
                kept["looked"].append(examined)
                kept["predicted"].append(predicted)
                kept["behind"].append(100 * (best - true))
                kept["optimism"].append(100 * (predicted - true))
    return [{"way": name, **values} for name, values in encodings.items()]


def main() -> None:
    """Measure both, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="made accuracies")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    torch.set_num_threads(1)
    space = find_space("ofa-mobilenetv3-1.0")
    costs = Costs(space)
    million = sample_encodings(space, np.random.default_rng(0), 1_000_000, by="choice")
    truth = made(space, costs, 0)
    predictor = fit_predictor(space, million[:500], truth(million[:500]))
    began = time.perf_counter()
    predictor(million)
    result = {
        "benchmark": "specializing",
        "million": time.perf_counter() - began,
        "predictors": predictors(space, costs, args.seeds),
        "searches": searches(space, costs, args.seeds),
        "seeds": args.seeds,
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    judged = [
        [f"{row['measured']:,}", *(Spread.of(row["taus"][name]).show("{:.2f}") for name in row["taus"])]
        for row in result["predictors"]
    ]
    rows = [
        [
            row["way"],
            f"{Spread.of(row['looked']).median:,.0f}",
            f"{Spread.of(row['seconds']).median:.1f}" if row["seconds"][0] else "",
            Spread.of([100 * value for value in row["predicted"]]).show("{:.2f}"),
            Spread.of(row["behind"]).show("{:.1f}"),
            Spread.of(row["optimism"]).show("{:.1f}"),
        ]
        for row in result["searches"]
    ]
    return [
        "Kendall's tau on networks not seen:",
        "",
        *table(["measured networks", "ours", "the paper's network"], judged),
        "",
        f"A million networks are predicted in {result['million']:.1f} s. Searches by a predictor fitted to 500 "
        f"networks, within {', '.join(f'{limit / 1e6:.0f}M' for limit in LIMITS)} MACs:",
        "",
        *table(
            [
                "search",
                "networks looked at",
                "seconds",
                "predicted, %",
                "behind the best there is, points",
                "predicted too high by, points",
            ],
            rows,
        ),
        "",
        f"{result['seeds']} made accuracies; medians, least and most in brackets.",
    ]


if __name__ == "__main__":
    main()
