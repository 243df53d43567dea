"""The policies' operations against Pillow's."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from allometry.data.augment import operations

Pixels = npt.NDArray[np.uint8]


def noise(height: int, width: int, channels: int, low: int, high: int, seed: int) -> Pixels:
    random = np.random.default_rng(seed)
    return random.integers(low, max(low, high) + 1, (height, width, channels), dtype=np.uint8)


levels_of_gray = st.integers(0, 255)
images = st.builds(
    noise,
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from([1, 3]),
    levels_of_gray,
    levels_of_gray,
    st.integers(0, 9),
)
factors = st.floats(0, 6.4)


def pillow(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])


def array(image: Image.Image) -> Pixels:
    pixels: Pixels = np.array(image)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def difference(one: Pixels, other: Pixels) -> int:
    assert one.shape == other.shape
    assert one.dtype == other.dtype == np.uint8
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (operations.autocontrast, ImageOps.autocontrast),
        (operations.equalize, ImageOps.equalize),
        (operations.invert, ImageOps.invert),
    ],
)
@settings(deadline=None, max_examples=80)
@given(images)
def test_without_strength_equals_pillow(
    ours: Callable[[Pixels], Pixels], theirs: Callable[[Image.Image], Image.Image], image: Pixels
) -> None:
    before = image.copy()
    assert difference(ours(image), array(theirs(pillow(image)))) == 0
    assert (image == before).all()


@settings(deadline=None, max_examples=80)
@given(images, st.integers(1, 8), st.integers(0, 256))
def test_posterize_and_solarize_equal_pillow(image: Pixels, bits: int, threshold: int) -> None:
    assert difference(operations.posterize(image, bits), array(ImageOps.posterize(pillow(image), bits))) == 0
    ours, theirs = operations.solarize(image, threshold), ImageOps.solarize(pillow(image), threshold)
    assert difference(ours, array(theirs)) == 0


@settings(deadline=None, max_examples=60)
@given(images, st.integers(0, 255))
def test_solarize_add(image: Pixels, addition: int) -> None:
    expected = np.where(image < 128, np.minimum(image.astype(int) + addition, 255), image)
    assert (operations.solarize_add(image, addition) == expected).all()


@settings(deadline=None, max_examples=80)
@given(images, factors)
def test_brightness_equals_pillow(image: Pixels, factor: float) -> None:
    theirs = array(ImageEnhance.Brightness(pillow(image)).enhance(factor))
    assert difference(operations.brightness(image, factor), theirs) == 0


@settings(deadline=None, max_examples=80)
@given(images, factors)
def test_contrast_is_pillows_to_the_rounding_of_the_mean(image: Pixels, factor: float) -> None:
    theirs = array(ImageEnhance.Contrast(pillow(image)).enhance(factor))
    assert difference(operations.contrast(image, factor), theirs) <= math.ceil(abs(1 - factor))


@settings(deadline=None, max_examples=80)
@given(images, factors)
def test_color_and_sharpness_are_pillows_to_a_rounding(image: Pixels, factor: float) -> None:
    allowed = (
        math.ceil(abs(1 - factor)) + 1
    )  # gray and the smoothed image are whole levels before they are mixed
    theirs = array(ImageEnhance.Color(pillow(image)).enhance(factor))
    assert difference(operations.color(image, factor), theirs) <= allowed
    theirs = array(ImageEnhance.Sharpness(pillow(image)).enhance(factor))
    assert difference(operations.sharpness(image, factor), theirs) <= allowed


def affine(image: Pixels, *numbers: float) -> Pixels:
    fill = 128 if image.shape[2] == 1 else (128, 128, 128)
    moved = pillow(image).transform(
        (image.shape[1], image.shape[0]), Image.Transform.AFFINE, numbers, fillcolor=fill
    )
    return array(moved)


def agrees(ours: Pixels, theirs: Pixels, numbers: tuple[float, ...]) -> bool:
    """Whether the two are equal but for pixels whose source lies on a border between two pixels, or nearly.

    OpenCV's coordinates are whole 1/1024 of a pixel.
    """
    rows, columns = np.indices(ours.shape[:2]) + 0.5
    a, b, c, d, e, f = numbers
    places = np.stack([a * columns + b * rows + c, d * columns + e * rows + f])
    clear = (np.abs(places - np.rint(places)) > 0.005).all(axis=0)
    assert ours.shape == theirs.shape
    return bool((ours == theirs)[clear].all())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(64, 64), (50, 81)])
@settings(deadline=None, max_examples=60)
@given(st.floats(-180, 180))
def test_rotate_is_pillows(channels: int, shape: tuple[int, int], degrees: float) -> None:
    image = noise(*shape, channels, 0, 255, 1)
    theirs = pillow(image).rotate(degrees, fillcolor=128 if channels == 1 else (128, 128, 128))
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = shape[1] / 2, shape[0] / 2
    numbers = (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y)
    assert agrees(operations.rotate(image, degrees), array(theirs), numbers)


@pytest.mark.parametrize("channels", [1, 3])
@settings(deadline=None, max_examples=60)
@given(st.floats(-1, 1))
def test_shears_are_pillows(channels: int, slope: float) -> None:
    image = noise(50, 64, channels, 0, 255, 1)
    sideways, upwards = (1, slope, 0, 0, 1, 0), (1, 0, 0, slope, 1, 0)
    assert agrees(operations.shear_x(image, slope), affine(image, *sideways), sideways)
    assert agrees(operations.shear_y(image, slope), affine(image, *upwards), upwards)


@settings(deadline=None, max_examples=80)
@given(images, st.floats(-1.2, 1.2))
def test_translations_equal_pillow(image: Pixels, fraction: float) -> None:
    height, width = image.shape[:2]
    # Pillow cannot look up a pixel half-way between two without the last bit of the sum deciding.
    if abs(fraction * width % 1 - 0.5) > 1e-6:
        assert (
            operations.translate_x(image, fraction) == affine(image, 1, 0, fraction * width, 0, 1, 0)
        ).all()
    if abs(fraction * height % 1 - 0.5) > 1e-6:
        assert (
            operations.translate_y(image, fraction) == affine(image, 1, 0, 0, 0, 1, fraction * height)
        ).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 50), st.floats(0, 0.6), st.floats(0, 0.999), st.floats(0, 0.999))
def test_cutout_is_one_square_within_the_image(side: int, fraction: float, x: float, y: float) -> None:
    image = np.zeros((side, side, 3), np.uint8)
    rows, columns = np.nonzero(operations.cutout(image, fraction, x=x, y=y)[..., 0])
    reach = int(fraction * side)
    assert len(rows) <= (2 * reach) ** 2
    if reach:
        assert rows.min() == max(0, int(y * side) - reach)
        assert columns.max() == min(side, int(x * side) + reach) - 1
    assert not image.any()


def test_one_channel_keeps_its_axis() -> None:
    image = noise(9, 8, 1, 0, 255, 0)
    for change in (operations.autocontrast, operations.equalize, operations.invert):
        assert change(image).shape == (9, 8, 1)
    assert cv2.getNumThreads() == 1
