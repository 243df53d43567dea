"""Image files of rare kinds: what they show, or why they are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from allometry.base import DataError
from allometry.data import image_pixels, read_image
from tests.image_files import (
    BLACK_IS_ZERO,
    WHITE_IS_ZERO,
    odd_kinds,
    png,
    ppm,
    refused_kinds,
    saved,
    tiff,
    values,
)

NARROW, DEEP = values()


def over_white(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    fraction = alpha[..., np.newaxis] / 255
    return color * fraction + 255 * (1 - fraction)


def what_they_show() -> dict[str, np.ndarray]:
    """The pixels of odd kinds, by arithmetic of their own."""
    upper = (DEEP >> 8).astype(np.uint8)
    gray, color = upper[..., 0], upper[..., :3]
    alpha, plain = NARROW[..., 3], NARROW[..., :3].astype(float)
    four = NARROW[..., 0] // 16
    ink = NARROW[..., 1].astype(float)[..., np.newaxis] / 255
    return {
        "zero-is-white.tif": 255 - gray,
        "zero-is-white-large.tif": 255 - gray,
        "gray.pgm": gray,
        "color.ppm": color,
        "twelve-bits.ppm": color,
        "zero-is-white-8.tif": 255 - NARROW[..., 0],
        "zero-is-white-big.tif": 255 - gray,
        "gray-big.tif": gray,
        "gray-big-packed.tif": gray,
        "color.tif": color,
        "color-big.tif": color,
        "color-packed.tif": color,
        "color-planes.tif": color,
        "color-planes-big.tif": color,
        "clear.tif": over_white(color, upper[..., 3]),
        "multiplied.tif": np.minimum(plain * 255 / np.maximum(alpha, 1)[..., None], 255)
        * alpha[..., None]
        / 255
        + 255
        - alpha[..., None],
        "multiplied-gray.tif": np.minimum(NARROW[..., :1] / np.maximum(ink, 1e-9), 255) * ink
        + 255 * (1 - ink),
        "twelve-bits.tif": gray,
        "gray.png": gray,
        "gray-clear.png": np.where(DEEP[..., 0] == DEEP[3, 4, 0], 255, gray),
        "gray-alpha.png": over_white(upper[..., :1], upper[..., 1]),
        "color.png": color,
        "color-clear.png": np.where((DEEP[..., :3] == DEEP[3, 4, :3]).all(2)[..., None], 255, color),
        "color-alpha.png": over_white(color, upper[..., 3]),
        "four-bits-clear.png": np.where(four == 7, 255, four * 17),
        "empty-alpha.bmp": plain,
        "alpha.bmp": over_white(plain, alpha),
        "turned-16.png": np.rot90(gray, -1),
        "turned-16.tif": np.rot90(color, 1),
        "pages.tif": NARROW[..., 0],
    }


@pytest.mark.parametrize("name", what_they_show())
def test_odd_kinds_show_what_they_should(name: str) -> None:
    expected = what_they_show()[name]
    seen = read_image(odd_kinds()[name], channels=3).astype(float)
    assert np.abs(seen - (expected[..., None] if expected.ndim == 2 else expected)).max() <= 1.5
    if expected.ndim == 2:
        assert np.abs(read_image(odd_kinds()[name], channels=1)[..., 0] - expected).max() <= 1.5


@pytest.mark.parametrize("name", ["no-end.jpg", "no-end-cmyk.jpg", "progressive-no-end.jpg"])
def test_a_jpeg_that_lacks_its_end_mark_alone_is_read(name: str) -> None:
    data = odd_kinds()[name]
    whole = read_image(data + b"\xff\xd9", channels=3)
    for part in (data, data + b"\xff", data + b"\r\n"):
        assert (read_image(part, channels=3) == whole).all()
    small = read_image(data, channels=3, min_side=9)
    assert small.shape == read_image(data + b"\xff\xd9", channels=3, min_side=9).shape
    for missing in (20, 60, 200):
        with pytest.raises(DataError, match="truncated"):
            read_image(data[:-missing], channels=3)


@pytest.mark.parametrize("name", refused_kinds())
def test_what_cannot_be_read_rightly_is_refused_and_not_called_broken(name: str) -> None:
    with pytest.raises(DataError, match="truncated" if name.startswith("cut") else "not supported") as caught:
        read_image(refused_kinds()[name], channels=3)
    assert "broken" not in str(caught.value)


def test_levels_say_what_is_black_and_white() -> None:
    gray = np.arange(0, 4096, 16, np.uint16).reshape(16, 16)
    color = np.dstack([gray, gray[::-1], gray.T])
    for levels, expected in (((0, 4095), gray >> 4), (None, gray >> 8), ((0, 255), np.minimum(gray, 255))):
        for file in (png(gray, color=0, bits=16), tiff(gray), tiff(gray, order=">")):
            assert (read_image(file, channels=1, levels=levels)[..., 0] == expected).all()
    for file in (png(color, color=2, bits=16), tiff(color, photometric=2, order=">"), ppm(color, 65_535)):
        assert (read_image(file, channels=3, levels=(0, 4095)) == color >> 4).all()
    few = np.array([[0, 1], [2, 3]], np.uint16)
    assert read_image(png(few, color=0, bits=16), channels=1, levels=(0, 3)).ravel().tolist() == [
        0,
        85,
        170,
        255,
    ]
    offset = np.array([[31_000, 32_000], [33_000, 34_000]], np.uint16)
    seen = read_image(tiff(offset), channels=1, levels=(31_000, 34_000)).ravel().tolist()
    assert seen == [0, 85, 170, 255]
    assert (
        read_image(saved(Image.fromarray(NARROW), "PNG"), channels=3, levels=(0, 15)) > 15
    ).any()  # 8 bits stay


@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
@pytest.mark.parametrize("order", "<>")
def test_what_pil_images_show_is_what_their_files_show(tmp_path: Path, photometric: int, order: str) -> None:
    file = tmp_path / "image.tif"
    file.write_bytes(tiff(DEEP[..., 0], photometric=photometric, order=order))
    if (photometric, order) == (BLACK_IS_ZERO, "<"):
        assert (image_pixels(Image.open(file)) == read_image(file, channels=1)).all()
    assert (image_pixels(Image.fromarray(DEEP[..., 0])) == DEEP[..., :1] >> 8).all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "page of the web"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\0\1", "Photoshop"),
        (bytes(128) + b"DICM", "DICOM"),
    ],
)
def test_what_is_no_image_is_called_by_its_name(data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_image(data, channels=3)
