"""One image file, of any of the common kinds, as 8-bit pixels."""

from __future__ import annotations

import os
import struct
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from allometry.base import DataError
from allometry.data.images.jpeg import decode_jpeg, jpeg_header, upright
from allometry.data.images.pixels import Pixels, shrink

MAX_PIXELS = 100_000_000
_AT_ONCE = 2**20  # bytes
# In lower case, without those that need more than Pillow.
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})

_READERS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"RIFF", WebPImageFile),
    (b"BM", BmpImageFile),
    (b"GIF8", GifImageFile),
    (b"II*\x00", TiffImageFile),
    (b"MM\x00*", TiffImageFile),
    *((b"P%d" % number, PpmImageFile) for number in range(1, 7)),
)
_LYING = range(5, 9)  # orientations that exchange height and width
_ORIENTATION_TAG = 0x0112


class UnreadableImageError(DataError):
    """An image that cannot be read; `reason` is the second half of the sentence."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Cannot read {name}: {reason}.")
        self.reason = reason


class Decoded(NamedTuple):
    """A decoded image.

    Attributes:
        image: upright, uint8 [height, width, channels], 1 for gray and 3 for RGB; a JPEG may be smaller than its
            file says (see `decode`).
        height: of the file's image, upright, in pixels.
        width: of the file's image, upright, in pixels.
    """

    image: Pixels
    height: int
    width: int


def read_image(
    source: str | Path | bytes,
    *,
    channels: int,
    min_side: int | None = None,
    quick: bool = False,
    upper: float = 1.0,
    max_pixels: int = MAX_PIXELS,
) -> Pixels:
    """Read an image file as uint8 [height, width, channels].

    JPEG, PNG, WebP, BMP, GIF, TIFF and PPM, told apart by content, not by name. Transparency is laid over
    white, EXIF rotation is carried out, an animation gives its first frame, and of 16 bits the upper 8 are
    kept.

    Args:
        source: the file, or its bytes.
        channels: 3 for RGB, 1 for gray.
        min_side: the caller needs no more than this shorter side, in pixels: a larger image is shrunk to exactly that
            (a JPEG is decoded smaller to begin with).
        quick: a JPEG may be decoded less exactly for less time (see `decode_jpeg`).
        upper: fraction of the rows, from the top, that will be looked at; those below may come out black.
        max_pixels: refuse larger images before they fill the memory.

    Raises:
        DataError: the file is missing, empty, of no known format, broken or too large.

    Example:
        >>> data = BytesIO()
        >>> Image.new("RGB", (6, 4), (255, 0, 0)).save(data, "PNG")
        >>> red = read_image(data.getvalue(), channels=3)
        >>> red.shape, red[0, 0].tolist()
        ((4, 6, 3), [255, 0, 0])
        >>> read_image(b"Hello", channels=3)
        Traceback (most recent call last):
            ...
        allometry.data.images.reading.UnreadableImageError: Cannot read the given bytes: it is not an image of ...
    """
    if channels not in (1, 3):
        raise DataError(f"Images are read with 1 channel (gray) or 3 (color), not {channels!r}.")
    if isinstance(source, bytes):
        name, data = "the given bytes", source
    else:
        name, data = str(source), read_file(Path(source))
    options: dict[str, Any] = {"quick": quick, "upper": upper, "max_pixels": max_pixels}
    image = decode(data, name=name, min_side=min_side, **options).image
    return shrink(to_pixels(image, channels=channels), min_side)


def read_file(path: Path) -> bytes:
    """The bytes of a file; `UnreadableImageError` where there is none."""
    try:
        return _whole(path)
    except FileNotFoundError as error:
        raise UnreadableImageError(str(path), "there is no such file") from error
    except IsADirectoryError as error:
        raise UnreadableImageError(str(path), "it is a folder, not an image") from error
    except OSError as error:
        raise UnreadableImageError(str(path), error.strerror or str(error)) from error


def _whole(path: Path) -> bytes:
    # With as few calls to the system as there can be: around each of them threads hand Python's lock over.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(file).st_size
        parts = [os.read(file, size + 1)]
        if len(parts[0]) != size:  # not a plain file, a very large one, or one that is being written
            while part := os.read(file, _AT_ONCE):
                parts.append(part)
        return b"".join(parts)
    finally:
        os.close(file)


def decode(
    data: bytes,
    *,
    name: str,
    min_side: int | None = None,
    quick: bool = False,
    upper: float = 1.0,
    max_pixels: int = MAX_PIXELS,
) -> Decoded:
    """Decode the bytes of a file called `name`, upright and with 8 bits; see `read_image`.

    With `min_side` a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that is still large enough.
    """
    reader = _reader(data, name)
    header = jpeg_header(data) if reader is JpegImageFile else None
    if header is not None:
        _check_size(header.width, header.height, name, max_pixels)
        upper = upper if header.orientation == 1 else 1.0
        pixels = decode_jpeg(data, header, min_side=min_side, quick=quick, upper=upper)
        if pixels is not None:
            return _decoded(pixels, header.height, header.width, header.orientation)
    try:
        image = reader(BytesIO(data))
        width, height = image.size
        _check_size(width, height, name, max_pixels)
        if min_side is not None and isinstance(image, JpegImageFile):
            image.draft(image.mode, (min_side, min_side))
        image.load()
        orientation = _orientation(image)
        flat = eight_bit(image, name)
    except (UnreadableImageError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on a broken file
        raise UnreadableImageError(name, _reason(error)) from error
    return _decoded(with_channel_axis(flat), height, width, orientation)


def to_pixels(pixels: Pixels, *, channels: int) -> Pixels:
    """Decoded pixels, gray or RGB, as gray or color."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    return with_channel_axis(Image.fromarray(pixels).convert("L"))


