"""Pixels as arrays of [height, width, channels], and resizing them with OpenCV."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

# OpenCV would split each call over all cores. Batches are made by threads of our own, one image each, so its
# threads would only fight ours (and PyTorch's) for the same cores, and they do not survive a fork.
cv2.setNumThreads(0)


def with_channels(image: npt.NDArray[Any]) -> Pixels:
    """Give the result of an OpenCV call its channel axis back, which OpenCV drops for one channel."""
    pixels: Pixels = np.asarray(image, dtype=np.uint8)
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


def resize(image: Pixels, *, height: int, width: int) -> Pixels:
    """Resize to exactly [height, width]: by area when something shrinks (nothing aliases), else linearly.

    Example:
        >>> resize(np.zeros((8, 4, 1), np.uint8), height=4, width=2).shape
        (4, 2, 1)
    """
    if image.shape[:2] == (height, width):
        return image
    shrinks = height < image.shape[0] or width < image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return with_channels(cv2.resize(image, (width, height), interpolation=method))


def shrink(image: Pixels, at_least: int | None) -> Pixels:
    """Shrink so that the shorter side is exactly `at_least` pixels; smaller images stay as they are.

    Example:
        >>> shrink(np.zeros((100, 300, 3), np.uint8), 50).shape
        (50, 150, 3)
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    if at_least is None or shorter <= at_least:
        return image
    share = at_least / shorter
    return resize(
        image, height=max(at_least, round(height * share)), width=max(at_least, round(width * share))
    )
