"""The tables of `once_for_all.py`: medians over seeds, with the least and the most in brackets."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common import Spread, table

TARGETS = (1, 5, 40)
# Once-for-All (Cai et al. 2020), abstract of the first version, in GPU hours.
PUBLISHED = {"ProxylessNAS": "14 x", "FBNet": "16 x", "MnasNet": "1,142 x"}


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result as Markdown."""
    parts = {name: list(seeds.values()) for name, seeds in result["parts"].items()}
    text = [result["setting"], "", *_train_lines(parts["train"], result), ""]
    for name, make in (
        ("alone", _alone_lines),
        ("predict", _predict_lines),
        ("budgets", _budget_lines),
        ("grown", _grown_lines),
        ("costs", _cost_lines),
    ):
        if name in parts:
            text += [*make(parts[name]), ""]
    return [*text, "Medians over seeds, least and most in brackets."]


def _percent(values: Iterable[float], pattern: str = "{:.1f}") -> str:
    return Spread.of([100 * value for value in values]).show(pattern)


def _train_lines(seeds: Sequence[Any], result: Mapping[str, Any]) -> list[str]:
    one = seeds[0]
    ends = [
        f"the {end} ({one[end]['macs'] / 1e6:.2f}M MACs) "
        f"{_percent(seed[end]['validation_accuracy'] for seed in seeds)}%"
        for end in ("largest", "smallest")
    ]
    return [
        f"Trained by the plan `{result['plan']}` for {result['epochs']} epochs in "
        f"{Spread.of([seed['seconds'] / 60 for seed in seeds]).show('{:.1f}')} minutes; {' and '.join(ends)} of the "
        f"validation images, {len(seeds)} {'seeds' if len(seeds) > 1 else 'seed'}."
    ]


def _alone_lines(seeds: Sequence[Any]) -> list[str]:
    inside, by_itself, ahead = [], [], []
    for rows in seeds:
        inside.append(statistics.fmean(row["supernet"] for row in rows))
        by_itself.append(statistics.fmean(row["alone"] for row in rows))
        ahead.append(inside[-1] - by_itself[-1])
    seconds = [row["seconds"] / 60 for rows in seeds for row in rows]
    return [
        f"{len(seeds[0])} random subnets have {_percent(inside)}% of the validation images right as they are in the "
        f"supernet, and {_percent(by_itself)}% where each is trained alone for as many epochs: the supernet's are "
        f"better by {_percent(ahead, '{:+.1f}')} points in the mean. To train one of them alone takes "
        f"{Spread.of(seconds).show('{:.1f}')} minutes."
    ]


def _predict_lines(seeds: Sequence[Any]) -> list[str]:
    one = seeds[0]

    def shown(name: str) -> str:
        return Spread.of([seed[name] for seed in seeds]).show("{:.2f}")

    rows = [
        ["fitted to losses on a half of the images, judged by the other half", shown("by_loss")],
        ["fitted to accuracies on a half, judged by the other half", shown("by_accuracy")],
        ["fitted to accuracies on a half, judged by the same half", shown("same_images")],
        ["one that knew how good subnets are, judged by a half (estimated)", shown("attainable")],
        ["what is told of the tau without the chance in the images", shown("true_tau")],
    ]
    return [
        f"The predictor is fitted to {one['fitted']} subnets and judged by {one['number']} others; their accuracies "
        f"have a standard deviation of {_percent((seed['spread'] for seed in seeds), '{:.2f}')} points, and it is off "
        f"by {_percent((seed['mean_absolute_error'] for seed in seeds), '{:.2f}')} points in the mean.",
        "",
        *table(["predictor", "Kendall's tau"], rows),
    ]


def _budget_lines(seeds: Sequence[Any]) -> list[str]:
    rows = [
        [
            same[0]["budget"],
            *(_percent(row[name] for row in same) for name in ("predicted", "validation", "test")),
            _percent(max(row["random"]) for row in same),
            _percent(row["random_test"] for row in same),
        ]
        for same in zip(*seeds, strict=True)
    ]
    number = len(seeds[0][0]["random"])
    return table(
        [
            "budget",
            "predicted, %",
            "validation, %",
            "test, %",
            f"best of up to {number} random ones: validation, %",
            "test, %",
        ],
        rows,
    )


def _grown_lines(seeds: Sequence[Any]) -> list[str]:
    rows = [
        [
            same[0]["budget"],
            Spread.of([row["seconds"] / 60 for row in same]).show("{:.1f}"),
            *(_percent(row[name] for row in same) for name in ("alone", "test")),
        ]
        for same in zip(*seeds, strict=True)
    ]
    return table(["grown by the paper's law to", "minutes", "validation, %", "test, %"], rows)


def _cost_lines(seeds: Sequence[Any]) -> list[str]:
    ours = {number: [seed["first"] + (number - 1) * seed["later"] for seed in seeds] for number in TARGETS}
    rows = [
        [
            "once for all",
            *(Spread.of([value / 60 for value in ours[number]]).show() for number in TARGETS),
            "",
            _percent(seed["test"] for seed in seeds),
        ]
    ]
    for name in seeds[0]["ways"]:
        own = [seed["ways"][name] for seed in seeds]
        rows.append(
            [
                name,
                *(
                    Spread.of([number * (way["search"] + way["train"]) / 60 for way in own]).show()
                    for number in TARGETS
                ),
                PUBLISHED.get(name, ""),
                _percent(way["test"] for way in own),
            ]
        )
    names = [f"{number} {'target' if number == 1 else 'targets'}, minutes" for number in TARGETS]
    return table(["way", *names, "published for 40, to once for all", "test, %"], rows)
