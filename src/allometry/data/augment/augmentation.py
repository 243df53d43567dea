"""How strongly training images are varied, and the variation itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from allometry.base import RecipeError
from allometry.data.augment.geometry import Border, Move, centre_view, warp
from allometry.data.pictures.pixels import Pixels, with_channels

_RANGES = {
    "crop": (0.01, 1),
    "rotation": (0, 180),
    "scale": (0, 0.9),
    "stretch": (0, 0.9),
    "shear": (0, 2),
    "translation": (0, 1),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "saturation": (0, 1),
    "invert": (0, 1),
    "stroke": (0, 1),
    "erase": (0, 1),
}
_SQUARE = np.ones((3, 3), np.uint8)
_LEVELS = np.arange(256, dtype=np.float32)
_GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's conversion to grey


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Strengths of the random changes to training images; everything is off by default.

    Attributes:
        crop: smallest share of the area that a random crop keeps, 0.01 to 1; 1 is off and gives the centre
            square. The crop's aspect is 3/4 to 4/3, and it is resized to a square.
        rotation: up to this many degrees either way.
        scale: size, up to this share larger or smaller.
        stretch: width against height, up to this share either way.
        shear: up to this many pixels sideways per pixel down, either way.
        translation: up to this share of the side, in both directions.
        flip: mirror every other image, left to right.
        brightness: all levels, up to this share higher or lower.
        contrast: distance from the mean level, up to this share larger or smaller.
        saturation: distance from grey, up to this share larger or smaller; grey images stay as they are.
        invert: probability of a negative.
        stroke: probability of thickening or thinning strokes by a pixel, half each.
        erase: probability of filling a rectangle, of sides 15 % to 45 % of the image's, with one level.
        border: what a moved image uncovers: `reflect`, or `constant` for the median level of the image's
            edge.

    Raises:
        RecipeError: a field cannot have that value.

    Example:
        >>> Augmentation(rotation=10, scale=0.1, erase=0.25).rotation
        10
        >>> Augmentation(erase=25)
        Traceback (most recent call last):
            ...
        allometry.base.errors.RecipeError: Augmentation.erase must be a number from 0 to 1, not 25.
    """

    crop: float = 1.0
    rotation: float = 0.0
    scale: float = 0.0
    stretch: float = 0.0
    shear: float = 0.0
    translation: float = 0.0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    invert: float = 0.0
    stroke: float = 0.0
    erase: float = 0.0
    border: Border = "reflect"
    policy: str = "none"
    magnitude: float = 9.0
    operations: int = 2
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value: Any = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not least <= value <= most:
                raise RecipeError(
                    f"Augmentation.{name} must be a number from {least:g} to {most:g}, not {value!r}."
                )
        flip: Any = self.flip
        if not isinstance(flip, bool):
            raise RecipeError(f"Augmentation.flip must be true or false, not {flip!r}.")
        if self.border not in ("reflect", "constant"):
            raise RecipeError(f"Augmentation.border must be 'reflect' or 'constant', not {self.border!r}.")


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


def augment(
    image: Pixels, *, resolution: int, augmentation: Augmentation, random: np.random.Generator
) -> Pixels:
    """One random variant of an image; with everything off, exactly `centre_view`.

    Strokes change first, at the image's own size; then crop, rotation, scale, stretch, shear, translation
    and flip happen in one step, so that the image is resampled once; then levels change, and last comes the
    erasing.

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
    draws = _Draws._make(random.random(len(_Draws._fields)).tolist())
    if draws.stroke < augmentation.stroke:
        change = cv2.dilate if draws.thicker < 0.5 else cv2.erode
        image = with_channels(change(image, _SQUARE))
    move = _move(augmentation, draws, image.shape[0], image.shape[1])
    if move is None:
        view = centre_view(image, resolution=resolution)
        view = view[:, ::-1] if augmentation.flip and draws.flip < 0.5 else view
    else:
        view = warp(image, move, resolution=resolution, border=augmentation.border)
    view = _change_levels(view, augmentation, draws)
    if draws.erase < augmentation.erase:
        view = _erase(view, draws)
    return np.ascontiguousarray(view)


def _move(augmentation: Augmentation, draws: _Draws, height: int, width: int) -> Move | None:
    """The drawn geometric change, None where only a flip may happen."""
    strengths = (augmentation.rotation, augmentation.scale, augmentation.stretch, augmentation.shear)
    if augmentation.crop == 1 and not any((*strengths, augmentation.translation)):
        return None
    stretch = _either_way(augmentation.stretch, draws.stretch) ** 0.5
    scale = _either_way(augmentation.scale, draws.scale)
    crop_height, crop_width = _crop_sides(augmentation, draws, height, width)
    return Move(
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
        mix = saturation * np.eye(3) + (1 - saturation) * np.array(_GREY_WEIGHTS)
        view = with_channels(cv2.transform(view, mix))
    negative = draws.invert < augmentation.invert
    if not (augmentation.brightness or augmentation.contrast or negative):
        return view
    brightness = _either_way(augmentation.brightness, draws.brightness)
    contrast = _either_way(augmentation.contrast, draws.contrast)
    mean = float(view.mean())
    levels = np.clip(((_LEVELS - mean) * contrast + mean) * brightness, 0, 255)
    table = np.rint(255 - levels if negative else levels).astype(np.uint8)
    changed: Pixels = table[view]
    return changed


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
