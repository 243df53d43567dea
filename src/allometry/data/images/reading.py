"""One image file, of any of the common kinds, as 8-bit pixels."""

from __future__ import annotations

import os
import re
import stat
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from allometry.base import DataError
from allometry.data.images.formats import reader_of, what_else
from allometry.data.images.jpeg import JpegHeader, decode_jpeg, jpeg_header, reduction, upright
from allometry.data.images.limits import (
    MAX_FILE,
    MAX_PIXELS,
    TooLargeError,
    check_opened,
    check_scans,
    check_sides,
    check_start,
    decoding_bytes,
    reserved,
)
from allometry.data.images.pixels import Pixels, shrink
from allometry.data.images.showing import (
    UnsupportedImageError,
    orientation_of,
    show,
    with_end,
    without_negative,
)

Levels = tuple[int, int]
"""Which values of 16 bits are black and white."""
_AT_ONCE = 2**20  # bytes
_LYING = range(5, 9)  # orientations that exchange height and width
# What Pillow says of kinds that it does not read, rather than of damage.
_UNSUPPORTED = re.compile(
    r"unsupported|not (yet )?supported|unknown (pixel mode|raw mode|data organization)|cannot handle|unrecognized"
    r"|not available|samples per pixel",
    re.IGNORECASE,
)


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
        deep: uint16 [height, width, channels], not upright, where the file has 16 bits and they are wanted.
    """

    image: Pixels
    height: int
    width: int
    deep: npt.NDArray[np.uint16] | None = None


def read_image(
    source: str | Path | bytes,
    *,
    channels: int,
    min_side: int | None = None,
    quick: bool = False,
    upper: float = 1.0,
    max_pixels: int = MAX_PIXELS,
    levels: Levels | None = None,
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
        levels: of an image with 16 bits, which values are black and white, where that is not 0 and 65,535.

    Raises:
        DataError: the file is missing, empty, of no known or supported format, broken or too large.

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
    options: dict[str, Any] = {"quick": quick, "upper": upper, "max_pixels": max_pixels, "levels": levels}
    image = decode(data, name=name, min_side=min_side, **options).image
    try:
        return shrink(to_pixels(image, channels=channels), min_side)
    except (MemoryError, cv2.error) as error:
        raise UnreadableImageError(name, _too_little_memory(*image.shape[1::-1])) from error


def read_file(path: Path) -> bytes:
    """The bytes of a file; `UnreadableImageError` where there is none."""
    try:
        return _whole(path)
    except FileNotFoundError as error:
        raise UnreadableImageError(str(path), "there is no such file") from error
    except IsADirectoryError as error:
        raise UnreadableImageError(str(path), "it is a folder, not an image") from error
    except MemoryError as error:
        raise UnreadableImageError(str(path), "there is too little memory for the file") from error
    except ValueError as error:
        raise UnreadableImageError(str(path), f"that is no name of a file ({error})") from error
    except OSError as error:
        raise UnreadableImageError(str(path), error.strerror or str(error)) from error


def _whole(path: Path) -> bytes:
    # With as few calls to the system as there can be: around each of them threads hand Python's lock over.
    # A pipe that nobody writes to would never open, and a device never end.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_BINARY", 0))
    try:
        about = os.fstat(file)
        size = about.st_size
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(path)
        if not stat.S_ISREG(about.st_mode):
            raise OSError("it is not a regular file")
        if size > MAX_FILE:
            raise OSError(f"its {size:,} bytes are more than an image may have ({MAX_FILE:,})")
        parts = [os.read(file, size + 1)]
        if len(parts[0]) != size:  # not a plain file, a very large one, or one that is being written
            while len(parts) <= MAX_FILE // _AT_ONCE and (part := os.read(file, _AT_ONCE)):
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
    levels: Levels | None = None,
    exact: bool = False,
) -> Decoded:
    """Decode the bytes of a file called `name`, upright and with 8 bits; see `read_image`.

    With `min_side` a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that is still large enough. With `exact` all
    of 16 bits are given, too.
    """
    reader = _reader(data, name)
    header = jpeg_header(data) if reader is JpegImageFile else None
    try:
        if header is not None:
            decoded = _decode_jpeg(data, header, min_side, quick=quick, upper=upper, max_pixels=max_pixels)
            if decoded is not None:
                return decoded
        check_start(data)
        return _decode(reader, data, min_side, max_pixels=max_pixels, levels=levels, exact=exact)
    except (TooLargeError, UnsupportedImageError) as error:
        raise UnreadableImageError(name, str(error)) from error
    except Exception as error:  # Pillow's decoders raise nearly anything on a broken file
        raise UnreadableImageError(name, _reason(error, reader.format)) from error


def _decode_jpeg(
    data: bytes, header: JpegHeader, min_side: int | None, *, quick: bool, upper: float, max_pixels: int
) -> Decoded | None:
    """A JPEG file that libjpeg-turbo has nothing to complain of."""
    check_sides(header.width, header.height, max_pixels)
    if not header.frame:
        check_scans(data, header.width, header.height)
    upper = upper if header.orientation == 1 else 1.0
    # Of files whose rows come several times all of the image is kept, whatever is wanted of it.
    area, factor = header.width * header.height, reduction(min(header.height, header.width), min_side)
    with reserved(6 * area // factor**2 + (0 if header.frame else 6 * area)):
        pixels = decode_jpeg(data, header, min_side=min_side, quick=quick, upper=upper)
    return None if pixels is None else _decoded(pixels, header.height, header.width, header.orientation)


def _decode(
    reader: type[ImageFile],
    data: bytes,
    min_side: int | None,
    *,
    max_pixels: int,
    levels: Levels | None,
    exact: bool,
) -> Decoded:
    """Any file that Pillow reads."""
    data, negative = without_negative(data)
    image = _opened(reader, data, negative=negative)
    width, height = image.size
    check_opened(image, len(data), max_pixels)
    if reader is JpegImageFile:
        check_scans(data, width, height)
    with reserved(decoding_bytes(image)):
        if reader is JpegImageFile:
            whole = with_end(data, partial(_opened, reader))
            image = image if whole is data else _opened(reader, whole)
        if min_side is not None and isinstance(image, JpegImageFile):
            image.draft(image.mode, (min_side, min_side))
        again = partial(_opened, reader, data)
        pixels, deep = show(image, again=again, levels=levels, exact=exact)
        orientation = orientation_of(image)
        shown = pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
        return _decoded(shown, height, width, orientation)._replace(deep=deep)


def _opened(reader: type[ImageFile], data: bytes, *, negative: bool = False) -> ImageFile:
    image = reader(BytesIO(data))
    image.info["negative"] = negative
    return image


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
    reader = reader_of(data)
    if reader is None:
        raise UnreadableImageError(name, what_else(data))
    return reader


def _too_little_memory(width: int, height: int) -> str:
    return f"there is too little memory for its {width} x {height} pixels"


def _reason(error: Exception, kind: str | None) -> str:
    text = str(error).rstrip(".")
    if isinstance(error, MemoryError):
        return "there is too little memory to decode it"
    if isinstance(error, EOFError) or "truncated" in text.lower():
        return "the file is truncated"
    unknown = kind == "TIFF" and isinstance(
        error.__cause__ or error, KeyError
    )  # a compression, by its number
    if unknown or _UNSUPPORTED.search(text):
        what = f"this kind of {kind} is not supported ({text or type(error).__name__})"
        return f"{what}; save it as JPEG or PNG with 8 or 16 bits, gray or RGB"
    return f"the file is broken ({text or type(error).__name__})"
