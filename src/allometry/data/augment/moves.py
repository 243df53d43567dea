"""Moves of an image within its frame, as the policies use them: what is uncovered becomes gray.

All take and give uint8 [height, width, channels], 1 for gray or 3 for RGB. As in Pillow and in the released code, a
pixel comes from its nearest neighbor. OpenCV lets the other threads go on meanwhile.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from allometry.data.images.pixels import Pixels, with_channels

FILL = 128  # mean gray


def rotate(pixels: Pixels, degrees: float) -> Pixels:
    """Turned about the center, anticlockwise.

    Example:
        >>> rotate(np.array([[[1], [2]], [[3], [4]]], np.uint8), 90)[..., 0].tolist()
        [[2, 4], [1, 3]]
    """
    height, width = pixels.shape[:2]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = (width - 1) / 2, (height - 1) / 2
    return _moved(pixels, ((cos, -sin, x - cos * x + sin * y), (sin, cos, y - sin * x - cos * y)))


def shear_x(pixels: Pixels, slope: float) -> Pixels:
    """Each row moved left by `slope` pixels for every row down, about the upper edge.

    Example:
        >>> shear_x(np.array([[[1], [2]], [[3], [4]]], np.uint8), 0.5)[..., 0].tolist()
        [[1, 2], [4, 128]]
    """
    return _moved(pixels, ((1, slope, slope / 2), (0, 1, 0)))


def shear_y(pixels: Pixels, slope: float) -> Pixels:
    """Each column moved up by `slope` pixels for every column to the right, about the left edge.

    Example:
        >>> shear_y(np.array([[[1], [2]], [[3], [4]]], np.uint8), 0.5)[..., 0].tolist()
        [[1, 4], [3, 128]]
    """
    return _moved(pixels, ((1, 0, 0), (slope, 1, slope / 2)))


def translate_x(pixels: Pixels, fraction: float) -> Pixels:
    """Moved left by this fraction of the width, by whole pixels; negative fractions move right.

    Example:
        >>> translate_x(np.array([[[1], [2], [3]]], np.uint8), 1 / 3).ravel().tolist()
        [2, 3, 128]
    """
    return _shifted(pixels, 0, math.floor(fraction * pixels.shape[1] + 0.5))


def translate_y(pixels: Pixels, fraction: float) -> Pixels:
    """Moved up by this fraction of the height, by whole pixels; negative fractions move down.

    Example:
        >>> translate_y(np.array([[[1]], [[2]], [[3]]], np.uint8), -1 / 3).ravel().tolist()
        [128, 1, 2]
    """
    return _shifted(pixels, math.floor(fraction * pixels.shape[0] + 0.5), 0)


def cutout(pixels: Pixels, fraction: float, *, x: float, y: float) -> Pixels:
    """A gray square that reaches this fraction of the side from its center, which may lie anywhere.

    Args:
        pixels: the image.
        fraction: half of the square's side, as a fraction of the image's shorter side.
        x: of the center, as a fraction of the width.
        y: of the center, as a fraction of the height.

    Example:
        >>> cutout(np.zeros((1, 4, 1), np.uint8), 1.0, x=0.5, y=0.0).ravel().tolist()
        [0, 128, 128, 0]
    """
    height, width = pixels.shape[:2]
    reach, row, column = int(fraction * min(height, width)), int(y * height), int(x * width)
    cut = pixels.copy()
    cut[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach] = FILL
    return cut


def _moved(pixels: Pixels, matrix: tuple[tuple[float, float, float], tuple[float, float, float]]) -> Pixels:
    height, width = pixels.shape[:2]
    return with_channels(
        cv2.warpAffine(
            pixels,
            np.array(matrix, np.float64),
            (width, height),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(FILL,) * 3,
        )
    )


def _shifted(pixels: Pixels, down: int, right: int) -> Pixels:
    """What lies `down` and `right` of each pixel."""
    height, width = pixels.shape[:2]
    shifted = np.full_like(pixels, FILL)
    rows, columns = max(0, height - abs(down)), max(0, width - abs(right))
    to_row, to_column = max(0, -down), max(0, -right)
    from_row, from_column = max(0, down), max(0, right)
    shifted[to_row : to_row + rows, to_column : to_column + columns] = pixels[
        from_row : from_row + rows, from_column : from_column + columns
    ]
    return shifted
