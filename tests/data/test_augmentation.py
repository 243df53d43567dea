from __future__ import annotations

from dataclasses import fields
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allometry.base import RecipeError
from allometry.data import Augmentation, augment, center_view

Pixels = npt.NDArray[np.uint8]
OFF = Augmentation()


def noise(height: int, width: int, channels: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def run(image: Pixels, resolution: int = 32, seed: int = 0, **strengths: Any) -> Pixels:
    random = np.random.default_rng(seed)
    return augment(image, resolution=resolution, augmentation=Augmentation(**strengths), random=random)


sides = st.integers(1, 70)
images = st.builds(noise, sides, sides, st.sampled_from([1, 3]), st.integers(0, 9))
fractions = st.floats(0, 1)
small = st.floats(0, 0.9)
augmentations = st.builds(
    Augmentation,
    crop=st.floats(0.01, 1),
    rotation=st.floats(0, 180),
    scale=small,
    stretch=small,
    shear=st.floats(0, 2),
    translation=fractions,
    flip=st.booleans(),
    brightness=fractions,
    contrast=fractions,
    saturation=fractions,
    invert=fractions,
    stroke=fractions,
    erase=fractions,
    border=st.sampled_from(["reflect", "constant"]),
)


@settings(deadline=None, max_examples=150)
@given(images, st.integers(1, 40), augmentations, st.integers(0, 99))
def test_shape_type_and_determinism(image: Pixels, side: int, strengths: Augmentation, seed: int) -> None:
    before = image.copy()
    one, two = (
        augment(image, resolution=side, augmentation=strengths, random=np.random.default_rng(seed))
        for _ in range(2)
    )
    assert one.shape == (side, side, image.shape[2])
    assert one.dtype == np.uint8
    assert one.flags.c_contiguous
    assert (one == two).all()
    assert (image == before).all()


@settings(deadline=None, max_examples=60)
@given(images, st.integers(1, 40), st.integers(0, 99))
def test_off_is_the_center_view(image: Pixels, side: int, seed: int) -> None:
    view = augment(image, resolution=side, augmentation=OFF, random=np.random.default_rng(seed))
    assert (view == center_view(image, resolution=side)).all()


@settings(deadline=None, max_examples=60)
@given(augmentations, st.integers(0, 99))
def test_a_blank_image_stays_blank_wherever_it_moves(strengths: Augmentation, seed: int) -> None:
    moved = {
        name: getattr(strengths, name)
        for name in (
            "crop",
            "rotation",
            "scale",
            "stretch",
            "shear",
            "translation",
            "flip",
            "stroke",
            "border",
        )
    }
    blank = np.full((50, 40, 3), (10, 200, 90), np.uint8)
    assert (run(blank, seed=seed, **moved) == (10, 200, 90)).all()


@pytest.mark.parametrize("shape", [(64, 64), (90, 60), (200, 300)])
def test_the_warp_agrees_with_the_center_view(shape: tuple[int, int]) -> None:
    smooth = cv2.GaussianBlur(noise(*shape, 3), (0, 0), 12)
    warped = run(smooth, resolution=48, rotation=1e-9)
    assert np.abs(warped.astype(int) - center_view(smooth, resolution=48)).max() <= 3


def test_the_warp_of_a_shrunk_image_is_not_displaced() -> None:
    image = noise(96, 144, 1)
    warped = run(image, resolution=48, rotation=1e-9)
    assert np.abs(warped.astype(int) - center_view(image, resolution=48)).max() <= 1


def test_no_aliasing_when_much_shrinks() -> None:
    checks = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., np.newaxis]
    for seed in range(5):
        gray = run(checks, resolution=64, seed=seed, rotation=30, scale=0.2)
        assert np.abs(gray.astype(int) - 127).max() < 20


def test_flip_mirrors_half_of_the_images() -> None:
    image = noise(32, 32, 1)
    views = [run(image, seed=seed, flip=True) for seed in range(60)]
    mirrored = sum(bool((view == image[:, ::-1]).all()) for view in views)
    assert all((view == image).all() or (view == image[:, ::-1]).all() for view in views)
    assert 15 < mirrored < 45


def test_flip_within_the_warp_is_the_same_flip() -> None:
    smooth = cv2.GaussianBlur(noise(64, 64, 3), (0, 0), 6)
    for seed in range(6):
        plain, warped = run(smooth, seed=seed, flip=True), run(smooth, seed=seed, flip=True, rotation=1e-9)
        assert np.abs(plain.astype(int) - warped).max() <= 3


def center_of_mass(view: Pixels) -> npt.NDArray[np.float64]:
    weights = view[..., 0].astype(float)
    return np.array([(np.indices(weights.shape)[axis] * weights).sum() for axis in (0, 1)]) / weights.sum()


def test_translation_stays_within_its_share() -> None:
    dot = np.zeros((64, 64, 1), np.uint8)
    dot[30:34, 30:34] = 255
    places = np.array([center_of_mass(run(dot, 64, seed, translation=0.25)) for seed in range(80)]) - 31.5
    assert np.abs(places).max() <= 16.01
    assert places.min() < -12
    assert places.max() > 12


