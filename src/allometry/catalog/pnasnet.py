"""PNASNet-5, large."""

from __future__ import annotations

from collections.abc import Iterator

from allometry.arch import Network
from allometry.catalog.entry import Entry, Published
from allometry.catalog.genotypes import Genotype, Genotypes, grow

# Source: Liu et al. 2018, arXiv:1712.00559, figure 1; the order is that of the released code, `pnasnet.py`. One
# cell does both: where it reduces, it has a stride.
_CELL = Genotype(
    steps=(
        (("separable 5x5", 1), ("max 3x3", 1)),
        (("separable 7x7", 0), ("max 3x3", 0)),
        (("separable 5x5", 0), ("separable 3x3", 0)),
        (("separable 3x3", 4), ("max 3x3", 0)),
        (("separable 3x3", 1), ("identity", 0)),
    ),
    outputs=(2, 3, 4, 5, 6),
)
PNASNET_5 = Genotypes(normal=_CELL, reduction=_CELL)


def entries() -> Iterator[Entry]:
    """PNASNet-5, large."""
    yield Entry(
        name="pnasnet-5-large",
        family="pnasnet",
        make=large,
        about="PNASNet-5 (4, 216)",
        published=Published(params=86.1, macs=25.0, top1=82.9, source="PNASNet, arXiv:1712.00559, Table 5"),
    )


def large() -> Network:
    """PNASNet-5 (4, 216) for images of 331 pixels.

    Source: Liu et al. 2018, Table 5: 86.1 M parameters, 25.0 B multiply-accumulates, 82.9 % top-1. Stem and
    drop rates from the released code, `large_imagenet_config`.

    Example:
        >>> from allometry.cost import count
        >>> cost = count(large())
        >>> cost.params, cost.macs
        (86057668, 24937395792)
    """
    return grow(
        PNASNET_5,
        repeats=(4, 3, 3),
        channels=216,
        stem=96,
        resolution=331,
        stochastic_depth=0.4,
        name="pnasnet-5-large",
    )
