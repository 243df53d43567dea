from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from allometry.base import DataError
from allometry.data import read_image

RANDOM = np.random.default_rng(3)
GRAY = RANDOM.integers(0, 256, (7, 5), dtype=np.uint8)
RGB = RANDOM.integers(0, 256, (7, 5, 3), dtype=np.uint8)
ALPHA = RANDOM.integers(0, 256, (7, 5), dtype=np.uint8)
WIDE = RANDOM.integers(0, 65536, (7, 5, 4), dtype=np.uint16)
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def file_of(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    data = BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def encoded(array: npt.NDArray[np.generic], kind: str) -> bytes:
    return bytes(cv2.imencode(kind, array)[1].tobytes())


def over_white(color: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    fraction = alpha[..., np.newaxis] / 255
    return color * fraction + 255 * (1 - fraction)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_plain_kinds(kind: str) -> None:
    assert (read_image(file_of(Image.fromarray(RGB), kind), channels=3) == RGB).all()
    gray = read_image(file_of(Image.fromarray(GRAY), kind), channels=1)
    assert gray.shape == (7, 5, 1)
    assert (gray[..., 0] == GRAY).all()


def test_lossless_webp() -> None:
    assert (read_image(file_of(Image.fromarray(RGB), "WEBP", lossless=True), channels=3) == RGB).all()


def test_gray_as_color_and_color_as_gray() -> None:
    assert (read_image(file_of(Image.fromarray(GRAY)), channels=3) == GRAY[..., np.newaxis]).all()
    gray = read_image(file_of(Image.fromarray(RGB)), channels=1)[..., 0]
    assert np.abs(gray - RGB @ [0.299, 0.587, 0.114]).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF", "PPM"])
def test_bilevel(kind: str) -> None:
    bits = GRAY > 127
    image = read_image(file_of(Image.fromarray(bits), kind), channels=1)
    assert (image[..., 0] == bits * 255).all()


def test_palette_with_and_without_transparency() -> None:
    image = Image.new("P", (5, 7))
    image.putdata((GRAY % 4).ravel().tolist())
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]], np.uint8)
    image.putpalette(colors.ravel().tolist())
    expected = colors[GRAY % 4]
    assert (read_image(file_of(image), channels=3) == expected).all()
    assert (read_image(file_of(image, "GIF"), channels=3) == expected).all()
    clear = np.where((GRAY % 4 == 1)[..., np.newaxis], 255, expected)
    assert (read_image(file_of(image, transparency=1), channels=3) == clear).all()
    assert (read_image(file_of(image, "GIF", transparency=1), channels=3) == clear).all()
    soft = read_image(file_of(image, transparency=bytes([0, 255, 128, 255])), channels=3)
    alphas = np.array([0, 255, 128, 255], np.uint8)[GRAY % 4]
    assert np.abs(soft - over_white(expected, alphas)).max() <= 1


def test_alpha_is_laid_over_white() -> None:
    rgba = Image.fromarray(np.dstack([RGB, ALPHA]))
    assert np.abs(read_image(file_of(rgba), channels=3) - over_white(RGB, ALPHA)).max() <= 1
    gray_alpha = Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(ALPHA)])
    gray = read_image(file_of(gray_alpha), channels=1)
    assert np.abs(gray - over_white(GRAY[..., np.newaxis], ALPHA)).max() <= 1


def test_one_color_declared_transparent() -> None:
    image = Image.new("RGB", (3, 2), (10, 20, 30))
    image.putpixel((0, 0), (1, 2, 3))
    pixels = read_image(file_of(image, transparency=(10, 20, 30)), channels=3)
    assert pixels[0, 0].tolist() == [1, 2, 3]
    assert (pixels[1] == 255).all()


@pytest.mark.parametrize("kind", [".png", ".tiff", ".pgm"])
def test_sixteen_bit_gray(kind: str) -> None:
    image = read_image(encoded(WIDE[..., 0], kind), channels=1)
    assert (image[..., 0] == WIDE[..., 0] >> 8).all()


@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_sixteen_bit_color(kind: str) -> None:
    image = read_image(encoded(WIDE[..., :3], kind), channels=3)
    assert (image == (WIDE[..., 2::-1] >> 8)).all()


