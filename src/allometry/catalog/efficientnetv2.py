"""EfficientNetV2-S, M, L, XL, each its own table, and B0 to B3, grown from one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from allometry.arch import FusedMBConv, Head, MBConv, Network, Stage, Stem, apply_multipliers
from allometry.catalog.efficientnet import Coefficients
from allometry.catalog.entry import Entry, Growth, Published

# Fused or not, expand ratio, stride, channels, layers. Source: EfficientNetV2, final text, Table 4 for S, and the
# released code's `effnetv2_configs.py` for all.
_Row = tuple[str, int, int, int, int]
_TABLES: dict[str, tuple[_Row, ...]] = {
    "s": (
        ("fused", 1, 1, 24, 2),
        ("fused", 4, 2, 48, 4),
        ("fused", 4, 2, 64, 4),
        ("mbconv", 4, 2, 128, 6),
        ("mbconv", 6, 1, 160, 9),
        ("mbconv", 6, 2, 256, 15),
    ),
    "m": (
        ("fused", 1, 1, 24, 3),
        ("fused", 4, 2, 48, 5),
        ("fused", 4, 2, 80, 5),
        ("mbconv", 4, 2, 160, 7),
        ("mbconv", 6, 1, 176, 14),
        ("mbconv", 6, 2, 304, 18),
        ("mbconv", 6, 1, 512, 5),
    ),
    "l": (
        ("fused", 1, 1, 32, 4),
        ("fused", 4, 2, 64, 7),
        ("fused", 4, 2, 96, 7),
        ("mbconv", 4, 2, 192, 10),
        ("mbconv", 6, 1, 224, 19),
        ("mbconv", 6, 2, 384, 25),
        ("mbconv", 6, 1, 640, 7),
    ),
    "xl": (
        ("fused", 1, 1, 32, 4),
        ("fused", 4, 2, 64, 8),
        ("fused", 4, 2, 96, 8),
        ("mbconv", 4, 2, 192, 16),
        ("mbconv", 6, 1, 256, 24),
        ("mbconv", 6, 2, 512, 32),
        ("mbconv", 6, 1, 640, 8),
    ),
    "b0": (
        ("fused", 1, 1, 16, 1),
        ("fused", 4, 2, 32, 2),
        ("fused", 4, 2, 48, 2),
        ("mbconv", 4, 2, 96, 3),
        ("mbconv", 6, 1, 112, 5),
        ("mbconv", 6, 2, 192, 8),
    ),
}
_STEMS = {"s": 24, "m": 24, "l": 32, "xl": 32, "b0": 32}
# Sides of the images that the figures were measured at, and dropout.
_SETTINGS = {"s": (384, 0.2), "m": (480, 0.3), "l": (480, 0.4), "xl": (512, 0.4), "b0": (224, 0.2)}
RELEASED = {
    "b0": Coefficients(1.0, 1.0, 224, 0.2),
    "b1": Coefficients(1.0, 1.1, 240, 0.2),
    "b2": Coefficients(1.1, 1.2, 260, 0.3),
    "b3": Coefficients(1.2, 1.4, 300, 0.3),
}
_TABLE_7 = "EfficientNetV2, arXiv:2104.00298, Table 7"
_README = "EfficientNetV2, README of the released code"
_PUBLISHED = {
    "s": Published(
        params=22,
        macs=8.8,
        top1=83.9,
        source=_TABLE_7,
        note="the released code's README has 8.4B, as we count",
    ),
    "m": Published(
        params=54, macs=24, top1=85.1, source=_TABLE_7, note="the released code's README has 24.7B"
    ),
    "l": Published(
        params=120,
        macs=53,
        top1=85.7,
        source=_TABLE_7,
        note="the released code's README has 119.5M and 56.3B",
    ),
    "xl": Published(params=208, macs=94, top1=87.3, source=f"{_TABLE_7}, ImageNet-21k first"),
    "b0": Published(params=7.1, macs=0.72, top1=78.7, source=_README),
    "b1": Published(params=8.1, macs=1.2, top1=79.8, source=_README),
    "b2": Published(params=10.1, macs=1.7, top1=80.5, source=_README),
    "b3": Published(params=14.4, macs=3.0, top1=82.1, source=_README),
}


def entries() -> Iterator[Entry]:
    """B0 to B3, then S to XL."""
    for variant, coefficients in RELEASED.items():
        yield Entry(
            name=f"efficientnetv2-{variant}",
            family="efficientnetv2",
            make=partial(grown, variant),
            about=f"EfficientNetV2-{variant.upper()} as released, trained at smaller images",
            growth=Growth(
                baseline="efficientnetv2-b0",
                depth=coefficients.depth,
                width=coefficients.width,
                phi=0.0 if variant == "b0" else None,
            ),
            published=_PUBLISHED[variant],
        )
    for variant in ("s", "m", "l", "xl"):
        yield Entry(
            name=f"efficientnetv2-{variant}",
            family="efficientnetv2",
            make=partial(table, variant),
            about=f"EfficientNetV2-{variant.upper()} as released, trained at smaller images",
            published=_PUBLISHED[variant],
        )


def table(variant: str) -> Network:
    """The network of one table."""
    resolution, dropout = _SETTINGS[variant]
    return Network(
        name=f"efficientnetv2-{variant}",
        stem=Stem(channels=_STEMS[variant]),
        stages=tuple(_stage(*row) for row in _TABLES[variant]),
        head=Head(dropout=dropout),
        resolution=resolution,
    )


def grown(variant: str) -> Network:
    """B0 to B3; this code rounds channels to the nearest eight, also where that takes more than a tenth away."""
    coefficients = RELEASED[variant]
    network = apply_multipliers(
        table("b0"),
        depth=coefficients.depth,
        width=coefficients.width,
        min_fraction=0,
        name=f"efficientnetv2-{variant}",
    )
    return replace(
        network,
        resolution=coefficients.resolution,
        head=replace(network.head, dropout=coefficients.dropout),
    )


def _stage(kind: str, expand_ratio: int, stride: int, channels: int, repeats: int) -> Stage:
    if kind == "fused":
        fused = FusedMBConv(channels=channels, stride=stride, expand_ratio=expand_ratio)
        return Stage(block=fused, repeats=repeats)
    return Stage(block=MBConv(channels=channels, stride=stride, expand_ratio=expand_ratio), repeats=repeats)
