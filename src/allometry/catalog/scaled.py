"""The networks of the EfficientNet paper's Tables 3 and 7: known baselines, grown along one dimension or all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from allometry.arch import Network, apply_multipliers
from allometry.catalog import efficientnet, mobilenet, resnet
from allometry.catalog.entry import Entry, Growth, Published

_TABLE = "EfficientNet, arXiv:1905.11946v5, Table {}"
_BASELINES: dict[str, Callable[[], Network]] = {
    "mobilenetv1": mobilenet.v1,
    "mobilenetv2": mobilenet.v2,
    "resnet-50": partial(resnet.resnet, 50),
    "efficientnet-b0": efficientnet.baseline,
}
_SWAPPED = "the paper's MACs of ResNet-50 by depth and by width look exchanged"
_NOT_PRINTED = "the paper does not print these coefficients; MobileNetV1's are taken"
_MORE = "the paper's MACs are {} % above those of the released B0 grown so"
# Baseline, table, way, depth, width, resolution, the MACs in billions and top-1 that are printed, and why ours differ.
_ROWS: tuple[tuple[str, int, str, float, float, float, float, float, str], ...] = (
    ("mobilenetv1", 3, "width", 1, 2, 1, 2.2, 74.2, ""),
    ("mobilenetv1", 3, "resolution", 1, 1, 2, 2.2, 72.7, ""),
    (
        "mobilenetv1",
        3,
        "compound",
        1.4,
        1.2,
        1.3,
        2.3,
        75.6,
        "2.47B at the 291 px of r = 1.3, 2.24B at 288 px",
    ),
    ("mobilenetv2", 3, "depth", 4, 1, 1, 1.2, 76.8, ""),
    ("mobilenetv2", 3, "width", 1, 2, 1, 1.1, 76.4, ""),
    ("mobilenetv2", 3, "resolution", 1, 1, 2, 1.2, 74.8, ""),
    ("mobilenetv2", 3, "compound", 1.4, 1.2, 1.3, 1.3, 77.4, _NOT_PRINTED),
    ("resnet-50", 3, "depth", 4, 1, 1, 16.2, 78.1, _SWAPPED),
    ("resnet-50", 3, "width", 1, 2, 1, 14.7, 77.7, _SWAPPED),
    ("resnet-50", 3, "resolution", 1, 1, 2, 16.4, 77.5, ""),
    ("resnet-50", 3, "compound", 1.4, 1.2, 1.3, 16.7, 78.8, _NOT_PRINTED),
    ("efficientnet-b0", 7, "depth", 4, 1, 1, 1.8, 79.0, _MORE.format(14)),
    ("efficientnet-b0", 7, "width", 1, 2, 1, 1.8, 78.9, _MORE.format(24)),
    ("efficientnet-b0", 7, "resolution", 1, 1, 2, 1.9, 79.1, _MORE.format(24)),
    ("efficientnet-b0", 7, "compound", 1.4, 1.2, 1.3, 1.8, 81.1, ""),
)


def entries() -> Iterator[Entry]:
    """In the order of the tables."""
    for baseline, table, way, depth, width, resolution, macs, top1, note in _ROWS:
        name = f"{baseline}-{way}"
        yield Entry(
            name=name,
            family="scaled",
            make=partial(scaled, baseline, name, depth, width, resolution),
            about=f"{baseline} with {depth:g}x the layers, {width:g}x the channels, {resolution:g}x the pixels a side",
            growth=Growth(baseline=baseline, depth=depth, width=width, resolution=resolution, phi=None),
            published=Published(params=None, macs=macs, top1=top1, source=_TABLE.format(table), note=note),
        )


def scaled(baseline: str, name: str, depth: float, width: float, resolution: float) -> Network:
    """A baseline grown by these multipliers."""
    return apply_multipliers(
        _BASELINES[baseline](), depth=depth, width=width, resolution=resolution, name=name
    )