def test_sixteen_bit_with_alpha() -> None:
    image = read_image(encoded(WIDE, ".png"), channels=3)
    narrow = (WIDE >> 8).astype(np.uint8)
    assert np.abs(image - over_white(narrow[..., 2::-1], narrow[..., 3])).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    assert np.abs(read_image(file_of(image, kind), channels=3) - np.array([0.0, 255, 255])).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = file_of(Image.fromarray(RGB), kind, exif=exif, **options)
    assert (read_image(data, channels=3) == TURNS[orientation](RGB)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_of_jpeg(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = np.linspace(0, 250, 64 * 32).reshape(64, 32).astype(np.uint8)
    data = file_of(Image.fromarray(smooth), "JPEG", exif=exif, quality=95)
    pixels = read_image(data, channels=1)[..., 0].astype(int)
    assert np.abs(pixels - TURNS[orientation](smooth)).max() < 12
    small = read_image(data, channels=1, min_side=8)
    assert min(small.shape[:2]) == 8
    assert (small.shape[0] > small.shape[1]) == (pixels.shape[0] > pixels.shape[1])


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (6, 4), color) for color in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = file_of(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (read_image(data, channels=3) == [255, 0, 0]).all()


def test_shrinks_to_exactly_what_is_needed() -> None:
    picture = np.tile(np.linspace(0, 255, 300).astype(np.uint8), (200, 1))
    for kind in ("JPEG", "PNG"):
        small = read_image(file_of(Image.fromarray(picture), kind), channels=1, min_side=50)
        assert small.shape == (50, 75, 1)
        assert np.abs(small[25, :, 0] - (picture[0, 1::4].astype(float) + picture[0, 2::4]) / 2).max() < 3
        assert read_image(file_of(Image.fromarray(picture), kind), channels=1, min_side=999).shape[0] == 200


def test_reads_a_path_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "größe 1.jpg"
    path.write_bytes(file_of(Image.fromarray(RGB), "PNG"))
    assert (read_image(path, channels=3) == RGB).all()
    assert (read_image(str(path), channels=3) == RGB).all()


def test_says_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("not an image")
    for name, reason in {
        "gone.png": "there is no such file",
        "empty.png": "the file is empty",
        "text.jpg": "not an image of a known format",
        "": "it is a folder",
    }.items():
        with pytest.raises(DataError, match=reason):
            read_image(tmp_path / name, channels=3)
    with pytest.raises(DataError, match="1 channel"):
        read_image(tmp_path / "any.png", channels=2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP"])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_truncated(kind: str, fraction: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = file_of(Image.fromarray(noise), kind)
    for min_side in (None, 8):
        with pytest.raises(DataError, match=r"truncated|broken"):
            read_image(data[: int(len(data) * fraction)], channels=3, min_side=min_side)


def test_huge_images_are_refused_before_decoding() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    tag = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + tag + struct.pack(">I", zlib.crc32(tag))
    bomb += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(DataError, match=r"60000 x 60000 .* 100 million"):
        read_image(bomb, channels=3)
    with pytest.raises(DataError, match="more than the limit"):
        read_image(file_of(Image.fromarray(RGB)), channels=3, max_pixels=34)
    assert read_image(file_of(Image.fromarray(RGB)), channels=3, max_pixels=35).shape == RGB.shape


def test_images_without_pixels_and_of_unknown_range_are_refused() -> None:
    empty = bytearray(file_of(Image.fromarray(RGB), "BMP"))
    empty[18:22] = struct.pack("<i", 0)
    with pytest.raises(DataError, match=r"no pixels|broken"):
        read_image(bytes(empty), channels=3)
    with pytest.raises(DataError, match="32-bit"):
        read_image(file_of(Image.new("F", (3, 3)), "TIFF"), channels=1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's, and only a warning
def test_torn_exif_does_not_matter() -> None:
    plain = file_of(Image.fromarray(GRAY), "JPEG")
    torn = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x09torn"
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(torn) + 2) + torn + plain[2:]
    assert (read_image(data, channels=1) == read_image(plain, channels=1)).all()
