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

_SHARPEST = 1.2  # source pixels per pixel; below, linear interpolation alone is as good


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


def resample(image: Pixels, *, height: int, width: int) -> Pixels:
    """Resize to exactly [height, width], as `resize` does but several times quicker, and softer: for views in training.

    Whole factors go by area, up to a pixel at the edges is left out for that; what remains, less than 2, is smoothed
    by three taps of the variance that linear interpolation lacks, and interpolated. This comes as close to Pillow's
    anti-aliased bilinear resizing as area does.

    Example:
        >>> resample(np.full((9, 7, 3), 5, np.uint8), height=4, width=2).shape
        (4, 2, 3)
    """
    rows, columns = max(1, image.shape[0] // height), max(1, image.shape[1] // width)
    if rows > 1 or columns > 1:
        small = (image.shape[1] // columns, image.shape[0] // rows)
        top, left = image.shape[0] % rows // 2, image.shape[1] % columns // 2
        whole = image[top : top + small[1] * rows, left : left + small[0] * columns]
        image = with_channels(cv2.resize(whole, small, interpolation=cv2.INTER_AREA))
    if image.shape[:2] == (height, width):
        return np.array(image, order="C")
    steps = image.shape[0] / height, image.shape[1] / width
    if max(steps) > _SHARPEST:
        down, across = (_taps(step) for step in steps)
        image = with_channels(cv2.sepFilter2D(image, -1, across, down))
    return with_channels(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))


def _taps(step: float) -> npt.NDArray[np.float32]:
    """Three taps whose variance is what a pixel of `step` source pixels has more than one of them."""
    side = (max(1.0, step) ** 2 - 1) / 12
    return np.array([side, 1 - 2 * side, side], np.float32)


def shrink(image: Pixels, min_side: int | None) -> Pixels:
    """Shrink so that the shorter side is exactly `min_side` pixels; smaller images stay as they are.

    Example:
        >>> shrink(np.zeros((100, 300, 3), np.uint8), 50).shape
        (50, 150, 3)
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    if min_side is None or shorter <= min_side:
        return image
    fraction = min_side / shorter
    return resize(
        image, height=max(min_side, round(height * fraction)), width=max(min_side, round(width * fraction))
    )
