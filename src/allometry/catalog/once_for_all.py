"""The specialized networks that Once-for-All released: subnets of two spaces, one for each device and latency."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache, partial
from importlib.resources import files
from typing import Any

from allometry.arch import MOBILENET_V3_GATE, BatchNorm, Head, Network, Stage, Stem
from allometry.catalog.entry import Entry, Published
from allometry.catalog.rows import mbconv_stages

_SOURCE = "Once-for-All, README of the released code, {}"
_NOTES = {"ofa-note10-08": "75.8M MACs by count"}
# Channels by space and width: stem, then the stages from the fixed first block on.
_CHANNELS = {
    ("mobilenet_v3", 1.0): (16, 16, 24, 40, 80, 112, 160),
    ("mobilenet_v3", 1.2): (24, 24, 32, 48, 96, 136, 192),
    ("proxylessnas", 1.3): (40, 24, 32, 56, 104, 128, 248, 416),
}
_HEADS = {1.0: (960, 1280), 1.2: (1152, 1536)}
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_EXCITED = (2, 4, 5)  # of the stages, the fixed first block is number 0
_RELU = (0, 1, 2)


def entries() -> Iterator[Entry]:
    """In the order of the released README: by device."""
    for name, facts in _facts().items():
        yield Entry(
            name=name,
            family="once-for-all",
            make=partial(released, name),
            about=f"Once-for-All, {facts['id']}",
            published=Published(
                params=facts["params"],
                macs=facts["macs"] / 1000,
                top1=facts["top1"],
                source=_SOURCE.format(facts["id"]),
                note=_NOTES.get(name, ""),
            ),
        )


def released(name: str) -> Network:
    """The released network of that name; its blocks were decoded from the released configurations."""
    facts = _facts()[name]
    make = _mobilenet_v3 if facts["space"] == "mobilenet_v3" else _proxylessnas
    return make(name, facts)


def _mobilenet_v3(name: str, facts: dict[str, Any]) -> Network:
    stem, *channels = _CHANNELS["mobilenet_v3", facts["width"]]
    head, hidden = _HEADS[facts["width"]]
    stages: list[Stage] = []
    for number, (width, text) in enumerate(zip(channels, ["k3e1", *facts["stages"]], strict=True)):
        stages += mbconv_stages(
            width,
            _STRIDES[number],
            text,
            expand_multiple=8,
            se_ratio=0.25 if number in _EXCITED else 0,
            gate=MOBILENET_V3_GATE,
            activation="relu" if number in _RELU else "hard_swish",
        )
    return Network(
        name=name,
        stem=Stem(channels=stem, activation="hard_swish"),
        stages=tuple(stages),
        head=Head(channels=head, hidden=hidden, hidden_bias=False, activation="hard_swish", dropout=0.1),
        resolution=facts["resolution"],
        batch_norm=BatchNorm(epsilon=1e-5, momentum=0.1),
        stochastic_depth=0.0,
    )


def _proxylessnas(name: str, facts: dict[str, Any]) -> Network:
    stem, *channels = _CHANNELS["proxylessnas", facts["width"]]
    stages: list[Stage] = []
    for number, (width, text) in enumerate(zip(channels, ["k3e1", *facts["stages"]], strict=True)):
        stages += mbconv_stages(
            width, _STRIDES[number], text, expand_multiple=8, se_ratio=0, activation="relu6"
        )
    return Network(
        name=name,
        stem=Stem(channels=stem, activation="relu6"),
        stages=tuple(stages),
        head=Head(channels=1664, activation="relu6", dropout=0.1),
        resolution=facts["resolution"],
        batch_norm=BatchNorm(epsilon=1e-3, momentum=0.1),
        stochastic_depth=0.0,
    )


@cache
def _facts() -> dict[str, dict[str, Any]]:
    text = files("allometry.catalog").joinpath("once_for_all.json").read_text(encoding="utf-8")
    facts: dict[str, dict[str, Any]] = json.loads(text)
    return facts
