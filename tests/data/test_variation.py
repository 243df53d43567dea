"""What a variant needs of an image, and images of files that are kept or not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from allometry.data import Augmentation, Batch, open_data, train_batches
from allometry.data.augment.variation import augment_image, draw_variant, need
from allometry.data.dataset import FileSplit
from allometry.data.images.pixels import resample, shrink

CROP = Augmentation(crop=0.08, flip=True)
TURN = Augmentation(crop=0.3, rotation=15)
STROKE = Augmentation(crop=0.3, stroke=0.5)


def smooth(height: int, width: int, seed: int = 0, sigma: float = 4) -> Any:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), sigma).astype(float)
    return np.clip((blurred - 127) * 1.5 * sigma + 127, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("augmentation", [Augmentation(), CROP, TURN])
@settings(deadline=None, max_examples=60)
@given(st.integers(0, 999), st.integers(20, 900), st.integers(20, 900), st.sampled_from([16, 64, 128, 224]))
def test_what_is_needed_is_a_whole_part_and_enough(
    augmentation: Augmentation, seed: int, height: int, width: int, side: int
) -> None:
    variant = draw_variant(augmentation, np.random.default_rng(seed))
    needed, upper = need(variant, height=height, width=width, resolution=side, augmentation=augmentation)
    shorter = min(height, width)
    assert needed in {-(-shorter // factor) for factor in (1, 2, 4, 8)}
    assert needed >= min(shorter, side)
    assert 0 < upper <= 1


@pytest.mark.parametrize("augmentation", [CROP, TURN])
def test_a_variant_of_what_is_needed_shows_the_same_place(augmentation: Augmentation) -> None:
    rows, columns = np.indices((400, 600))
    image = np.dstack([rows * 255 / 400, columns * 255 / 600, 0 * rows]).round().astype(np.uint8)
    halves = 0
    for seed in range(60):
        variant = draw_variant(augmentation, np.random.default_rng(seed))
        options: dict[str, Any] = {"resolution": 64, "augmentation": augmentation}
        needed = need(variant, height=400, width=600, **options).side
        halves += needed < 400
        whole = augment_image(image, variant, **options).astype(int)
        part = augment_image(shrink(image, needed), variant, **options)
        pixel = 255 / 400 * 600 / 64  # levels from one pixel of the view to the next, at most
        assert np.abs(part - whole).max() <= 1 + 0.6 * pixel
    assert halves > 20


@pytest.mark.parametrize("augmentation", [CROP, TURN, Augmentation(crop=0.3, rotation=15, border="constant")])
@settings(deadline=None, max_examples=100)
@given(st.integers(0, 9999), st.integers(30, 300), st.integers(30, 300), st.sampled_from([1, 2, 4, 8]))
def test_rows_below_what_is_needed_do_not_matter(
    augmentation: Augmentation, seed: int, height: int, width: int, reduced: int
) -> None:
    options: dict[str, Any] = {"resolution": min(height, width) // reduced, "augmentation": augmentation}
    variant = draw_variant(augmentation, np.random.default_rng(seed))
    needed = need(variant, height=height, width=width, **options)
    image = shrink(smooth(height, width, seed), needed.side)
    torn = image.copy()
    torn[math.ceil(image.shape[0] * needed.upper) :] = 0
    assert (augment_image(torn, variant, **options) == augment_image(image, variant, **options)).all()


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 60), st.integers(1, 60))
def test_resample_gives_the_size_and_keeps_levels(height: int, width: int, rows: int, columns: int) -> None:
    blank = np.full((height, width, 3), (10, 200, 90), np.uint8)
    small = resample(blank, height=rows, width=columns)
    assert small.shape == (rows, columns, 3)
    assert small.flags.writeable
    assert (small == (10, 200, 90)).all()


@pytest.mark.parametrize("step", [1.3, 1.6, 1.95, 2.5, 3.9])
def test_resample_is_near_pillows(step: float) -> None:
    image = smooth(round(100 * step), round(80 * step), 3)
    theirs = Image.fromarray(image).resize((80, 100), Image.Resampling.BILINEAR)
    assert np.abs(resample(image, height=100, width=80).astype(int) - np.asarray(theirs)).mean() < 2.5


def test_resample_does_not_alias() -> None:
    checks = (np.indices((448, 448)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., np.newaxis]
    for side in (224, 160, 120):
        assert np.abs(resample(checks, height=side, width=side).astype(int) - 127).max() < 50


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(12):
        path = tmp_path / "photos" / ("a", "b")[number % 2] / f"{number}.{'png' if number == 5 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(smooth(300 + 10 * number, 420, number, 15)).save(path)
    return tmp_path / "photos"


def opened(folder: Path, cache_bytes: int) -> FileSplit:
    split = open_data(folder, cache_bytes=cache_bytes).splits["train"]
    assert isinstance(split, FileSplit)
    return split


def made(split: FileSplit, augmentation: Augmentation = CROP, **changes: Any) -> list[Batch]:
    options = {"resolution": 48, "batch_size": 4, "seed": 1, "epoch": 0, "drop_last": False}
    return list(train_batches(split, augmentation=augmentation, **(options | changes)))


def same(one: list[Batch], two: list[Batch]) -> bool:
    return all((a.images == b.images).all() for a, b in zip(one, two, strict=True))


def test_a_set_that_fits_is_kept_and_looks_the_same_from_the_cache(photos: Path) -> None:
    split = opened(photos, 2**24)
    first = made(split)
    used = split.cache.used
    assert used > 0
    assert same(made(split), first)
    assert split.cache.used == used


def test_half_of_a_set_is_worth_keeping(photos: Path) -> None:
    whole = opened(photos, 2**24)
    first = made(whole)
    half, less = (opened(photos, round(whole.cache.used * fraction)) for fraction in (0.6, 0.4))
    assert same(made(half), first)
    assert 0 < half.cache.used <= half.cache.limit
    made(less)
    assert less.cache.used == 0


def test_a_set_that_does_not_fit_is_read_anew_and_drives_nothing_out(photos: Path) -> None:
    split = opened(photos, 60_000)
    split.image(0, min_side=100)
    used = split.cache.used
    assert used > 0
    first = made(split)
    assert split.cache.used == used
    assert same(made(split, workers=3), first)
    assert same(made(split, start=1), first[1:])
    assert not same(made(split, epoch=1), first)


def test_both_ways_of_reading_show_the_same(photos: Path) -> None:
    kept, anew = made(opened(photos, 2**24)), made(opened(photos, 1000))
    for one, other in zip(kept, anew, strict=True):
        assert (one.indices == other.indices).all()
        assert np.abs(one.images.astype(int) - other.images).mean() < 4


def test_strokes_are_drawn_at_one_size(photos: Path) -> None:
    assert same(made(opened(photos, 1000), STROKE), made(opened(photos, 2**24), STROKE))
