"""Where the pixels of a square view come from: the center of the image, or a randomly moved part of it."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import cv2
import numpy as np

from allometry.data.images.pixels import Pixels, resample, resize, with_channels

Border = Literal["reflect", "constant"]
_SMALLEST_KEPT = 128  # smaller images save little memory, and strokes are drawn on them before they shrink
_SHARPEST = 1.3  # source pixels per pixel of the view; linear interpolation skips pixels beyond that


class AffineParams(NamedTuple):
    """A rectangle of the source, in pixels, that becomes the square view, and how the view is then moved.

    Attributes:
        left: of the rectangle.
        top: of the rectangle.
        width: of the rectangle.
        height: of the rectangle.
        degrees: rotation, clockwise.
        scale_x: magnification of the width.
        scale_y: magnification of the height.
        shear: pixels to the right per pixel down.
        right: translation, as a fraction of the side.
        down: translation, as a fraction of the side.
        flip: left to right.
    """

    left: float
    top: float
    width: float
    height: float
    degrees: float
    scale_x: float
    scale_y: float
    shear: float
    right: float
    down: float
    flip: bool


def side_to_keep(pixels: float) -> int:
    """The shorter side to which an image is shrunk when it is read, where so many pixels of it are needed.

    Example:
        >>> side_to_keep(224 / 0.875), side_to_keep(32)
        (256, 128)
    """
    return max(_SMALLEST_KEPT, math.ceil(pixels))


def center_view(image: Pixels, *, resolution: int, crop: float = 1.0) -> Pixels:
    """The view for evaluation: the center square, resized.

    Args:
        image: uint8 [height, width, channels].
        resolution: side of the result, in pixels.
        crop: side of the square as a fraction of the image's shorter side.

    Returns:
        uint8 [resolution, resolution, channels], always a new array.

    Example:
        >>> center_view(np.zeros((48, 64, 3), np.uint8), resolution=32, crop=0.875).shape
        (32, 32, 3)
    """
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) * crop))
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    return np.array(resize(square, height=resolution, width=resolution), order="C")


def warp(image: Pixels, move: AffineParams, *, resolution: int, border: Border) -> Pixels:
    """The moved view, uint8 [resolution, resolution, channels], by one affine warp.

    Where the view is much smaller than its source, the source is first shrunk by area: nothing aliases.

    Args:
        image: uint8 [height, width, channels].
        move: what to look at.
        resolution: side of the result, in pixels.
        border: what is shown beyond the image's edge.
    """
    matrix = _to_source(move, resolution)
    height, width = image.shape[:2]
    step, _ = _steps(matrix)
    if step > _SHARPEST:
        small = resize(image, height=max(1, round(height / step)), width=max(1, round(width / step)))
        fractions = np.array([small.shape[1] / width, small.shape[0] / height])
        matrix *= fractions[:, np.newaxis]
        # Pixel centers lie at half pixels: shares are of edges, not of centers.
        matrix[:, 2] += 0.5 * fractions - 0.5
        image = small
    warped = cv2.warpAffine(
        image,
        matrix,
        (resolution, resolution),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101 if border == "reflect" else cv2.BORDER_CONSTANT,
        borderValue=_edge_level(image) if border == "constant" else (),
    )
    return with_channels(warped)


def cut(image: Pixels, move: AffineParams, *, resolution: int) -> Pixels:
    """The view of a move that does nothing but crop and flip, uint8 [resolution, resolution, channels].

    Much quicker than `warp`: the rectangle is rounded to whole pixels, cut out and resized.

    Args:
        image: uint8 [height, width, channels].
        move: what to look at.
        resolution: side of the result, in pixels.
    """
    height, width = (max(1, round(side)) for side in (move.height, move.width))
    top = min(round(move.top), image.shape[0] - height)
    left = min(round(move.left), image.shape[1] - width)
    part = image[top : top + height, left : left + width]
    view = resample(part, height=resolution, width=resolution)
    return with_channels(cv2.flip(view, 1)) if move.flip else view


def source_step(move: AffineParams, resolution: int) -> float:
    """How many pixels of the source one pixel of the view spans at least, in any direction."""
    return _steps(_to_source(move, resolution))[1]


def lowest_row(move: AffineParams, resolution: int) -> float:
    """The lowest row of the source, in pixels, that `warp` looks at where the border reflects; rows go on below it.

    What is reflected at the upper edge counts, too; what is reflected at the lower one lies above it anyhow.
    """
    matrix = _to_source(move, resolution)
    corners = np.array([[x, y, 1.0] for x in (0, resolution - 1) for y in (0, resolution - 1)])
    rows = corners @ matrix[1]
    # The source may be shrunk by as much as a step before it is interpolated between two rows.
    return float(np.abs(rows).max()) + 2 * max(1.0, _steps(matrix)[0])


def _to_source(move: AffineParams, resolution: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The 2 x 3 matrix from a pixel of the view to a pixel of the source.

    From the view's center, in shares of its side: flip, move back, rotate back, shear back, scale back; then
    into the rectangle.
    """
    cos, sin = math.cos(math.radians(move.degrees)), math.sin(math.radians(move.degrees))
    x_from_x = (cos + move.shear * sin) / move.scale_x * move.width
    x_from_y = (sin - move.shear * cos) / move.scale_x * move.width
    y_from_x = -sin / move.scale_y * move.height
    y_from_y = cos / move.scale_y * move.height
    first = 0.5 / resolution - 0.5
    sign = -1 if move.flip else 1
    x, y = sign * first - move.right, first - move.down
    step_x, step_y = sign / resolution, 1 / resolution
    center_x, center_y = move.left + move.width / 2, move.top + move.height / 2
    return np.array(
        [
            [x_from_x * step_x, x_from_y * step_y, center_x + x_from_x * x + x_from_y * y - 0.5],
            [y_from_x * step_x, y_from_y * step_y, center_y + y_from_x * x + y_from_y * y - 0.5],
        ]
    )


def _steps(matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> tuple[float, float]:
    """How many source pixels one pixel of the view spans at most and at least: the singular values."""
    (a, b, _), (c, d, _) = matrix.tolist()
    squares, determinant = a * a + b * b + c * c + d * d, abs(a * d - b * c)
    largest = math.sqrt((squares + math.sqrt(max(0.0, squares**2 - 4 * determinant**2))) / 2)
    return largest, determinant / largest


def _edge_level(image: Pixels) -> tuple[float, ...]:
    edge = np.sort(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]), axis=0)
    level: list[float] = edge[len(edge) // 2].tolist()
    return tuple(level)
