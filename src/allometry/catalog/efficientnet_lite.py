"""EfficientNet-Lite0 to Lite4: the Lite transform of B0, grown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from allometry.arch import Network, apply_multipliers, lite
from allometry.catalog import efficientnet
from allometry.catalog.efficientnet import Coefficients
from allometry.catalog.entry import Entry, Growth, Published

_SOURCE = "EfficientNet-Lite, README of the released code"
_NOTE = "the README's MACs are 3 to 6 % above our count of convolutions and linear layers"
# Source: released code, `efficientnet_lite_builder.py`.
RELEASED = (
    Coefficients(1.0, 1.0, 224, 0.2),
    Coefficients(1.0, 1.1, 240, 0.2),
    Coefficients(1.1, 1.2, 260, 0.3),
    Coefficients(1.2, 1.4, 280, 0.3),
    Coefficients(1.4, 1.8, 300, 0.3),
)
_PRINTED = ((4.7, 0.407, 75.1), (5.4, 0.631, 76.7), (6.1, 0.899, 77.6), (8.2, 1.44, 79.8), (13.0, 2.64, 81.5))


def entries() -> Iterator[Entry]:
    """Lite0 to Lite4."""
    for number, (params, macs, top1) in enumerate(_PRINTED):
        coefficients = RELEASED[number]
        yield Entry(
            name=f"efficientnet-lite{number}",
            family="efficientnet-lite",
            make=partial(released, number),
            about=f"EfficientNet-Lite{number}: no squeeze-excite, ReLU6, stem and head fixed",
            growth=Growth(
                baseline="efficientnet-lite0",
                depth=coefficients.depth,
                width=coefficients.width,
                phi=0.0 if number == 0 else None,
            ),
            published=Published(params=params, macs=macs, top1=top1, source=_SOURCE, note=_NOTE),
        )


def released(number: int) -> Network:
    """EfficientNet-Lite`number` with the coefficients of the released models."""
    coefficients = RELEASED[number]
    network = apply_multipliers(
        lite(efficientnet.baseline()),
        depth=coefficients.depth,
        width=coefficients.width,
        name=f"efficientnet-lite{number}",
    )
    return replace(
        network,
        resolution=coefficients.resolution,
        head=replace(network.head, dropout=coefficients.dropout),
    )
