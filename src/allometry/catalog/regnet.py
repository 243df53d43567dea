"""RegNetX and RegNetY: widths that follow a quantized line. The reference for scaling to fast networks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import NamedTuple

from allometry.arch import BatchNorm, Bottleneck, Head, Network, Stage, Stem
from allometry.catalog.entry import Entry, Published

_PAPER = "RegNet, arXiv:2003.13678, {}; figures of the authors' model zoo"


class Line(NamedTuple):
    """The line of a RegNet: block i is about `start + slope * i` wide, quantized to powers of `step`."""

    start: int
    slope: float
    step: float
    group_width: int
    depth: int


# Source: the paper's Appendix D and the authors' model zoo; the name is the regime of MACs.
_X = {
    "200mf": Line(24, 36.44, 2.49, 8, 13),
    "400mf": Line(24, 24.48, 2.54, 16, 22),
    "600mf": Line(48, 36.97, 2.24, 24, 16),
    "800mf": Line(56, 35.73, 2.28, 16, 16),
    "1.6gf": Line(80, 34.01, 2.25, 24, 18),
    "3.2gf": Line(88, 26.31, 2.25, 48, 25),
    "4.0gf": Line(96, 38.65, 2.43, 40, 23),
    "6.4gf": Line(184, 60.83, 2.07, 56, 17),
    "8.0gf": Line(80, 49.56, 2.88, 120, 23),
    "12gf": Line(168, 73.36, 2.37, 112, 19),
    "16gf": Line(216, 55.59, 2.1, 128, 22),
    "32gf": Line(320, 69.86, 2.0, 168, 23),
}
_Y = {
    "200mf": Line(24, 36.44, 2.49, 8, 13),
    "400mf": Line(48, 27.89, 2.09, 8, 16),
    "600mf": Line(48, 32.54, 2.32, 16, 15),
    "800mf": Line(56, 38.84, 2.4, 16, 14),
    "1.6gf": Line(48, 20.71, 2.65, 24, 27),
    "3.2gf": Line(80, 42.63, 2.66, 24, 21),
    "4.0gf": Line(96, 31.41, 2.24, 64, 22),
    "6.4gf": Line(112, 33.22, 2.27, 72, 25),
    "8.0gf": Line(192, 76.82, 2.19, 56, 17),
    "12gf": Line(168, 73.36, 2.37, 112, 19),
    "16gf": Line(200, 106.23, 2.48, 112, 18),
    "32gf": Line(232, 115.89, 2.53, 232, 20),
}
# Regime: MACs in billions, params in millions, top-1 error in percent.
_X_PRINTED = {
    "200mf": (0.2, 2.7, 31.1),
    "400mf": (0.4, 5.2, 27.3),
    "600mf": (0.6, 6.2, 25.9),
    "800mf": (0.8, 7.3, 24.8),
    "1.6gf": (1.6, 9.2, 23.0),
    "3.2gf": (3.2, 15.3, 21.7),
    "4.0gf": (4.0, 22.1, 21.4),
    "6.4gf": (6.5, 26.2, 20.8),
    "8.0gf": (8.0, 39.6, 20.7),
    "12gf": (12.1, 46.1, 20.3),
    "16gf": (15.9, 54.3, 20.0),
    "32gf": (31.7, 107.8, 19.5),
}
_Y_PRINTED = {
    "200mf": (0.2, 3.2, 29.6),
    "400mf": (0.4, 4.3, 25.9),
    "600mf": (0.6, 6.1, 24.5),
    "800mf": (0.8, 6.3, 23.7),
    "1.6gf": (1.6, 11.2, 22.0),
    "3.2gf": (3.2, 19.4, 21.0),
    "4.0gf": (4.0, 20.6, 20.6),
    "6.4gf": (6.4, 30.6, 20.1),
    "8.0gf": (8.0, 39.2, 20.1),
    "12gf": (12.1, 51.8, 19.7),
    "16gf": (15.9, 83.6, 19.6),
    "32gf": (32.3, 145.0, 19.0),
}


def entries() -> Iterator[Entry]:
    """X without squeeze-excite, then Y with it, small before large."""
    for letter, lines, printed in (("x", _X, _X_PRINTED), ("y", _Y, _Y_PRINTED)):
        for regime, (macs, params, error) in printed.items():
            name = f"regnet{letter}-{regime}"
            yield Entry(
                name=name,
                family="regnet",
                make=partial(regnet, lines[regime], se_ratio=0.25 if letter == "y" else 0.0, name=name),
                about=f"RegNet{letter.upper()} of {regime.upper()}",
                published=Published(
                    params=params,
                    macs=macs,
                    top1=round(100 - error, 1),
                    source=_PAPER.format("Tables 3 and 4"),
                ),
            )


def regnet(line: Line, *, se_ratio: float = 0.0, name: str = "") -> Network:
    """The RegNet of a line: a stage for each width that the line is quantized to.

    Source: RegNet (Radosavovic et al. 2020), section 3.3, equations 2 to 4.

    Example:
        >>> network = regnet(Line(24, 36.44, 2.49, 8, 13))
        >>> [(stage.repeats, stage.block.channels) for stage in network.stages]
        [(1, 24), (1, 56), (4, 152), (7, 368)]
    """
    stages = tuple(
        Stage(
            block=Bottleneck(
                channels=width,
                stride=2,
                ratio=1.0,
                group_width=min(width, line.group_width),
                se_ratio=se_ratio,
            ),
            repeats=len(list(blocks)),
        )
        for width, blocks in groupby(_widths(line))
    )
    return Network(
        name=name,
        stem=Stem(channels=32, activation="relu"),
        stages=stages,
        head=Head(channels=None, dropout=0.0),
        batch_norm=BatchNorm(epsilon=1e-5, momentum=0.1),
        stochastic_depth=0.0,
    )


def _widths(line: Line) -> list[int]:
    """The width of every block: quantized, rounded to eight, then to whole groups."""
    widths = []
    for block in range(line.depth):
        power = round(math.log((line.start + line.slope * block) / line.start) / math.log(line.step))
        width = round(line.start * line.step**power / 8) * 8
        group = min(width, line.group_width)
        widths.append(round(width / group) * group)
    return widths
