"""What an image looks like in a few letters, by which copies are known again whose bytes are others."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from allometry.data.images.pixels import Pixels

SIDE = 12
"""Of a thumbnail, in pixels."""
LUMA = SIDE * SIDE
COLORS = 2 * 3 * 3
NEUTRAL = 32
"""Of 64 levels of a difference of color: none."""
_LARGE = 8 * SIDE
_ALPHABET = (string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/").encode()
_GRAY = chr(_ALPHABET[NEUTRAL])
_LETTERS = bytes(_ALPHABET[level >> 2] for level in range(256))
_LEVELS = np.zeros(256, np.uint8)
_LEVELS[list(_ALPHABET)] = np.arange(64)


def thumbnail(image: Pixels) -> str:
    """An image as 12 x 12 pixels of 64 levels of light, and of one with color 3 x 3 of two differences of color.

    A letter stands for a number, as in base64: an index of a million images is to stay small.

    Args:
        image: uint8 [height, width, channels], 1 for gray and 3 for RGB.

    Example:
        >>> ramp = np.arange(0, 240, 10, dtype=np.uint8)[:, None, None].repeat(24, axis=1)
        >>> thumbnail(ramp)[::12], len(thumbnail(ramp.repeat(3, axis=2)))
        ('BGLQVafkpuz4', 162)
    """
    while min(image.shape[:2]) >= _LARGE:  # halves are made a few times faster than other sizes
        height, width = image.shape[0] // 2, image.shape[1] // 2
        image = _resized(image[: 2 * height, : 2 * width], (width, height))
    small = _resized(image, (SIDE, SIDE))
    if small.ndim == 2:
        return small.tobytes().translate(_LETTERS).decode()
    turned: Any = cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)
    bright: Pixels = turned
    colors = _resized(bright, (3, 3))[..., 1:]
    return (bright[..., 0].tobytes() + colors.tobytes()).translate(_LETTERS).decode()


def one_tone(text: str) -> bool:
    """Whether a thumbnail is of one tone; where it is not, neither is the image.

    Example:
        >>> one_tone(thumbnail(np.full((9, 9, 1), 7, np.uint8))), one_tone(thumbnail(np.eye(9, dtype=np.uint8) * 255))
        (True, False)
    """
    return text.count(text[0], 0, LUMA) == LUMA


def no_color(text: str) -> bool:
    """Whether a thumbnail shows no color; where it shows some, so does the image.

    Example:
        >>> no_color(thumbnail(np.full((9, 9, 3), 7, np.uint8))), no_color(thumbnail(np.full((9, 9, 1), 7, np.uint8)))
        (True, True)
    """
    return text.count(_GRAY, LUMA) == len(text) - LUMA


def _resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    resized: Any = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    pixels: Pixels = resized
    return pixels


def thumbnail_levels(thumbnails: Sequence[str]) -> tuple[Pixels, Pixels]:
    """Thumbnails as numbers from 0 to 63: light, uint8 [N, 144], and color, uint8 [N, 18], 32 for none.

    Example:
        >>> light, color = thumbnail_levels([thumbnail(np.full((9, 9, 1), 200, np.uint8))])
        >>> light.shape, light.max(), color.min()
        ((1, 144), np.uint8(50), np.uint8(32))
    """
    gray = _GRAY * COLORS
    whole = "".join(text if len(text) > LUMA else text + gray for text in thumbnails).encode()
    levels: Pixels = _LEVELS[np.frombuffer(whole, np.uint8)].reshape(-1, LUMA + COLORS)
    return levels[:, :LUMA], levels[:, LUMA:]
