"""JPEG files decoded by libjpeg-turbo, without Pillow: faster, and the other threads go on meanwhile."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from allometry.data.images.pixels import Pixels

REDUCTIONS = (8, 4, 2)  # libjpeg-turbo's others take longer than decoding the whole image
_ORIENTATION_TAG = 0x0112
_EXIF = b"Exif\x00\x00"
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
_SEQUENTIAL = (0xC0, 0xC1)  # frames whose rows come once, from the top to the bottom
_END_OF_IMAGE, _TRAILING = b"\xff\xd9", 1024  # some programs write a little behind it
_MARGIN = 16  # rows: where colors are blended, the last ones would want to see those below
_ALONE = frozenset({0x01, 0xFF, *range(0xD0, 0xD9)})  # markers without a length, and fill bytes
_CHANNELS = {"GRAY": 1, "RGB": 3}
_COLORS = {"Gray": "GRAY", "YCbCr": "RGB", "RGB": "RGB"}


class JpegHeader(NamedTuple):
    """What a JPEG file says about itself.

    Attributes:
        height: as stored, in pixels, before any rotation.
        width: as stored, in pixels.
        colors: `GRAY` or `RGB`, which of the two the pixels are decoded to.
        orientation: 1 to 8, of the EXIF block; 1 is upright.
        frame: where in the file the segment lies that says how high the image is, if one may say less there to have
            only the upper rows; 0 for progressive files, in which all rows come several times, and for files without
            their end.
    """

    height: int
    width: int
    colors: str
    orientation: int
    frame: int = 0


def jpeg_header(data: bytes) -> JpegHeader | None:
    """The header of a JPEG file; None where only Pillow can read it (CMYK), or where it is broken.

    Example:
        >>> jpeg_header(simplejpeg.encode_jpeg(np.zeros((6, 8, 3), np.uint8)))
        JpegHeader(height=6, width=8, colors='RGB', orientation=1, frame=158)
        >>> jpeg_header(b"no image") is None
        True
    """
    try:
        height, width, kind, _ = simplejpeg.decode_jpeg_header(data)
        orientation_blocks, frame = _walk(data)
    except (ValueError, IndexError):
        return None
    orientation = _orientation(orientation_blocks)
    if orientation is None or kind not in _COLORS:
        return None
    return JpegHeader(height, width, _COLORS[kind], orientation, frame)


def decode_jpeg(
    data: bytes,
    header: JpegHeader,
    *,
    min_side: int | None = None,
    quick: bool = False,
    upper: float = 1.0,
) -> Pixels | None:
    """Decode a JPEG file as it is stored; None where libjpeg-turbo has anything to complain about.

    Its complaints are of truncated files, which nobody wants, and of oddities that do no harm; Pillow tells the
    two apart.

    Args:
        data: the file's bytes.
        header: its header.
        min_side: decode at 1/2, 1/4 or 1/8 of the size where the shorter side still has this many pixels.
        quick: round more coarsely and repeat the color of neighbors instead of blending it, in less time; levels
            differ by about one on the average.
        upper: fraction of the rows, from the top, that will be looked at. Those below may come out black, which saves
            the time for them.

    Returns:
        uint8 [height, width, 1] or [height, width, 3], as `header.colors` says.

    Example:
        >>> data = simplejpeg.encode_jpeg(np.full((60, 80, 3), 200, np.uint8))
        >>> decode_jpeg(data, jpeg_header(data), min_side=25).shape
        (30, 40, 3)
        >>> decode_jpeg(data[:-9], jpeg_header(data)) is None
        True
    """
    factor = reduction(min(header.height, header.width), min_side)
    height, width = -(-header.height // factor), -(-header.width // factor)
    rows = min(header.height, math.ceil(header.height * upper) + _MARGIN)
    options: dict[str, Any] = {"fastdct": quick, "fastupsample": quick, "min_width": width}
    try:
        if rows == header.height or not header.frame:
            whole: Pixels = simplejpeg.decode_jpeg(data, header.colors, min_height=height, **options)
            return whole
        # Decoded in place: a copy would take time, in which no other thread goes on.
        pixels = np.empty((height, width, _CHANNELS[header.colors]), np.uint8)
        decoded = -(-rows // factor)
        pixels[decoded:] = 0
        options |= {"min_height": decoded, "buffer": pixels}
        # The rest of the image is what libjpeg-turbo would complain of.
        simplejpeg.decode_jpeg(with_height(data, header, rows), header.colors, strict=False, **options)
    except ValueError:
        return None
    return pixels


def with_height(data: bytes, header: JpegHeader, rows: int) -> bytearray:
    """A JPEG file that calls itself shorter than it is, so that a decoder stops after its upper rows.

    What lies in the file follows from left to right and from the top to the bottom, and nothing says where a row
    begins: rows above cannot be passed over, rows below can.

    Example:
        >>> data = simplejpeg.encode_jpeg(np.zeros((60, 80, 3), np.uint8))
        >>> simplejpeg.decode_jpeg_header(with_height(data, jpeg_header(data), 20))[:2]
        (20, 80)
    """
    shortened = bytearray(data)
    shortened[header.frame + 5 : header.frame + 7] = rows.to_bytes(2)
    return shortened


def reduction(side: float, min_side: float | None) -> int:
    """The largest of 8, 4, 2 and 1 that leaves `min_side` pixels of `side`, rounded up.

    Example:
        >>> reduction(375, 188), reduction(375, 189), reduction(375, None)
        (2, 1, 1)
    """
    if min_side is None:
        return 1
    return next((factor for factor in REDUCTIONS if math.ceil(side / factor) >= min_side), 1)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """The image as EXIF's orientation wants it seen; other numbers than 2 to 8 change nothing.

    Example:
        >>> upright(np.arange(6, dtype=np.uint8).reshape(2, 3, 1), 6)[..., 0].tolist()
        [[3, 0], [4, 1], [5, 2]]
    """
    if orientation not in range(2, 9):
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _walk(data: bytes) -> tuple[list[bytes], int]:
    """What the segments before the image hold that may say something of the orientation, and `JpegHeader.frame`."""
    blocks, frame = [], 0
    for marker, place in _segments(data):
        if marker == _APP1:
            blocks.append(data[place + 4 : place + 2 + _length(data, place)])
        elif marker in _SEQUENTIAL:
            frame = place
        elif marker == _START_OF_SCAN and frame and data[place + 4] == data[frame + 9]:
            # The first scan holds all components, so that there is no other one.
            return blocks, frame if _END_OF_IMAGE in data[-_TRAILING:] else 0
    return blocks, 0


def _orientation(blocks: list[bytes]) -> int | None:
    """Of the EXIF block, else of the XMP block, else 1; None where they cannot be read."""
    in_exif = in_xmp = None
    for block in blocks:
        if block.startswith(_EXIF):
            exif = Image.Exif()
            try:
                exif.load(block)
                in_exif = int(exif[_ORIENTATION_TAG]) if _ORIENTATION_TAG in exif else in_exif
            except Exception:  # Pillow raises nearly anything on a torn block; its own reader tries it again
                return None
        elif match := _XMP_ORIENTATION.search(block):
            in_xmp = int(match[1])
    return in_exif or in_xmp or 1


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of each segment up to the first scan, which is the last one."""
    place = 2
    while data[place] == 0xFF:
        marker = data[place + 1]
        if marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        yield marker, place
        if marker == _START_OF_SCAN:
            return
        place += 2 + _length(data, place)


def _length(data: bytes, place: int) -> int:
    return int.from_bytes(data[place + 2 : place + 4])
