"""Two images of a batch mixed with each other: mixup and cutmix."""

from __future__ import annotations

import math

import cv2
import numpy as np

from allometry.data.images.pixels import Pixels, with_channels


def mix(one: Pixels, other: Pixels, fraction: float) -> Pixels:
    """Mixup: each level of `one` by its share, of `other` by the rest, rounded.

    Args:
        one: uint8 [height, width, channels].
        other: of the same shape.
        fraction: of `one`, 0 to 1.

    Source: mixup (Zhang et al. 2018).

    Example:
        >>> mix(np.full((1, 1, 1), 200, np.uint8), np.full((1, 1, 1), 100, np.uint8), 0.7).item()
        170
    """
    return with_channels(cv2.addWeighted(one, fraction, other, 1 - fraction, 0))


def box(side: int, fraction: float, *, x: float, y: float) -> tuple[slice, slice]:
    """The rows and columns that cutmix pastes: a square of `1 - share` of the area, cut off at the frame.

    Args:
        side: of the images, in pixels.
        fraction: of the area that should remain, 0 to 1.
        x: of the square's center, as a fraction of the width.
        y: of its center, as a fraction of the height.

    Source: CutMix (Yun et al. 2019), section 3.1.

    Example:
        >>> box(100, 0.75, x=0.5, y=0.1)
        (slice(0, 35, None), slice(25, 75, None))
    """
    reach = side * math.sqrt(1 - fraction) / 2

    def span(center: float) -> slice:
        return slice(max(0, round(center * side - reach)), min(side, round(center * side + reach)))

    return span(y), span(x)


def mix_pair(
    one: Pixels, other: Pixels, *, mixup: float, cutmix: float, random: np.random.Generator
) -> float:
    """Mix two images with each other, in place; where both ways are on, either is drawn, half each.

    Args:
        one: uint8 [side, side, channels]; becomes `fraction` of itself and the rest of `other`.
        other: of the same shape; becomes `fraction` of itself and the rest of `one`.
        mixup: alpha of the fraction's Beta(alpha, alpha) distribution; 0 is off.
        cutmix: likewise.
        random: draws way, share and place.

    Returns:
        The share that really remained, 0 to 1: of both.

    Example:
        >>> black, white = np.zeros((8, 8, 1), np.uint8), np.full((8, 8, 1), 255, np.uint8)
        >>> share = mix_pair(black, white, mixup=0, cutmix=1, random=np.random.default_rng(1))
        >>> float((black == 0).mean()) == float((white == 255).mean()) == share
        True
    """
    way, x, y = random.random(3).tolist()
    by_box = cutmix > 0 and (mixup == 0 or way < 0.5)
    alpha = cutmix if by_box else mixup
    fraction = float(random.beta(alpha, alpha))
    if by_box:
        place = box(one.shape[0], fraction, x=x, y=y)
        pasted = one[place].copy()
        one[place], other[place] = other[place], pasted
        return 1 - pasted[..., 0].size / one[..., 0].size
    one[...], other[...] = mix(one, other, fraction), mix(other, one, fraction)
    return fraction
