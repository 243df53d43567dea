"""MnasNet-A1, B1 and the small one; A1 at other widths."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from allometry.arch import Head, MBConv, Network, Stage, Stem, apply_multipliers
from allometry.catalog.entry import Entry, Growth, Published

_PAPER = "MnasNet, arXiv:1807.11626, Table 1"
_README = "MnasNet, README of the released code"
_UNTRACED = "the row is from memory, our count agrees with it"
# Layers, expand ratio, kernel, stride, channels, squeeze-excite. Source: paper, Figure 7 for A1, and the released
# code's `mnasnet_models.py` for all.
_Row = tuple[int, int, int, int, int, bool]
_A1: tuple[_Row, ...] = (
    (1, 1, 3, 1, 16, False),
    (2, 6, 3, 2, 24, False),
    (3, 3, 5, 2, 40, True),
    (4, 6, 3, 2, 80, False),
    (2, 6, 3, 1, 112, True),
    (3, 6, 5, 2, 160, True),
    (1, 6, 3, 1, 320, False),
)
_B1: tuple[_Row, ...] = (
    (1, 1, 3, 1, 16, False),
    (3, 3, 3, 2, 24, False),
    (3, 3, 5, 2, 40, False),
    (3, 6, 5, 2, 80, False),
    (2, 6, 3, 1, 96, False),
    (4, 6, 5, 2, 192, False),
    (1, 6, 3, 1, 320, False),
)
_SMALL: tuple[_Row, ...] = (
    (1, 1, 3, 1, 8, False),
    (1, 3, 3, 2, 16, False),
    (2, 6, 3, 2, 16, False),
    (4, 6, 5, 2, 32, True),
    (3, 6, 3, 1, 32, True),
    (3, 6, 5, 2, 88, True),
    (1, 6, 3, 1, 144, False),
)
_WIDTHS = {
    0.35: (1.7, 0.0632, 64.1),
    0.5: (2.1, 0.1052, 68.9),
    0.75: (2.9, 0.2267, 73.3),
    1.4: (6.1, 0.5915, 77.2),
}


def entries() -> Iterator[Entry]:
    """A1, its widths, B1, small."""
    yield Entry(
        name="mnasnet-a1",
        family="mnasnet",
        make=a1,
        about="MnasNet-A1: searched for the latency of a phone, with squeeze-excite",
        published=Published(params=3.9, macs=0.312, top1=75.2, source=_PAPER),
    )
    for width, (params, macs, top1) in _WIDTHS.items():
        yield Entry(
            name=f"mnasnet-a1-{width:g}",
            family="mnasnet",
            make=partial(a1, width),
            about=f"MnasNet-A1 with {width:g} times the channels",
            growth=Growth(baseline="mnasnet-a1", depth=1.0, width=width, phi=None),
            published=Published(
                params=params,
                macs=macs,
                top1=top1,
                source=_README,
                note="the README counts a little more MACs",
            ),
        )
    yield Entry(
        name="mnasnet-b1",
        family="mnasnet",
        make=partial(_network, "mnasnet-b1", _B1),
        about="MnasNet-B1: searched for the latency of a phone, without squeeze-excite",
        published=Published(params=4.4, macs=0.315, top1=74.5, source=_PAPER, note=_UNTRACED),
    )
    yield Entry(
        name="mnasnet-small",
        family="mnasnet",
        make=partial(_network, "mnasnet-small", _SMALL, stem=8, dropout=0.0),
        about="MnasNet-small: searched for 22 ms on a phone",
        published=Published(params=2.0, macs=0.068, top1=66.0, source=_README),
    )


def a1(width: float = 1.0) -> Network:
    """MnasNet-A1; the width multiplies all channels but the head's, which is fixed."""
    network = _network("mnasnet-a1", _A1)
    return network if width == 1 else apply_multipliers(network, width=width, name=f"mnasnet-a1-{width:g}")


def _network(name: str, rows: tuple[_Row, ...], *, stem: int = 32, dropout: float = 0.2) -> Network:
    return Network(
        name=name,
        stem=Stem(channels=stem, activation="relu"),
        stages=tuple(
            Stage(
                block=MBConv(
                    channels=channels,
                    kernel=kernel,
                    stride=stride,
                    expand_ratio=expand,
                    se_ratio=0.25 if excites else 0,
                    activation="relu",
                ),
                repeats=repeats,
            )
            for repeats, expand, kernel, stride, channels, excites in rows
        ),
        head=Head(channels=1280, activation="relu", dropout=dropout, fixed=True),
        stochastic_depth=0.0,
    )
