"""EfficientNet-B0 to B8 and L2 as released, and B0 to B7 by the paper's formula."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from allometry.arch import Head, MBConv, Network, Stage, Stem, apply_multipliers
from allometry.catalog.entry import Entry, Growth, Published

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What one released EfficientNet multiplies B0 by; they are not alpha, beta and gamma to the power of phi."""

    width: float
    depth: float
    resolution: int
    dropout: float


# Source: released EfficientNet code, `efficientnet_builder.py`.
RELEASED = {
    "b0": Coefficients(1.0, 1.0, 224, 0.2),
    "b1": Coefficients(1.0, 1.1, 240, 0.2),
    "b2": Coefficients(1.1, 1.2, 260, 0.3),
    "b3": Coefficients(1.2, 1.4, 300, 0.3),
    "b4": Coefficients(1.4, 1.8, 380, 0.4),
    "b5": Coefficients(1.6, 2.2, 456, 0.4),
    "b6": Coefficients(1.8, 2.6, 528, 0.5),
    "b7": Coefficients(2.0, 3.1, 600, 0.5),
    "b8": Coefficients(2.2, 3.6, 672, 0.5),
    "l2": Coefficients(4.3, 5.3, 800, 0.5),
}
_TABLE_2 = "EfficientNet, arXiv:1905.11946v5, Table 2"
_LOW_MACS = "the paper's MACs are about 4 % below the count of the released definition"
_PUBLISHED = {
    "b0": Published(params=5.3, macs=0.39, top1=77.1, source=_TABLE_2),
    "b1": Published(params=7.8, macs=0.70, top1=79.1, source=_TABLE_2),
    "b2": Published(params=9.2, macs=1.0, top1=80.1, source=_TABLE_2, note="9.11M by count"),
    "b3": Published(params=12, macs=1.8, top1=81.6, source=_TABLE_2),
    "b4": Published(params=19, macs=4.2, top1=82.9, source=_TABLE_2, note=_LOW_MACS),
    "b5": Published(params=30, macs=9.9, top1=83.6, source=_TABLE_2, note=_LOW_MACS),
    "b6": Published(params=43, macs=19, top1=84.0, source=_TABLE_2),
    "b7": Published(params=66, macs=37, top1=84.3, source=_TABLE_2, note="37.7B by count"),
    "b8": Published(params=None, macs=None, top1=85.5, source="released checkpoint with AdvProp"),
    "l2": Published(params=480, macs=None, top1=88.4, source="released checkpoint, Noisy Student"),
}


def entries() -> Iterator[Entry]:
    """The released family, then the formula's."""
    for variant, coefficients in RELEASED.items():
        yield Entry(
            name=f"efficientnet-{variant}",
            family="efficientnet",
            make=partial(released, variant),
            about=f"EfficientNet-{variant.upper()} as released",
            growth=Growth(
                baseline="efficientnet-b0",
                depth=coefficients.depth,
                width=coefficients.width,
                phi=0.0 if variant == "b0" else None,
            ),
            published=_PUBLISHED[variant],
        )
    for phi in range(8):
        yield Entry(
            name=f"efficientnet-b{phi}-formula",
            family="efficientnet-formula",
            make=partial(formula, phi),
            about=f"EfficientNet-B0 grown by the paper's formula with phi = {phi}",
            growth=Growth(baseline="efficientnet-b0", depth=ALPHA**phi, width=BETA**phi, phi=phi),
        )


def baseline() -> Network:
    """EfficientNet-B0, the network that the family grows from (paper, Table 1)."""
    return Network(
        name="efficientnet-b0",
        stem=Stem(channels=32),
        stages=(
            Stage(block=MBConv(channels=16, kernel=3, stride=1, expand_ratio=1), repeats=1),
            Stage(block=MBConv(channels=24, kernel=3, stride=2), repeats=2),
            Stage(block=MBConv(channels=40, kernel=5, stride=2), repeats=2),
            Stage(block=MBConv(channels=80, kernel=3, stride=2), repeats=3),
            Stage(block=MBConv(channels=112, kernel=5, stride=1), repeats=3),
            Stage(block=MBConv(channels=192, kernel=5, stride=2), repeats=4),
            Stage(block=MBConv(channels=320, kernel=3, stride=1), repeats=1),
        ),
        head=Head(channels=1280),
        resolution=224,
    )


def released(variant: str) -> Network:
    """The EfficientNet of that name with the coefficients of the released models."""
    coefficients = RELEASED[variant]
    network = apply_multipliers(
        baseline(), depth=coefficients.depth, width=coefficients.width, name=f"efficientnet-{variant}"
    )
    return replace(
        network,
        resolution=coefficients.resolution,
        head=replace(network.head, dropout=coefficients.dropout),
    )


def formula(phi: int) -> Network:
    """B0 grown by d = 1.2^phi, w = 1.1^phi, r = 1.15^phi (paper, equation 3)."""
    return apply_multipliers(
        baseline(),
        depth=ALPHA**phi,
        width=BETA**phi,
        resolution=GAMMA**phi,
        name=f"efficientnet-b{phi}-formula",
    )
