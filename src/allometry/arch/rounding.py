"""From a multiplied size back to whole channels and whole layers."""

from __future__ import annotations

import math

CHANNEL_MULTIPLE = 8
MIN_FRACTION = 0.9
_HAIR = 1e-9  # 1.1 * 10 is 11.000000000000002 in floating point and still means 11 layers


def round_channels(
    channels: float, *, multiple: int = CHANNEL_MULTIPLE, min_fraction: float = MIN_FRACTION
) -> int:
    """Round to the nearest `multiple`, at least one, and never below `min_fraction` of `channels`.

    Source: released EfficientNet code, `round_filters`; EfficientNetV2's has no least fraction.

    Example:
        >>> round_channels(24 * 1.1), round_channels(40 * 1.1), round_channels(16 * 1.2), round_channels(3)
        (24, 48, 24, 8)
    """
    rounded = max(multiple, int(channels + multiple / 2) // multiple * multiple)
    return rounded + multiple if rounded < min_fraction * channels else rounded


def round_repeats(repeats: float) -> int:
    """Round a number of layers up, to at least one.

    Source: released EfficientNet code, `round_repeats`.

    Example:
        >>> round_repeats(4 * 1.1), round_repeats(10 * 1.1), round_repeats(0.2)
        (5, 11, 1)
    """
    return max(1, math.ceil(repeats - _HAIR))


def widen(channels: int, width: float, multiple: int, min_fraction: float = MIN_FRACTION) -> int:
    """Channels multiplied by `width` and rounded; exactly 1 changes nothing, and rounding never turns growth around.

    Example:
        >>> widen(24, 1.1, 8), widen(28, 0.99, 8), widen(27, 1, 8)
        (24, 28, 27)
    """
    if width == 1:
        return channels
    rounded = round_channels(channels * width, multiple=multiple, min_fraction=min_fraction)
    # Rounding must not shrink what grows: only channels that are no multiple already would.
    return max(channels, rounded) if width > 1 else min(channels, rounded)
