"""Operations of the augmentation policies: changes of levels that leave each pixel where it is, and moves in the frame.

All take and give uint8 [height, width, channels], 1 for gray or 3 for RGB, and give Pillow's results: its ImageOps to
the bit, its ImageEnhance to within two levels, where OpenCV rounds and Pillow cuts off. Moves take each pixel from its
nearest neighbor, as Pillow and the released code do; what is uncovered becomes gray. OpenCV lets the other threads go
on meanwhile.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from allometry.data.images.pixels import Pixels, with_channels

_LEVELS = np.arange(256, dtype=np.int64)


FILL = 128  # mean gray


def autocontrast(pixels: Pixels) -> Pixels:
    """Each channel stretched, so that its darkest level becomes 0 and its brightest 255.

    Example:
        >>> autocontrast(np.array([[[10], [20], [30]]], np.uint8)).ravel().tolist()
        [0, 127, 255]
    """
    # A channel's extremes are quicker to find than its histogram, and say whether anything changes.
    extremes = [cv2.minMaxLoc(channel)[:2] for channel in cv2.split(pixels)]
    if all(darkest == brightest or brightest - darkest == 255 for darkest, brightest in extremes):
        return pixels
    return _looked_up(pixels, np.stack([_stretched(*levels) for levels in extremes], axis=-1)[np.newaxis])


def equalize(pixels: Pixels) -> Pixels:
    """Each channel's levels moved apart until they are about equally frequent.

    Example:
        >>> equalize(np.array([[[0], [1], [2], [3]]], np.uint8).repeat(300, axis=0)).ravel()[:4].tolist()
        [0, 100, 200, 255]
    """
    histograms = (
        cv2.calcHist([pixels], [channel], None, [256], [0, 256]) for channel in range(pixels.shape[2])
    )
    tables = [_equalized(histogram.ravel().astype(np.int64)) for histogram in histograms]
    return _looked_up(pixels, np.stack(tables, axis=-1)[np.newaxis])


def invert(pixels: Pixels) -> Pixels:
    """The negative.

    Example:
        >>> invert(np.array([[[0], [55]]], np.uint8)).ravel().tolist()
        [255, 200]
    """
    return with_channels(cv2.bitwise_not(pixels))


def posterize(pixels: Pixels, bits: int) -> Pixels:
    """Only the upper bits of each level, 1 to 8 of them.

    Example:
        >>> posterize(np.array([[[255], [100]]], np.uint8), 2).ravel().tolist()
        [192, 64]
    """
    return pixels & np.uint8(256 - 2 ** (8 - bits))


def solarize(pixels: Pixels, threshold: int) -> Pixels:
    """The negative of the levels from `threshold` (0 to 256) on.

    Example:
        >>> solarize(np.array([[[100], [200]]], np.uint8), 128).ravel().tolist()
        [100, 55]
    """
    if threshold > 255:
        return pixels
    return pixels ^ np.uint8(255) * (pixels >= threshold)


def solarize_add(pixels: Pixels, addition: int) -> Pixels:
    """A number (0 to 255) added to the levels below 128.

    Example:
        >>> solarize_add(np.array([[[100], [200]]], np.uint8), 30).ravel().tolist()
        [130, 200]
    """
    return with_channels(cv2.add(pixels, np.uint8(addition) * (pixels < 128)))


def brightness(pixels: Pixels, factor: float) -> Pixels:
    """All levels times a factor: 0 gives black, 1 the image.

    Example:
        >>> brightness(np.array([[[100], [200]]], np.uint8), 1.5).ravel().tolist()
        [150, 255]
    """
    return _looked_up(pixels, _blended(0, factor))


def contrast(pixels: Pixels, factor: float) -> Pixels:
    """Distances from the mean gray times a factor: 0 gives the mean gray, 1 the image.

    Example:
        >>> contrast(np.array([[[100], [200]]], np.uint8), 0.5).ravel().tolist()
        [125, 175]
    """
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.shape[2] == 3 else pixels
    return _looked_up(pixels, _blended(int(cv2.mean(gray)[0] + 0.5), factor))


def color(pixels: Pixels, factor: float) -> Pixels:
    """Distances from gray times a factor: 0 gives a gray image, 1 the image; gray images stay as they are.

    Example:
        >>> color(np.array([[[200, 100, 50]]], np.uint8), 0).ravel().tolist()
        [124, 124, 124]
    """
    if pixels.shape[2] == 1:
        return pixels
    gray = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return with_channels(cv2.addWeighted(gray, 1 - factor, pixels, factor, 0))


def sharpness(pixels: Pixels, factor: float) -> Pixels:
    """Distances from a smoothed image times a factor: 0 gives the smoothed one, 1 the image, more sharpens.

    The pixels at the edge, which have no neighbors all around, stay as they are.

    Example:
        >>> dot = np.zeros((3, 3, 1), np.uint8)
        >>> dot[1, 1] = 130
        >>> sharpness(dot, 0)[1].ravel().tolist()
        [0, 50, 0]
    """
    if min(pixels.shape[:2]) < 3:
        return pixels
    # Pillow's kernel, eight ones around a five, is a box of nine ones and four times the pixel itself.
    fraction = (1 - factor) / 13
    box = cv2.blur(pixels, (3, 3))
    sharp = with_channels(cv2.addWeighted(box, 9 * fraction, pixels, factor + 4 * fraction, 0))
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        sharp[edge] = pixels[edge]
    return sharp


def _looked_up(pixels: Pixels, table: npt.NDArray[np.generic]) -> Pixels:
    return with_channels(cv2.LUT(pixels, np.clip(table, 0, 255).astype(np.uint8)))


def _blended(start: int, factor: float) -> npt.NDArray[np.float32]:
    """For each level, `start` plus `factor` times the distance from it, in the precision of Pillow's blend."""
    return np.float32(start) + np.float32(factor) * (_LEVELS - start).astype(np.float32)


def _stretched(darkest: float, brightest: float) -> npt.NDArray[np.int64]:
    if darkest == brightest:
        return _LEVELS
    scale = 255.0 / (brightest - darkest)
    return (_LEVELS * scale - darkest * scale).astype(np.int64)


def _equalized(histogram: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    present = np.flatnonzero(histogram)
    step = int(histogram.sum() - histogram[present[-1]]) // 255
    if step == 0:
        return _LEVELS
    return (step // 2 + np.cumsum(histogram) - histogram) // step


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
