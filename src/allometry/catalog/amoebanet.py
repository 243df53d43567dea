"""AmoebaNet-A, -B and -C."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

from allometry.arch import Network
from allometry.catalog.entry import Entry, Published
from allometry.catalog.genotypes import Genotype, Genotypes, grow

# Source: Real et al. 2019, arXiv:1802.01548; tensorflow/tpu `models/official/amoeba_net/model_specs.py`, where A is
# `evol_net_g`, B `evol_net_h` and C `evol_net_a`.
AMOEBANET_A = Genotypes(
    normal=Genotype(
        steps=(
            (("average 3x3", 0), ("max 3x3", 0)),
            (("separable 3x3", 1), ("identity", 1)),
            (("identity", 0), ("average 3x3", 1)),
            (("separable 3x3", 0), ("separable 5x5", 2)),
            (("average 3x3", 5), ("separable 3x3", 0)),
        ),
        outputs=(1, 3, 4, 6),
    ),
    reduction=Genotype(
        steps=(
            (("separable 3x3", 1), ("average 3x3", 0)),
            (("max 3x3", 0), ("separable 7x7", 2)),
            (("max 3x3", 1), ("max 3x3", 0)),
            (("separable 3x3", 4), ("1x7 7x1", 0)),
            (("average 3x3", 1), ("separable 7x7", 0)),
        ),
        outputs=(2, 3, 4, 5, 6),
    ),
)
AMOEBANET_B = Genotypes(
    normal=Genotype(
        steps=(
            (("1x1", 1), ("max 3x3", 1)),
            (("identity", 1), ("separable 3x3", 0)),
            (("1x1", 1), ("separable 3x3", 0)),
            (("1x1", 2), ("identity", 2)),
            (("average 3x3", 1), ("1x1", 5)),
        ),
        outputs=(0, 3, 4, 6),
    ),
    reduction=Genotype(
        steps=(
            (("max 2x2", 0), ("max 3x3", 0)),
            (("identity", 2), ("3x3", 1)),
            # `dil_2_separable_5x5_2` in the file; the released code that reads it takes no notice of the dilation.
            (("separable 5x5", 2), ("max 3x3", 2)),
            (("identity", 3), ("separable 3x3", 1)),
            (("average 3x3", 4), ("1x1", 3)),
        ),
        outputs=(5, 6),
    ),
)
AMOEBANET_C = Genotypes(
    normal=Genotype(
        steps=(
            (("average 3x3", 0), ("separable 3x3", 0)),
            (("identity", 0), ("separable 3x3", 0)),
            (("average 3x3", 2), ("separable 3x3", 1)),
            (("identity", 0), ("separable 3x3", 1)),
            (("average 3x3", 3), ("separable 3x3", 0)),
        ),
        outputs=(1, 2, 4, 5, 6),
    ),
    reduction=Genotype(
        steps=(
            (("max 3x3", 0), ("max 3x3", 0)),
            (("separable 7x7", 2), ("separable 3x3", 0)),
            (("separable 7x7", 0), ("max 3x3", 1)),
            (("separable 5x5", 4), ("separable 5x5", 4)),
            (("max 3x3", 1), ("separable 3x3", 1)),
        ),
        outputs=(0, 2, 3, 4, 5, 6),
    ),
)
GENOTYPES = {"a": AMOEBANET_A, "b": AMOEBANET_B, "c": AMOEBANET_C}


_REAL = "AmoebaNet, arXiv:1802.01548, Table 2"
_TABLE_2 = "EfficientNet, arXiv:1905.11946v5, Table 2"


def entries() -> Iterator[Entry]:
    """The AmoebaNets that EfficientNet is compared with."""
    yield Entry(
        name="amoebanet-a-6-190",
        family="amoebanet",
        make=partial(amoebanet, "a", channels=190),
        about="AmoebaNet-A (6, 190)",
        published=Published(params=86.7, macs=23.1, top1=82.8, source=_REAL),
    )
    yield Entry(
        name="amoebanet-a-6-448",
        family="amoebanet",
        make=partial(amoebanet, "a", channels=448),
        about="AmoebaNet-A (6, 448)",
        published=Published(
            params=469,
            macs=104,
            top1=83.9,
            source=_REAL,
            note="468.2M and 126.5B by count at 331 pixels; 103.9B at 299, so the printed figure may be of that size",
        ),
    )
    yield Entry(
        name="amoebanet-c-6-228",
        family="amoebanet",
        make=partial(amoebanet, "c", channels=228),
        about="AmoebaNet-C (6, 228), trained with AutoAugment",
        published=Published(params=155, macs=41, top1=83.5, source=_TABLE_2),
    )
    yield Entry(
        name="amoebanet-b-6-512",
        family="amoebanet",
        make=partial(amoebanet, "b", channels=512, resolution=480),
        about="AmoebaNet-B (18, 512), trained by GPipe",
        published=Published(params=557, macs=None, top1=84.3, source=_TABLE_2),
    )


def amoebanet(
    letter: Literal["a", "b", "c"], *, channels: int, repeats: int = 6, resolution: int = 331
) -> Network:
    """AmoebaNet-`letter` (N, F): N = `repeats` normal cells in each of three stacks, F = `channels`.

    GPipe's AmoebaNet-B (18, 512) names all 18 normal cells of the network, so its N is 6.

    Source: Real et al. 2019, Table 2, for A (6, 190): 86.7 M parameters, 23.1 B multiply-accumulates; Cubuk et
    al. 2019, arXiv:1805.09501, ImageNet results, for C (6, 228); Huang et al. 2019, arXiv:1811.06965v5, section 4, for
    B (18, 512): 557 M parameters at 480 pixels. Stem and drop rates from the released code,
    `amoeba_net_model.py`.

    Example:
        >>> from allometry.cost import count
        >>> cost = count(amoebanet("a", channels=190))
        >>> cost.params, cost.macs
        (86718797, 23133663507)
        >>> count(amoebanet("b", channels=512, resolution=480)).params
        557277864
    """
    return grow(
        GENOTYPES[letter],
        repeats=(repeats, repeats, repeats),
        channels=channels,
        stem=32,
        resolution=resolution,
        stochastic_depth=0.3,
        name=f"amoebanet-{letter}-{repeats}-{channels}",
    )
