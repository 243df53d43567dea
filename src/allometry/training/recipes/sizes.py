"""How long a recipe trains, and on how many images at once, by the size of the data set."""

from __future__ import annotations

LARGEST_BATCH = 64
_BATCHES, _STEPS = (LARGEST_BATCH, 32, 16, 8), 16


def epochs_to_see(seen: int, images: int, *, fewest: int, most: int) -> int:
    """Epochs after which about `seen` training images have passed, within bounds.

    Example:
        >>> [epochs_to_see(24_000, images, fewest=6, most=40) for images in (100, 2000, 10_000)]
        [40, 12, 6]
    """
    return min(most, max(fewest, round(seen / max(1, images))))


def batch_for(images: int) -> int:
    """Images of a step: 64, or fewer where an epoch would have less than 16 steps.

    Example:
        >>> [batch_for(images) for images in (5000, 600, 10)]
        [64, 32, 8]
    """
    return next((size for size in _BATCHES if images >= size * _STEPS), _BATCHES[-1])
