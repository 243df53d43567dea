"""NASNet-A, large and mobile."""

from __future__ import annotations

from collections.abc import Iterator

from allometry.arch import Network
from allometry.catalog.entry import Entry, Published
from allometry.catalog.genotypes import Genotype, Genotypes, grow

# Source: Zoph et al. 2018, arXiv:1707.07012v4, figure 4; the order is that of the released code, `nasnet_utils.py`.
NASNET_A = Genotypes(
    normal=Genotype(
        steps=(
            (("separable 5x5", 0), ("separable 3x3", 1)),
            (("separable 5x5", 1), ("separable 3x3", 1)),
            (("average 3x3", 0), ("identity", 1)),
            (("average 3x3", 1), ("average 3x3", 1)),
            (("separable 3x3", 0), ("identity", 0)),
        ),
        outputs=(1, 2, 3, 4, 5, 6),
    ),
    reduction=Genotype(
        steps=(
            (("separable 5x5", 0), ("separable 7x7", 1)),
            (("max 3x3", 0), ("separable 7x7", 1)),
            (("average 3x3", 0), ("separable 5x5", 1)),
            (("identity", 3), ("average 3x3", 2)),
            (("separable 3x3", 2), ("max 3x3", 0)),
        ),
        outputs=(3, 4, 5, 6),
    ),
)


def entries() -> Iterator[Entry]:
    """NASNet-A, mobile and large."""
    yield Entry(
        name="nasnet-a-mobile",
        family="nasnet",
        make=mobile,
        about="NASNet-A (4 @ 1056)",
        published=Published(params=5.3, macs=0.564, top1=74.0, source="NASNet, arXiv:1707.07012v4, Table 3"),
    )
    yield Entry(
        name="nasnet-a-large",
        family="nasnet",
        make=large,
        about="NASNet-A (6 @ 4032)",
        published=Published(
            params=89, macs=24, top1=82.7, source="EfficientNet, arXiv:1905.11946v5, Table 2"
        ),
    )


def large() -> Network:
    """NASNet-A (6 @ 4032) for images of 331 pixels.

    Source: Zoph et al. 2018, Table 2: 88.9 M parameters, 23.8 B multiply-accumulates, 82.7 % top-1. Stem and
    drop rates from the released code, `large_imagenet_config`. By that configuration
    (`skip_reduction_layer_input`) the cell after a reduction cell reads the same earlier cell as that one.

    Example:
        >>> from allometry.cost import count
        >>> cost = count(large())
        >>> cost.params, cost.macs
        (88753150, 23783414658)
    """
    return grow(
        NASNET_A,
        repeats=(6, 6, 6),
        channels=4032 // 24,
        stem=96,
        resolution=331,
        stochastic_depth=0.3,
        after_reduction="skip",
        name="nasnet-a-large",
    )


def mobile() -> Network:
    """NASNet-A (4 @ 1056) for images of 224 pixels.

    Source: Zoph et al. 2018, Table 3: 5.3 M parameters, 564 M multiply-accumulates, 74.0 % top-1. Stem and
    drop rates from the released code, `mobile_imagenet_config`.

    Example:
        >>> from allometry.cost import count
        >>> cost = count(mobile())
        >>> cost.params, cost.macs
        (5289978, 563638816)
    """
    return grow(
        NASNET_A,
        repeats=(4, 4, 4),
        channels=1056 // 24,
        stem=32,
        resolution=224,
        stochastic_depth=0.0,
        name="nasnet-a-mobile",
    )