def test_scale_stays_within_its_share() -> None:
    square = np.zeros((64, 64, 1), np.uint8)
    square[16:48, 16:48] = 255
    sides = np.sqrt([(run(square, 64, seed, scale=0.2) / 255).sum() for seed in range(80)])
    assert 32 * 0.8 - 0.2 <= sides.min() < 27.5
    assert 36.5 < sides.max() <= 32 * 1.2 + 0.2
    areas = [(run(square, 64, seed, stretch=0.3) / 255).sum() for seed in range(20)]
    assert np.abs(np.array(areas) - 1024).max() < 20


def test_rotation_turns_about_the_center() -> None:
    bar = np.zeros((65, 65, 1), np.uint8)
    bar[30:35, 8:57] = 255
    angles = []
    for seed in range(40):
        rows, columns = np.nonzero(run(bar, 65, seed, rotation=20)[..., 0] > 127)
        angles.append(np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0])))
        assert abs(rows.mean() - 32) < 0.5
    assert -20.5 < min(angles) < -15
    assert 15 < max(angles) < 20.5


def test_crop_keeps_at_least_its_share_of_the_area() -> None:
    rows, columns = np.indices((120, 160))
    image = np.stack([rows, columns], axis=-1).astype(np.uint8)
    image = np.dstack([image, np.zeros((120, 160), np.uint8)])
    for seed in range(40):
        view = run(image, 40, seed, crop=0.3).astype(int)
        height, width = np.ptp(view[..., 0]) * 40 / 39, np.ptp(view[..., 1]) * 40 / 39
        assert 0.28 < height * width / (120 * 160) <= 1.02
        assert 0.7 < width / height < 1.42


def test_constant_border_is_the_level_of_the_edge() -> None:
    for paper in (0, 255):
        drawing = np.full((40, 40, 1), paper, np.uint8)
        drawing[15:25, 15:25] = 128
        far = [run(drawing, 40, seed, translation=1, border="constant") for seed in range(9)]
        assert all((view[[0, -1]] == paper).mean() > 0.7 for view in far)


def test_stroke_thickens_or_thins_by_a_pixel() -> None:
    line = np.zeros((32, 32, 1), np.uint8)
    line[:, 10:14] = 255
    widths = [int((run(line, seed=seed, stroke=1)[0] == 255).sum()) for seed in range(40)]
    assert set(widths) == {2, 6}
    assert 10 < widths.count(2) < 30


def test_negative() -> None:
    image = noise(32, 32, 3)
    assert (run(image, invert=1) == 255 - image).all()
    inverted = sum(bool((run(image, seed=seed, invert=0.25) != image).any()) for seed in range(80))
    assert 8 < inverted < 34


def test_levels() -> None:
    image = noise(32, 32, 3) // 4 + 96
    gray = image.mean(axis=2)
    for seed in range(10):
        bright = run(image, seed=seed, brightness=0.3) / image
        assert 0.69 < bright.mean() < 1.31
        assert bright.std() < 0.01
        contrast = run(image, seed=seed, contrast=0.5)
        assert abs(contrast.mean() - image.mean()) < 1
        assert 0.49 < contrast.std() / image.std() < 1.51
        saturated = run(image, seed=seed, saturation=1)
        assert np.abs(saturated @ [0.299, 0.587, 0.114] - image @ [0.299, 0.587, 0.114]).max() < 1.5
    assert (run(image[..., :1], saturation=1) == image[..., :1]).all()
    assert gray.shape == (32, 32)


def test_erases_one_rectangle() -> None:
    image = np.tile(np.array([[[7]], [[9]]], np.uint8), (50, 100, 1))
    for seed in range(30):
        rows, columns = np.nonzero((run(image, 100, seed, erase=1) != image)[..., 0])
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert 13 <= height <= 46
        assert 15 <= width <= 45


def test_center_view() -> None:
    image = noise(60, 100, 3)
    assert (center_view(image, resolution=60) == image[:, 20:80]).all()
    assert (center_view(image, resolution=30, crop=0.5) == image[15:45, 35:65]).all()
    means = image[:, 20:80].reshape(30, 2, 30, 2, 3).mean(axis=(1, 3))
    assert np.abs(center_view(image, resolution=30) - means).max() <= 1
    assert center_view(image, resolution=90).shape == (90, 90, 3)


def test_the_view_is_a_new_array() -> None:
    image = noise(32, 32, 1)
    image.setflags(write=False)
    assert center_view(image, resolution=32).flags.writeable
    assert run(image).flags.writeable


@pytest.mark.parametrize("field", [each.name for each in fields(Augmentation)])
@pytest.mark.parametrize("value", [-0.1, 200, float("nan"), "much", None])
def test_refuses_what_cannot_be(field: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"Augmentation.{field} must be"):
        Augmentation(**{field: value})  # type: ignore[arg-type]
