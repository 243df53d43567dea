"""The recipes of EfficientNetV2, progressive learning: the paper's, and that of the released code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from allometry.arch import Network
from allometry.catalog import recognize
from allometry.cost import count
from allometry.training.recipes.efficientnet import efficientnet
from allometry.training.recipes.recipe import Progressive, Recipe

_SMALL_PARAMS, _LARGE_PARAMS = 21_458_488, 118_515_272  # of S and of L
_WHOLE_FROM = 320  # tested at this size or above, an image is shown whole


class _Ends(NamedTuple):
    """Where the last stage ends, and the sides of the first and the last stage's images.

    Sides are shares of the network's own resolution.
    """

    magnitude: float
    mixup: float
    dropout: float
    first: float
    last: float


_TABLE_6 = {
    "efficientnetv2-s": _Ends(15, 0.0, 0.3, 128 / 384, 300 / 384),
    "efficientnetv2-m": _Ends(20, 0.2, 0.4, 128 / 480, 380 / 480),
    "efficientnetv2-l": _Ends(25, 0.5, 0.5, 128 / 480, 380 / 480),
}


def efficientnetv2(network: Network, *, images: int, drawings: bool = False) -> Recipe:
    """Train with progressive learning: size, RandAugment, mixup and dropout rise together over four stages.

    Expected, on ImageNet in 350 epochs (paper; not run here): S 83.9 %, M 85.1 %, L 85.7 %; three runs of one
    network spread by 0.07 to 0.14 points (Table 13). Cost: half to a third of the time that training at the last
    stage's size takes (Table 12).

    S, M and L have the numbers of the paper's Table 6. Another network gets them by its params: RandAugment's last
    magnitude 15 for S's 21 million, 25 for L's 119 million, mixup 0 and 0.5, dropout 0.3 and 0.5, in between and below
    along the logarithm, but never less than magnitude 5, mixup 0, dropout 0.1; and images from a third of its
    resolution to four fifths, as S has. Optimizer and rate are those of the first paper.

    Args:
        network: what will be trained.
        images: number of training images; the recipe is the same for any.
        drawings: left and right differ, so images are not flipped.

    Source: EfficientNetV2 (Tan & Le 2021), section 4, Algorithm 1 and Table 6, section 5.1. The released code does
    otherwise: `efficientnetv2_released`.

    Example:
        >>> from allometry.catalog import get
        >>> recipe = efficientnetv2(get("efficientnetv2-s"), images=1_281_167)
        >>> from allometry.training.recipes.schedule import plan_epochs
        >>> epochs = plan_epochs(recipe, get("efficientnetv2-s"), 1_281_167)
        >>> sorted({(epoch.resolution, round(epoch.augmentation.magnitude, 1)) for epoch in epochs})
        [(128, 5.0), (185, 8.3), (243, 11.7), (300, 15.0)]
    """
    first = efficientnet(network, images=images, drawings=drawings)
    ends, side = _ends(network, _TABLE_6, first=1 / 3), network.resolution
    return replace(
        first,
        dropout=ends.dropout,
        train_resolution=ends.last,
        crop=1.0 if side >= _WHOLE_FROM else side / (side + 32),
        progressive=Progressive(
            stages=4, resolution=ends.first, magnitude=5, mixup=0.0, dropout=min(0.1, ends.dropout)
        ),
        augmentation=replace(
            first.augmentation, policy="randaugment", magnitude=ends.magnitude, mixup=ends.mixup
        ),
    )


_RELEASED = {
    "efficientnetv2-s": _Ends(10, 0.0, 0.2, 171 / 384, 300 / 384),
    "efficientnetv2-m": _Ends(15, 0.2, 0.3, 192 / 480, 384 / 480),
    "efficientnetv2-l": _Ends(20, 0.5, 0.4, 192 / 480, 384 / 480),
    "efficientnetv2-xl": _Ends(20, 0.5, 0.4, 192 / 512, 384 / 512),
}


def efficientnetv2_released(network: Network, *, images: int, drawings: bool = False) -> Recipe:
    """Train as the released EfficientNetV2 code does, which differs from the paper's Table 6 in most lines.

    Beside `efficientnetv2`: magnitudes end at 10 for S, 15 for M, 20 for L and XL; CutMix goes with mixup, half of
    the pairs each; the dropout, 0.2, 0.3 and 0.4, does not change; the first stage's images are a quarter of the way
    from 128 pixels to the last one's; crops show 5 % of the image or more; biases do not decay.

    Expected, on ImageNet in 350 epochs (released checkpoints; not run here): S 83.9 %, M 85.2 %, L 85.7 %.

    Another network gets its numbers by its params, between S and L along the logarithm, and below on the same line,
    but never less than magnitude 5, mixup 0, dropout 0.1. Its stages have images of 0.45 to 0.8 of its
    resolution.

    Args:
        network: what will be trained.
        images: number of training images; the recipe is the same for any.
        drawings: left and right differ, so images are not flipped.

    Source: the released EfficientNetV2 code (google/automl, `efficientnetv2`).

    Example:
        >>> from allometry.catalog import get
        >>> recipe = efficientnetv2_released(get("efficientnetv2-m"), images=1_281_167)
        >>> from allometry.training.recipes.schedule import plan_epochs
        >>> epochs = plan_epochs(recipe, get("efficientnetv2-m"), 1_281_167)
        >>> sorted({(epoch.resolution, round(epoch.augmentation.magnitude, 1)) for epoch in epochs})
        [(192, 5.0), (256, 8.3), (320, 11.7), (384, 15.0)]
    """
    ends = _ends(network, _RELEASED, first=0.45)
    paper = efficientnetv2(network, images=images, drawings=drawings)
    return replace(
        paper,
        decayed="kernels",
        dropout=ends.dropout,
        train_resolution=ends.last,
        progressive=Progressive(stages=4, resolution=ends.first, magnitude=5, mixup=0.0, cutmix=0.0),
        augmentation=replace(
            paper.augmentation, crop=0.05, magnitude=ends.magnitude, mixup=ends.mixup, cutmix=ends.mixup
        ),
    )


def _ends(network: Network, table: Mapping[str, _Ends], *, first: float) -> _Ends:
    """The network's line of the table, or one between those of S and L by the logarithm of its params.

    Args:
        network: what will be trained.
        table: by the names of networks.
        first: side of the first stage's images of a network that is not in the table.
    """
    entry = recognize(network)
    if entry is not None and entry.name in table:
        return table[entry.name]
    small, large = table["efficientnetv2-s"], table["efficientnetv2-l"]
    params = count(network).params
    share = min(1.0, math.log(params / _SMALL_PARAMS) / math.log(_LARGE_PARAMS / _SMALL_PARAMS))

    def between(low: float, high: float, *, least: float, digits: int) -> float:
        return round(max(least, low + (high - low) * share), digits)

    return _Ends(
        magnitude=between(small.magnitude, large.magnitude, least=5.0, digits=1),
        mixup=between(small.mixup, large.mixup, least=0.0, digits=2),
        dropout=between(small.dropout, large.dropout, least=0.1, digits=2),
        first=first,
        last=0.8,
    )
