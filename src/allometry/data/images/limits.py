"""What an image may take before any memory is taken for it: sides, bytes, scans, and all threads together."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL.Image import Image

from allometry.base.machine import memory
from allometry.data.images.showing import all_fields, raw_mode

MAX_PIXELS = 100_000_000
MAX_FILE = 2**30  # bytes; as many as the most pixels have with four channels of 16 bits, and some more
_MAX_SIDE = 65_535
_MAX_SCANS = 100  # of a JPEG; programs write about ten
_MAX_SCANNED = 1_500_000_000  # pixels times scans
_MAX_PLAIN = 16 * 2**20  # bytes of a PPM file in decimal digits, which are read slowly
_FREE = 2**29  # bytes that it may take to decode any file
_RATIO = 5000  # bytes for each byte of a file, beyond that; Deflate makes at most 1032 of one
_SHORT, _MOST_OF_SHORT = 2**20, 2**30  # a file of so many bytes may take so many
# Bytes for each pixel while an image is decoded and brought to gray or RGB on white, by what Pillow calls it.
_TAKEN = {"1": 3, "L": 3, "I;16": 9, "I;16B": 9, "I": 12, "F": 12, "RGB": 12, "YCbCr": 12, "CMYK": 12}
_TAKEN_ELSE, _TAKEN_BY_WEBP, _TAKEN_BY_16_BITS = 20, 28, 40
_ALONE = 32 * 2**20  # bytes; what takes less need not wait
# Of one value of a TIFF, by the number of its kind.
_BYTES_OF_KIND = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_MOST, _SHARE = 4 * 2**30, 4


class TooLargeError(ValueError):
    """A file that would take too much; the message is the reason."""


class MemoryBudget:
    """Memory that threads share: what does not fit waits until others are done. What is larger than all goes alone.

    Example:
        >>> budget = MemoryBudget(100)
        >>> with budget.take(70):
        ...     budget.free
        30
        >>> budget.free
        100
    """

    def __init__(self, whole: int) -> None:
        self.whole = self.free = whole
        self._changed = threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Wait for so much, and give it back afterwards."""
        amount = min(amount, self.whole)
        with self._changed:
            self._changed.wait_for(lambda: self.free >= amount)
            self.free -= amount
        try:
            yield
        finally:
            with self._changed:
                self.free += amount
                self._changed.notify_all()


_BUDGET = MemoryBudget(min(_MOST, memory() // _SHARE))


@contextmanager
def reserved(amount: int) -> Iterator[None]:
    """Hold so many bytes of the memory that all threads decode in."""
    if amount < _ALONE:
        yield
        return
    with _BUDGET.take(amount):
        yield


def decoding_bytes(image: Image) -> int:
    """About how many bytes it takes to decode an image that Pillow has opened, and to bring it to 8 bits on white."""
    taken = _TAKEN.get(image.mode, _TAKEN_ELSE)
    if image.has_transparency_data:
        taken = max(taken, _TAKEN_ELSE)
    if image.format == "WEBP":
        taken = _TAKEN_BY_WEBP
    elif ";16" in raw_mode(image) and taken >= _TAKEN["RGB"]:
        taken = _TAKEN_BY_16_BITS
    return image.width * image.height * taken


def check_sides(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse an image by its sides.

    Example:
        >>> check_sides(100_000_000, 1)
        Traceback (most recent call last):
            ...
        allometry.data.images.limits.TooLargeError: its 100000000 x 1 pixels are more than 65,535 in a row or column
    """
    if width < 1 or height < 1:
        raise TooLargeError(f"it has no pixels ({width} x {height})")
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:g} million pixels"
        raise TooLargeError(f"its {width} x {height} pixels are more than the limit of {limit}")
    if max(width, height) > _MAX_SIDE:
        raise TooLargeError(f"its {width} x {height} pixels are more than {_MAX_SIDE:,} in a row or column")


def check_start(data: bytes) -> None:
    """Refuse a file by its first bytes, where Pillow would take memory already to open it."""
    if data.startswith(b"RIFF") and (sides := _webp_sides(data)):
        check_sides(*sides)
        _check_ratio(_TAKEN_BY_WEBP * sides[0] * sides[1], len(data))
    if data[:2] in (b"P1", b"P2", b"P3") and len(data) > _MAX_PLAIN:
        raise TooLargeError("a PPM image in digits of that size is not supported; save it as PNG")
    _check_fields(data)


def check_opened(image: Image, size: int, max_pixels: int) -> None:
    """Refuse an image that Pillow has opened and not decoded yet.

    Args:
        image: the image.
        size: of its file, in bytes.
        max_pixels: that it may have.

    Raises:
        TooLargeError: it would take too much memory or time.
    """
    width, height = image.size
    check_sides(width, height, max_pixels)
    _check_ratio(decoding_bytes(image), size)
    tiles = getattr(image, "tile", ())
    if len(tiles) > 1:
        covered = sum(
            max(0, right - left) * max(0, low - top) for left, top, right, low in (tile[1] for tile in tiles)
        )
        if covered > 8 * width * height:
            raise TooLargeError("its parts cover the image many times over")


def check_scans(data: bytes, width: int, height: int) -> None:
    """Refuse a JPEG file whose pixels are refined over and over."""
    scans = data.count(b"\xff\xda")
    if scans > _MAX_SCANS or scans * width * height > _MAX_SCANNED:
        raise TooLargeError(f"its {width} x {height} pixels come in {scans:,} scans, more than anybody needs")


def _check_ratio(needed: int, size: int) -> None:
    if (needed > _FREE and needed > _RATIO * size) or (needed > _MOST_OF_SHORT and size < _SHORT):
        raise TooLargeError(
            f"its {size:,} bytes would take {needed:,} to decode, more than any image that shows something"
        )


def _webp_sides(data: bytes) -> tuple[int, int] | None:
    """Width and height as a WebP file's first chunk tells them."""
    if len(data) < 30 or data[8:12] != b"WEBP":
        return None
    if data[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return None


def _check_fields(data: bytes) -> None:
    """Refuse a TIFF whose fields overlap, so that together they are many times the file."""
    whole = sum(
        min(len(data), number * _BYTES_OF_KIND.get(kind, 0)) for _, kind, number, _ in all_fields(data)
    )
    if whole > 8 * len(data) + 2**20:
        raise TooLargeError("its fields lie in one another, many times over")
