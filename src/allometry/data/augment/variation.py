"""One random variant of a training image: drawn first, which tells what of the image is needed, then made."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from allometry.data.augment.augmentation import Augmentation
from allometry.data.augment.geometry import AffineParams, center_view, cut, lowest_row, source_step, warp
from allometry.data.augment.policies import Step, draw_steps, take_steps
from allometry.data.images.jpeg import REDUCTIONS
from allometry.data.images.pixels import Pixels, with_channels

_SQUARE = np.ones((3, 3), np.uint8)
_LEVELS = np.arange(256, dtype=np.float32)
_SLACK = 2  # pixels
_GRAY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's conversion to gray


class _Draws(NamedTuple):
    """Numbers from 0 to 1; all are always drawn, so that each change is independent of the others."""

    area: float
    aspect: float
    left: float
    top: float
    rotation: float
    scale: float
    stretch: float
    shear: float
    right: float
    down: float
    flip: float
    brightness: float
    contrast: float
    saturation: float
    invert: float
    stroke: float
    thicker: float
    erase: float
    erase_height: float
    erase_width: float
    erase_top: float
    erase_left: float
    erase_level: float


class Variant(NamedTuple):
    """What happens to one image.

    Attributes:
        draws: numbers that decide on the changes.
        steps: of the policy.
    """

    draws: _Draws
    steps: tuple[Step, ...]


class Need(NamedTuple):
    """What of an image is needed.

    Attributes:
        side: the shorter side that suffices, in pixels.
        upper: fraction of the rows, from the top, below which nothing is looked at.
    """

    side: int
    upper: float


def augment(
    image: Pixels, *, resolution: int, augmentation: Augmentation, random: np.random.Generator
) -> Pixels:
    """One random variant of an image; with everything off, exactly `center_view`.

    Strokes change first, at the image's own size; then crop, rotation, scale, stretch, shear, translation
    and flip happen in one step, so that the image is resampled once; then come the policy's operations and the
    other changes of levels, and last the erasing. Mixing two images is the batch's.

    Args:
        image: uint8 [height, width, channels].
        resolution: side of the result, in pixels.
        augmentation: how strongly to vary.
        random: draws the variant.

    Returns:
        uint8 [resolution, resolution, channels].

    Example:
        >>> drawing = np.zeros((96, 80, 1), np.uint8)
        >>> strong = Augmentation(rotation=30, translation=0.1, invert=0.5)
        >>> augment(drawing, resolution=32, augmentation=strong, random=np.random.default_rng(0)).shape
        (32, 32, 1)
    """
    return augment_image(
        image, draw_variant(augmentation, random), resolution=resolution, augmentation=augmentation
    )


def draw_variant(augmentation: Augmentation, random: np.random.Generator) -> Variant:
    """Draw what will happen to an image, whatever its size.

    Example:
        >>> draw_variant(Augmentation(), np.random.default_rng(0)).steps
        ()
    """
    draws = _Draws._make(random.random(len(_Draws._fields)).tolist())
    return Variant(draws, draw_steps(augmentation, random))


def need(variant: Variant, *, height: int, width: int, resolution: int, augmentation: Augmentation) -> Need:
    """What of an image a variant shows, with all the detail that its resolution can.

    The side is the whole, a half, a quarter or an eighth of the image's, which are quick to decode.

    Args:
        variant: what will happen.
        height: of the image, in pixels.
        width: of the image, in pixels.
        resolution: side of the variant, in pixels.
        augmentation: how strongly to vary.

    Example:
        >>> off = Augmentation()
        >>> whole = draw_variant(off, np.random.default_rng(0))
        >>> [need(whole, height=375, width=500, resolution=side, augmentation=off) for side in (224, 128)]
        [Need(side=375, upper=1.0), Need(side=188, upper=1.0)]
    """
    shorter = min(height, width)
    move = _move(augmentation, variant.draws, height, width)
    bottom = float(height)
    if move is None:
        step = shorter / resolution
    elif _only_crops(augmentation):
        step = min(move.width, move.height) / resolution
        bottom = move.top + move.height
    else:
        step = source_step(move, resolution)
        if augmentation.border == "reflect":  # a constant border takes its level from all edges
            bottom = lowest_row(move, resolution)
    factor = next((factor for factor in REDUCTIONS if factor <= step), 1)
    rounded = bottom + _SLACK * factor  # rectangles are rounded to whole pixels of the reduced image
    return Need(-(-shorter // factor), min(1.0, rounded / height))


def augment_image(image: Pixels, variant: Variant, *, resolution: int, augmentation: Augmentation) -> Pixels:
    """Make a variant that was drawn with the same augmentation: see `augment`.

    Example:
        >>> flip = Augmentation(flip=True)
        >>> variant = draw_variant(flip, np.random.default_rng(3))
        >>> image = np.array([[[1], [2]], [[3], [4]]], np.uint8)
        >>> augment_image(image, variant, resolution=2, augmentation=flip)[..., 0].tolist()
        [[2, 1], [4, 3]]
    """
    draws = variant.draws
    if draws.stroke < augmentation.stroke:
        change = cv2.dilate if draws.thicker < 0.5 else cv2.erode
        image = with_channels(change(image, _SQUARE))
    move = _move(augmentation, draws, image.shape[0], image.shape[1])
    if move is None:
        view = center_view(image, resolution=resolution)
        if augmentation.flip and draws.flip < 0.5:
            view = with_channels(cv2.flip(view, 1))
    elif _only_crops(augmentation):
        view = cut(image, move, resolution=resolution)
    else:
        view = warp(image, move, resolution=resolution, border=augmentation.border)
    view = take_steps(view, variant.steps)
    view = _change_levels(view, augmentation, draws)
    if draws.erase < augmentation.erase:
        view = _erase(view, draws)
    return np.ascontiguousarray(view)


def _only_crops(augmentation: Augmentation) -> bool:
    strengths = (augmentation.rotation, augmentation.scale, augmentation.stretch, augmentation.shear)
    return not any((*strengths, augmentation.translation))


def _move(augmentation: Augmentation, draws: _Draws, height: int, width: int) -> AffineParams | None:
    """The drawn geometric change, None where only a flip may happen."""
    if augmentation.crop == 1 and _only_crops(augmentation):
        return None
    stretch = _either_way(augmentation.stretch, draws.stretch) ** 0.5
    scale = _either_way(augmentation.scale, draws.scale)
    crop_height, crop_width = _crop_sides(augmentation, draws, height, width)
    return AffineParams(
        left=(width - crop_width) * (draws.left if augmentation.crop < 1 else 0.5),
        top=(height - crop_height) * (draws.top if augmentation.crop < 1 else 0.5),
        width=crop_width,
        height=crop_height,
        degrees=augmentation.rotation * (2 * draws.rotation - 1),
        scale_x=scale * stretch,
        scale_y=scale / stretch,
        shear=augmentation.shear * (2 * draws.shear - 1),
        right=augmentation.translation * (2 * draws.right - 1),
        down=augmentation.translation * (2 * draws.down - 1),
        flip=augmentation.flip and draws.flip < 0.5,
    )


def _crop_sides(augmentation: Augmentation, draws: _Draws, height: int, width: int) -> tuple[float, float]:
    """Height and width of the drawn crop; too large a crop shrinks, and keeps its aspect, until it fits."""
    if augmentation.crop == 1:
        return min(height, width), min(height, width)
    area = height * width * (augmentation.crop + (1 - augmentation.crop) * draws.area)
    aspect = (4 / 3) ** (2 * draws.aspect - 1)
    crop_height, crop_width = (area / aspect) ** 0.5, (area * aspect) ** 0.5
    fit = min(1.0, height / crop_height, width / crop_width)
    return crop_height * fit, crop_width * fit


def _change_levels(view: Pixels, augmentation: Augmentation, draws: _Draws) -> Pixels:
    if augmentation.saturation and view.shape[2] == 3:
        saturation = _either_way(augmentation.saturation, draws.saturation)
        mix = saturation * np.eye(3) + (1 - saturation) * np.array(_GRAY_WEIGHTS)
        view = with_channels(cv2.transform(view, mix))
    negative = draws.invert < augmentation.invert
    if not (augmentation.brightness or augmentation.contrast or negative):
        return view
    brightness = _either_way(augmentation.brightness, draws.brightness)
    contrast = _either_way(augmentation.contrast, draws.contrast)
    mean = sum(cv2.sumElems(view)) / view.size
    levels = np.clip(((_LEVELS - mean) * contrast + mean) * brightness, 0, 255)
    table = np.rint(255 - levels if negative else levels).astype(np.uint8)
    return with_channels(cv2.LUT(view, table))


def _erase(view: Pixels, draws: _Draws) -> Pixels:
    side = view.shape[0]
    height = max(1, round(side * (0.15 + 0.3 * draws.erase_height)))
    width = max(1, round(side * (0.15 + 0.3 * draws.erase_width)))
    top = int((side - height + 1) * draws.erase_top)
    left = int((side - width + 1) * draws.erase_left)
    erased = view.copy()
    erased[top : top + height, left : left + width] = int(256 * draws.erase_level)
    return erased


def _either_way(strength: float, draw: float) -> float:
    return 1 + strength * (2 * draw - 1)