def is_gray(pixels: Pixels) -> bool:
    """Whether a decoded image shows no color, whatever its file's kind."""
    if pixels.shape[2] == 1:
        return True
    # Most color photographs are recognized by a few of their rows.
    return all(bool((part == part[:, :, :1]).all()) for part in (pixels[::16], pixels))


def _decoded(pixels: Pixels, height: int, width: int, orientation: int) -> Decoded:
    sides = (width, height) if orientation in _LYING else (height, width)
    return Decoded(upright(pixels, orientation), *sides)


def with_channel_axis(image: Image.Image) -> Pixels:
    """A gray or RGB image as an array with its channel axis."""
    pixels: Pixels = np.array(image)
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


def _reader(data: bytes, name: str) -> type[ImageFile]:
    # Image.open is passed over: its limit on pixels is a global of Pillow's, it warns where we refuse, and it
    # would try decoders (such as PostScript's) that nobody wants to run on a folder of images.
    if not data:
        raise UnreadableImageError(name, "the file is empty")
    for signature, reader in _READERS:
        if data.startswith(signature) and (signature != b"RIFF" or data[8:12] == b"WEBP"):
            return reader
    known = "JPEG, PNG, WebP, BMP, GIF, TIFF or PPM"
    raise UnreadableImageError(name, f"it is not an image of a known format ({known})")


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise UnreadableImageError(name, f"it has no pixels ({width} x {height})")
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:g} million pixels"
        raise UnreadableImageError(name, f"its {width} x {height} pixels are more than the limit of {limit}")


def eight_bit(image: Image.Image, name: str) -> Image.Image:
    """An image as gray or RGB with 8 bits: the upper 8 of 16, and white where it is transparent.

    Raises:
        UnreadableImageError: its pixels are of a kind of which none is known to be white.
    """
    wide = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if wide:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        reason = (
            "its pixels are 32-bit numbers, of which none is known to be white; save it with 8 or 16 bits"
        )
        raise UnreadableImageError(name, reason)
    if image.has_transparency_data:
        ink = image.convert("RGBA")
        paper = Image.new("RGBA", ink.size, "white")
        return Image.alpha_composite(paper, ink).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _orientation(image: ImageFile) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except (SyntaxError, ValueError, TypeError, OSError, struct.error, UserWarning):
        return 1  # a torn EXIF block says nothing about the pixels


def _reason(error: Exception) -> str:
    text = str(error).rstrip(".")
    if isinstance(error, EOFError) or "truncated" in text.lower():
        return "the file is truncated"
    return f"the file is broken ({text or type(error).__name__})"
