"""MobileNetV1, V2 and V3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from allometry.arch import (
    MOBILENET_V3_GATE,
    BatchNorm,
    Head,
    MBConv,
    Network,
    SeparableConv,
    Stage,
    Stem,
    apply_multipliers,
)
from allometry.catalog.entry import Entry, Growth, Published

_V1 = "MobileNets, arXiv:1704.04861, Table 8"
_V2 = "MobileNetV2, arXiv:1801.04381, Table 4"
_V3 = "MobileNetV3, arXiv:1905.02244, Table 3"
_V3_NOTE = "the paper counts a little more than convolutions and linear layers"


def entries() -> Iterator[Entry]:
    """The three generations, each from its baseline."""
    yield Entry(
        name="mobilenetv1",
        family="mobilenet",
        make=v1,
        about="MobileNetV1: separable convolutions",
        published=Published(params=4.2, macs=0.569, top1=70.6, source=_V1),
    )
    yield Entry(
        name="mobilenetv2",
        family="mobilenet",
        make=v2,
        about="MobileNetV2: inverted bottlenecks",
        published=Published(
            params=3.4, macs=0.3, top1=72.0, source=_V2, note="3.50M by count and in the released code"
        ),
    )
    yield Entry(
        name="mobilenetv2-1.4",
        family="mobilenet",
        make=v2_wide,
        about="MobileNetV2 with 1.4 times the channels",
        growth=Growth(baseline="mobilenetv2", depth=1.0, width=1.4, phi=None),
        published=Published(
            params=6.9, macs=0.585, top1=74.7, source=_V2, note="6.11M by count: the released definition"
        ),
    )
    yield from _v3_entries()


def _v3_entries() -> Iterator[Entry]:
    yield Entry(
        name="mobilenetv3-large",
        family="mobilenet",
        make=v3_large,
        about="MobileNetV3-Large: searched, with hard swish",
        published=Published(params=5.4, macs=0.219, top1=75.2, source=_V3, note=_V3_NOTE),
    )
    yield Entry(
        name="mobilenetv3-large-0.75",
        family="mobilenet",
        make=partial(v3_large, 0.75),
        about="MobileNetV3-Large with three quarters of the channels",
        growth=Growth(baseline="mobilenetv3-large", depth=1.0, width=0.75, phi=None),
        published=Published(params=4.0, macs=0.155, top1=73.3, source=_V3),
    )
    yield Entry(
        name="mobilenetv3-small",
        family="mobilenet",
        make=v3_small,
        about="MobileNetV3-Small: searched, with hard swish",
        published=Published(
            params=2.9,
            macs=0.066,
            top1=67.4,
            source=f"{_V3} (first version)",
            note="a later version has 2.5M and 56M MACs, as we count",
        ),
    )


def v1() -> Network:
    """MobileNetV1 (paper, Table 1)."""
    rows = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 2, 6), (1024, 2, 2))
    return Network(
        name="mobilenetv1",
        stem=Stem(channels=32, activation="relu6"),
        stages=tuple(
            Stage(block=SeparableConv(channels=channels, stride=stride, activation="relu6"), repeats=repeats)
            for channels, stride, repeats in rows
        ),
        head=Head(channels=None, dropout=0.001),
        stochastic_depth=0.0,
    )


def v2() -> Network:
    """MobileNetV2 (paper, Table 2)."""
    rows = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    return Network(
        name="mobilenetv2",
        stem=Stem(channels=32, activation="relu6"),
        stages=tuple(
            Stage(
                block=MBConv(
                    channels=channels, stride=stride, expand_ratio=expand, se_ratio=0, activation="relu6"
                ),
                repeats=repeats,
            )
            for expand, channels, repeats, stride in rows
        ),
        head=Head(channels=1280, activation="relu6", dropout=0.2),
        batch_norm=BatchNorm(epsilon=1e-5, momentum=0.1),
        stochastic_depth=0.0,
    )


def v2_wide() -> Network:
    """MobileNetV2 with 1.4 times the channels."""
    return apply_multipliers(v2(), width=1.4, name="mobilenetv2-1.4")


# Kernel, expanded channels at width 1, channels, squeeze-excite, activation, stride. Source: paper, Tables 1 and 2.
_Row = tuple[int, int, int, bool, str, int]
_LARGE: tuple[tuple[_Row, ...], ...] = (
    ((3, 16, 16, False, "relu", 1),),
    ((3, 64, 24, False, "relu", 2), (3, 72, 24, False, "relu", 1)),
    ((5, 72, 40, True, "relu", 2), (5, 120, 40, True, "relu", 1), (5, 120, 40, True, "relu", 1)),
    (
        (3, 240, 80, False, "hard_swish", 2),
        (3, 200, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1),
    ),
    ((3, 480, 112, True, "hard_swish", 1), (3, 672, 112, True, "hard_swish", 1)),
    (
        (5, 672, 160, True, "hard_swish", 2),
        (5, 960, 160, True, "hard_swish", 1),
        (5, 960, 160, True, "hard_swish", 1),
    ),
)
_SMALL: tuple[tuple[_Row, ...], ...] = (
    ((3, 16, 16, True, "relu", 2),),
    ((3, 72, 24, False, "relu", 2), (3, 88, 24, False, "relu", 1)),
    (
        (5, 96, 40, True, "hard_swish", 2),
        (5, 240, 40, True, "hard_swish", 1),
        (5, 240, 40, True, "hard_swish", 1),
    ),
    ((5, 120, 48, True, "hard_swish", 1), (5, 144, 48, True, "hard_swish", 1)),
    (
        (5, 288, 96, True, "hard_swish", 2),
        (5, 576, 96, True, "hard_swish", 1),
        (5, 576, 96, True, "hard_swish", 1),
    ),
)


def v3_large(width: float = 1.0) -> Network:
    """MobileNetV3-Large (paper, Table 1); the hidden layer keeps its 1280 channels at every width."""
    network = _v3("mobilenetv3-large", _LARGE, head=960, hidden=1280)
    if width == 1:
        return network
    narrow = apply_multipliers(network, width=width, name=f"mobilenetv3-large-{width:g}")
    return replace(narrow, head=replace(narrow.head, hidden=network.head.hidden))


def v3_small() -> Network:
    """MobileNetV3-Small (paper, Table 2)."""
    return _v3("mobilenetv3-small", _SMALL, head=576, hidden=1024)


def _v3(name: str, table: tuple[tuple[_Row, ...], ...], *, head: int, hidden: int) -> Network:
    stages: list[Stage] = []
    in_channels = 16
    for rows in table:
        for place, row in enumerate(rows):
            block = _v3_block(in_channels, row)
            if place and stages[-1].block == block:
                stages[-1] = replace(stages[-1], repeats=stages[-1].repeats + 1)
            else:
                stages.append(Stage(block=block, continues=place > 0))
            in_channels = row[2]
    return Network(
        name=name,
        stem=Stem(channels=16, activation="hard_swish"),
        stages=tuple(stages),
        head=Head(channels=head, hidden=hidden, activation="hard_swish", dropout=0.2),
        batch_norm=BatchNorm(epsilon=1e-3, momentum=0.01),
        stochastic_depth=0.0,
    )


def _v3_block(in_channels: int, row: _Row) -> MBConv:
    kernel, expanded, channels, excites, activation, stride = row
    settings: dict[str, Any] = {"activation": activation}
    return MBConv(
        channels=channels,
        kernel=kernel,
        stride=stride,
        expand_ratio=expanded / in_channels,
        expand_multiple=8,
        se_ratio=0.25 if excites else 0,
        gate=MOBILENET_V3_GATE,
        **settings,
    )
