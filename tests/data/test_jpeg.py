from __future__ import annotations

import math
from contextlib import suppress
from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from allometry.base import DataError
from allometry.data import read_image
from allometry.data.images.jpeg import decode_jpeg, jpeg_header, upright

Pixels = npt.NDArray[np.uint8]


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, channels))
    return coarse.astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)[:height, :width]


def jpeg(pixels: Pixels, **options: object) -> bytes:
    data = BytesIO()
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).save(data, "JPEG", **options)
    return data.getvalue()


def by_pillow(data: bytes, factor: int = 1) -> Pixels:
    image = Image.open(BytesIO(data))
    image.draft(image.mode, (image.width // factor, image.height // factor))
    pixels: Pixels = np.array(image)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def decoded(data: bytes, min_side: int | None = None, *, quick: bool = False, upper: float = 1.0) -> Pixels:
    header = jpeg_header(data)
    assert header is not None
    pixels = decode_jpeg(data, header, min_side=min_side, quick=quick, upper=upper)
    assert pixels is not None
    return pixels


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([1, 3]),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
    st.sampled_from([1, 2, 4, 8]),
)
def test_equals_pillow(
    height: int, width: int, channels: int, subsampling: int, progressive: bool, factor: int
) -> None:
    data = jpeg(picture(height, width, channels), subsampling=subsampling, progressive=progressive)
    assert (decoded(data) == by_pillow(data)).all()
    if min(height, width) >= 8:
        small = decoded(data, min_side=-(-min(height, width) // factor))
        assert small.shape[:2] == (-(-height // factor), -(-width // factor))
        assert (small == by_pillow(data, factor)).all()


def test_large_enough_and_no_larger() -> None:
    data = jpeg(picture(375, 500))
    for min_side, height in ((375, 375), (189, 375), (188, 188), (95, 188), (94, 94), (47, 47), (1, 47)):
        assert decoded(data, min_side).shape[0] == height


@pytest.mark.parametrize("end", [-3, -4, -30])
def test_a_file_without_its_end_is_refused(end: int) -> None:
    data = jpeg(picture(64, 64))[:end]
    for min_side in (None, 32, 8):
        with pytest.raises(DataError, match="truncated"):
            read_image(data, channels=3, min_side=min_side)


def test_what_libjpeg_only_warns_of_is_read_as_pillow_reads_it() -> None:
    data = jpeg(picture(64, 64))
    odd = data[:-2] + b"\x00\x01" * 40 + data[-2:]  # extraneous bytes before the end
    header = jpeg_header(odd)
    assert header is not None
    assert decode_jpeg(odd, header) is None
    assert (read_image(odd, channels=3) == by_pillow(data)).all()
    assert (read_image(data + b"what a camera left behind", channels=3) == by_pillow(data)).all()


def test_colors_that_only_pillow_knows() -> None:
    data = BytesIO()
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(data, "JPEG")
    assert jpeg_header(data.getvalue()) is None


def test_a_gray_network_sees_a_color_file_as_pillow_does() -> None:
    data = jpeg(picture(40, 30))
    gray = np.array(Image.open(BytesIO(data)).convert("L"))
    assert (read_image(data, channels=1)[..., 0] == gray).all()


def segment(content: bytes) -> bytes:
    return b"\xff\xe1" + (len(content) + 2).to_bytes(2) + content


XMP = b'http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("exif", [None, 1, 3, 8])
@pytest.mark.parametrize("xmp_first", [True, False])
def test_exif_comes_before_xmp(exif: int | None, xmp_first: bool) -> None:
    plain = jpeg(picture(40, 30))
    block = Image.Exif()
    block[0x010F] = "a maker"
    if exif is not None:
        block[0x0112] = exif
    parts = [segment(XMP), segment(block.tobytes())]
    data = plain[:2] + b"".join(parts if xmp_first else parts[::-1]) + plain[2:]
    header = jpeg_header(data)
    assert header is not None
    assert header.orientation == (exif or 6) == Image.open(BytesIO(data)).getexif()[0x0112]
    assert (read_image(data, channels=3) == upright(by_pillow(plain), exif or 6)).all()


@settings(deadline=None, max_examples=200)
@given(st.integers(2, 1500), st.integers(0, 255))
def test_any_damage_is_read_or_refused_with_a_reason(place: int, value: int) -> None:
    data = bytearray(jpeg(picture(40, 30)))
    data[place % len(data)] = value
    with suppress(DataError):
        assert read_image(bytes(data), channels=3, max_pixels=10_000).shape[2] == 3


@settings(deadline=None, max_examples=80)
@given(
    st.integers(1, 120),
    st.integers(1, 90),
    st.sampled_from([1, 3]),
    st.sampled_from([0, 1, 2]),
    st.sampled_from(["", "progressive", "restarts"]),
    st.sampled_from([1, 2, 4, 8]),
    st.booleans(),
    st.floats(0.01, 1),
)
def test_the_upper_rows_alone_are_those_of_the_whole(
    height: int,
    width: int,
    channels: int,
    subsampling: int,
    kind: str,
    factor: int,
    quick: bool,
    upper: float,
) -> None:
    kinds: dict[str, dict[str, object]] = {
        "progressive": {"progressive": True},
        "restarts": {"restart_marker_rows": 1},
    }
    data = jpeg(picture(height, width, channels), subsampling=subsampling, **kinds.get(kind, {}))
    min_side = -(-min(height, width) // factor)
    whole = decoded(data, min_side, quick=quick)
    part = decoded(data, min_side, quick=quick, upper=upper)
    assert part.shape == whole.shape
    rows = -(-math.ceil(height * upper) // (height / whole.shape[0]))
    assert (part[: int(rows)] == whole[: int(rows)]).all()


def test_rows_that_nobody_looks_at_are_not_decoded() -> None:
    data = jpeg(np.full((400, 300, 3), 200, np.uint8))
    part = decoded(data, upper=0.5)
    assert part[:200].min() == 200
    assert not part[240:].any()
    assert decoded(jpeg(np.full((400, 300, 3), 200, np.uint8), progressive=True), upper=0.5).min() == 200


def test_quick_is_near() -> None:
    data = jpeg(cv2.GaussianBlur(picture(200, 300), (0, 0), 8), quality=90)
    difference = np.abs(decoded(data, quick=True).astype(int) - decoded(data))
    assert 0 < difference.mean() < 1.5


@pytest.mark.parametrize("end", [-4, -30, -3000])
def test_of_a_file_without_its_end_not_even_the_upper_rows_are_taken(end: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    with pytest.raises(DataError, match="truncated"):
        read_image(jpeg(noise)[:end], channels=3, upper=0.1)


def test_a_rotated_image_is_decoded_whole() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg(np.full((400, 300, 3), 200, np.uint8), exif=exif)
    assert read_image(data, channels=3, upper=0.1).min() == 200
