"""Activation maps as colors: on an image, or as a layer to lay over one."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from allometry.data.images.pixels import Pixels

if TYPE_CHECKING:
    from PIL import Image


Map = npt.NDArray[np.float32]

_OPAQUE = 0.75  # how much of the image the strongest place hides
_FAINT = 0.12  # weaker places show the image as it is: a veil over everything says nothing
_GRAY = 0.65  # how far the image gives up its own colors, so that those of the map are not mistaken for them
_BLURRED = 3.0  # an image enlarged more than that shows its pixels instead of a blur
_LEVELS = 48


def strength(evidence: Map, *, side: int) -> npt.NDArray[np.float32]:
    """An activation map at the size of an image: what speaks for the class, from 0 to 1 at its strongest place.

    Places that speak against the class are 0, and so is everything where nothing speaks for it.

    Args:
        evidence: the map, float32 [h, w].
        side: of the image, in pixels.

    Returns:
        float32 [side, side].

    Example:
        >>> [round(float(each), 2) for each in strength(np.array([[-1.0, 2.0]], np.float32), side=4)[0]]
        [0.0, 0.0, 0.57, 1.0]
    """
    # Numbers that are nearly nothing lose their digits where they are interpolated.
    level = float(np.abs(evidence).max())
    evidence = np.asarray(evidence / level if level > 0 else evidence, np.float32)
    # A map is as coarse as the network's last feature map. Linear interpolation would show the grid.
    large = np.maximum(cv2.resize(evidence, (side, side), interpolation=cv2.INTER_CUBIC), 0)
    # Between places that speak against the class, cubic interpolation swings a little above 0: that is no evidence.
    most = float(large.max()) if float(evidence.max()) > 0 else 0.0
    return np.asarray(large / most if most > 0 else np.zeros_like(large), np.float32)


def enlarged(pixels: Pixels, *, side: int) -> Pixels:
    """The center square of an image in color, uint8 [side, side, 3]; tiny ones keep their pixels visible.

    Args:
        pixels: uint8 [height, width, channels].
        side: of the result, in pixels.

    Example:
        >>> enlarged(np.zeros((20, 30, 1), np.uint8), side=64).shape
        (64, 64, 3)
    """
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    top, left = (height - shorter) // 2, (width - shorter) // 2
    square = pixels[top : top + shorter, left : left + shorter]
    method = cv2.INTER_AREA if side < shorter else cv2.INTER_LINEAR
    if side > _BLURRED * shorter:
        method = cv2.INTER_NEAREST
    resized = cv2.resize(square, (side, side), interpolation=method).reshape(side, side, -1)
    return np.array(np.broadcast_to(resized, (side, side, 3)), np.uint8)


def overlay(pixels: Pixels, evidence: Map, *, crop: float = 1.0) -> Pixels:
    """An image with the map on it: the stronger the evidence for the class, the warmer and the less see-through.

    Args:
        pixels: uint8 [side, side, 3].
        evidence: the map, float32 [h, w].
        crop: fraction of the side that the network saw; the map lies on that part, in a thin frame.

    Returns:
        uint8 [side, side, 3].

    Example:
        >>> drawn = overlay(np.zeros((8, 8, 3), np.uint8), np.array([[1.0, -1.0]], np.float32))
        >>> bool(drawn[4, 0].max() > 100), int(drawn[4, 7].max())
        (True, 0)
    """
    side = len(pixels)
    inner = max(1, round(side * crop))
    start = (side - inner) // 2
    seen = slice(start, start + inner)
    gray = pixels.mean(2, keepdims=True)
    ground = (1 - _GRAY) * pixels + _GRAY * gray
    layer = _layer(strength(evidence, side=inner))
    fraction = layer[..., 3:].astype(np.float32) / 255
    ground[seen, seen] = ground[seen, seen] * (1 - fraction) + layer[..., :3] * fraction
    result = np.asarray(np.rint(ground), np.uint8)
    if inner < side:
        cv2.rectangle(result, (start, start), (start + inner - 1, start + inner - 1), (255, 255, 255), 1)
    return result


def layer_png(evidence: Map, *, side: int, crop: float = 1.0) -> bytes:
    """The map alone as a small PNG that is see-through, to be laid over an image of any size.

    Args:
        evidence: the map, float32 [h, w].
        side: of the PNG, in pixels.
        crop: fraction of the side that the network saw; around it the PNG is see-through.

    Example:
        >>> layer_png(np.ones((2, 2), np.float32), side=16)[1:4]
        b'PNG'
    """
    from PIL import Image

    inner = max(1, round(side * crop))
    start = (side - inner) // 2
    levels = np.zeros((side, side), np.uint8)
    steps = np.rint(strength(evidence, side=inner) * (_LEVELS - 1)).astype(np.uint8)
    levels[start : start + inner, start : start + inner] = steps
    colors = _layer(np.linspace(0, 1, _LEVELS, dtype=np.float32)[None])[0]
    # A palette of few colors is a fifth of the bytes of four full channels.
    image = Image.fromarray(levels)
    image.putpalette(colors[:, :3].tobytes())
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True, transparency=colors[:, 3].tobytes())
    return file.getvalue()


def image_png(pixels: Pixels) -> bytes:
    """An image as PNG, in one channel if it has no colors.

    Args:
        pixels: uint8 [height, width, channels].

    Example:
        >>> image_png(np.zeros((4, 4, 3), np.uint8))[1:4]
        b'PNG'
    """
    file = io.BytesIO()
    _image(pixels).save(file, format="PNG", optimize=True)
    return file.getvalue()


def color_bar(width: int, height: int) -> Pixels:
    """The colors from no evidence to the strongest, as they look on gray, uint8 [height, width, 3].

    Example:
        >>> color_bar(120, 12).shape
        (12, 120, 3)
    """
    ramp = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width))
    layer = _layer(ramp)
    fraction = layer[..., 3:].astype(np.float32) / 255
    return np.asarray(np.rint(200 * (1 - fraction) + layer[..., :3] * fraction), np.uint8)


def _image(pixels: Pixels) -> Image.Image:
    from PIL import Image

    plain = pixels.shape[2] == 1 or bool((pixels == pixels[..., :1]).all())
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0]) if plain else pixels)


def _layer(strong: npt.NDArray[np.float32]) -> Pixels:
    """Color and opacity of each strength: uint8 [height, width, 4]."""
    steps = np.rint(strong * 255).astype(np.uint8)
    visible = np.clip((strong - _FAINT) / (1 - _FAINT), 0, 1)
    opacity = np.rint(255 * _OPAQUE * np.sqrt(visible)).astype(np.uint8)
    return np.concatenate([_colors()[steps], opacity[..., None]], axis=2)


@cache
def _colors() -> Pixels:
    """Red, green and blue of 256 strengths, uint8 [256, 3].

    Plasma is even to the eye, tells no lies in gray, and its bright end shows on black as on white.
    """
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    return np.ascontiguousarray(cv2.applyColorMap(ramp, cv2.COLORMAP_PLASMA)[:, 0, ::-1])
