"""What a file that Pillow has opened shows, with 8 bits. Every delivered program has the text below, too."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

# From here on this is a part of delivered programs, too, which have NumPy and Pillow and nothing of ours.


class UnsupportedImageError(ValueError):
    """An image of a kind that cannot be read rightly; the message says which, and what works."""


def show(
    opened: Image.Image,
    *,
    again: Callable[[], Image.Image] | None = None,
    levels: tuple[int, int] | None = None,
    exact: bool = False,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """An image as uint8 [height, width] for gray or [height, width, 3] for RGB, and white where it is transparent.

    Args:
        opened: the image, not loaded yet where it is a file.
        again: opens the same file once more; without it, of 16 bits in color the upper 8 are all that is known.
        levels: which values of 16 bits are black and white; None for 0 and 65,535, so that the upper 8 are taken.
        exact: all 16 bits are wanted.

    Returns:
        The pixels; and the values of 16 bits, uint16 [height, width, channels], where it has such and they are known.

    Raises:
        UnsupportedImageError: it is of a kind of which the pixels are not known to be black or white.
    """
    raw = raw_mode(opened)
    refuse_unsupported(opened)
    if ";16" in raw and opened.mode in ("RGB", "RGBA"):
        retile(opened, lambda tile: in_order(tile, raw, swapped=False))
    deep = has_deep_gray(opened)
    if (
        not deep
        and ";16" in raw
        and again is not None
        and opened.mode in ("RGB", "RGBA")
        and "RGBa" not in raw
    ):
        deep = exact or levels is not None or "transparency" in opened.info
    maximum = deep_maximum(opened)
    if maximum and (exact or levels is not None):
        color, alpha = ppm_values(opened, maximum), None
    elif deep:
        color, alpha = deep_values(opened, raw, again)
    else:
        return np.asarray(flat(opened, raw)), None
    pixels = level(color, levels)
    if alpha is None:
        return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, color
    ink = np.dstack([np.broadcast_to(pixels, (*pixels.shape[:2], 3)), alpha])
    return np.asarray(on_white(Image.fromarray(ink))), color


def level(values: np.ndarray[Any, Any], levels: tuple[int, int] | None) -> np.ndarray[Any, Any]:
    """Values of 16 bits in 8 bits."""
    if levels is None:
        upper: np.ndarray[Any, Any] = values >> 8
        return upper.astype(np.uint8)
    black, white = levels
    steps = np.clip(values.astype(np.int32), black, white) - black
    span = white - black
    narrow: np.ndarray[Any, Any] = steps * 256 // (span + 1) if span >= 255 else steps * 255 // span
    return narrow.astype(np.uint8)


def deep_values(
    opened: Image.Image, raw: str, again: Callable[[], Image.Image] | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """The 16 bits of an image's color, and the upper 8 of what covers it."""
    clear = opened.info.get("transparency")
    if raw == "LA;16B":  # Pillow would give the upper halves alone; here each byte is a band of its own
        retile(opened, lambda tile: tile._replace(args="RGBA"))
        bands = np.asarray(opened).astype(np.uint16)
        return bands[:, :, :1] << 8 | bands[:, :, 1:2], bands[:, :, 2].astype(np.uint8)
    if again is None or opened.mode not in ("RGB", "RGBA"):
        values: np.ndarray[Any, Any] = np.asarray(opened).astype(np.uint16)[:, :, np.newaxis]
        if raw == "I;12":
            values = values << 4 | values >> 8
        values = ~values if opened.info.get("negative") else values
        return values, None if clear is None else np.where(values[:, :, 0] == clear, 0, 255).astype(np.uint8)
    # Pillow keeps the upper byte of each 16 bits. Read in the other order of bytes, the lower one is the upper one.
    other = again()
    retile(other, lambda tile: in_order(tile, raw, swapped=True))
    upper, lower = np.asarray(opened), np.asarray(other)
    color = upper[:, :, :3].astype(np.uint16) << 8 | lower[:, :, :3]
    if upper.shape[2] == 4:
        return color, upper[:, :, 3]
    return color, None if clear is None else np.where((color == clear).all(2), 0, 255).astype(np.uint8)


def deep_maximum(opened: Image.Image) -> int:
    """What is white in a PPM of 16 bits in color, of which Pillow gives 8; else 0."""
    tiles = getattr(opened, "tile", None)
    if opened.format != "PPM" or opened.mode != "RGB" or not tiles or tiles[0][0] != "ppm":
        return 0
    maximum = int(tiles[0][3][1])
    return maximum if maximum > 255 else 0


def ppm_values(opened: Image.Image, maximum: int) -> np.ndarray[Any, Any]:
    """The 16 bits of a PPM in color."""
    file: Any = vars(opened)["fp"]
    file.seek(vars(opened)["tile"][0][2])
    number = opened.width * opened.height * 3
    raw = file.read(2 * number)
    if len(raw) < 2 * number:
        raise OSError("the file is truncated")
    values = np.frombuffer(raw, ">u2").astype(np.uint32).clip(0, maximum) * 65_535 // maximum
    return values.astype(np.uint16).reshape(opened.height, opened.width, 3)


def retile(opened: Image.Image, change: Callable[[Any], Any]) -> None:
    """Have Pillow take what it has not read yet for something else."""
    vars(opened).update(tile=[change(tile) for tile in getattr(opened, "tile", ())])


def in_order(tile: Any, raw: str, *, swapped: bool) -> Any:  # noqa: ANN401 - Pillow's own
    """A tile of 16 bits to be read in the file's order of bytes, or in the other."""
    other = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    kind, rest = (tile.args, None) if isinstance(tile.args, str) else (tile.args[0], tile.args[1:])
    kind = f"{kind};16{raw[-1]}" if len(kind) == 1 else kind  # a plane of its own, whose bits Pillow forgets
    kind = kind[:-1] + other[kind[-1]] if swapped else kind
    return tile._replace(args=kind if rest is None else (kind, *rest))


def raw_mode(opened: Image.Image) -> str:
    """How Pillow calls the file's pixels; empty text where it is no file, or is read already."""
    tiles = getattr(opened, "tile", None)
    args: Any = tiles[0][3] if tiles else ""
    raw = args[0] if isinstance(args, tuple) and args else args
    raw = raw if isinstance(raw, str) else ""
    if opened.format == "TIFF" and len(raw) == 1 and raw in "RGB" and first_of(opened, 258) == 16:
        raw = f"{opened.mode};16{'L' if fields_of(opened).prefix == b'II' else 'B'}"
    return raw


def has_deep_gray(opened: Image.Image) -> bool:
    """Whether an image is gray with 16 bits."""
    deep = opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format in ("PNG", "PPM"))
    return deep or raw_mode(opened) == "LA;16B"


def refuse_unsupported(opened: Image.Image) -> None:
    """Refuse what Pillow opens and cannot read rightly, or of which nobody knows what is white."""
    save = "is not supported; save the image with 8 or 16 bits, gray or RGB"
    if opened.format == "TIFF":
        subsampled = first_of(opened, 262) == 6 and first_of(opened, 259, 1) == 1
        if subsampled and tuple(fields_of(opened).get(530, (2, 2))) != (1, 1):
            raise UnsupportedImageError(f"a TIFF with subsampled colors that are not compressed {save}")
        if first_of(opened, 339, 1) == 2:
            raise UnsupportedImageError(
                f"a TIFF of signed numbers, of which none is known to be white, {save}"
            )
        if first_of(opened, 284, 1) == 2 and first_of(opened, 258) == 16 and opened.mode == "CMYK":
            raise UnsupportedImageError(f"a TIFF with 16 bits of CMYK in planes {save}")
    if opened.mode in ("I", "F") and not has_deep_gray(opened):
        raise UnsupportedImageError(f"an image of 32-bit numbers, of which none is known to be white, {save}")
    if opened.mode in ("LAB", "HSV"):
        raise UnsupportedImageError(f"an image in the color space {opened.mode} {save}")


def fields_of(opened: Image.Image) -> Any:  # noqa: ANN401 - Pillow's own
    """The fields of a TIFF."""
    return getattr(opened, "tag_v2", {})


def first_of(opened: Image.Image, tag: int, default: int = 0) -> int:
    """The first number of a TIFF's field."""
    value: Any = fields_of(opened).get(tag, default)
    return int(value[0] if isinstance(value, tuple) and value else value or default)


def flat(opened: Image.Image, raw: str) -> Image.Image:
    """An image of at most 8 bits as gray or RGB, on white."""
    image = opened.convert("LA") if opened.mode == "La" else opened
    image.load()
    clear = image.info.get("transparency")
    if raw in ("L;2", "L;4") and isinstance(clear, int):  # Pillow stretches the pixels, but not this
        image.info["transparency"] = clear * (85 if raw == "L;2" else 17)
    if opened.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")  # many programs leave the fourth byte empty
    if image.has_transparency_data:
        return on_white(image.convert("RGBA"))
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def on_white(ink: Image.Image) -> Image.Image:
    """RGBA as RGB, laid over white."""
    return Image.alpha_composite(Image.new("RGBA", ink.size, "white"), ink).convert("RGB")


def orientation_of(opened: Image.Image) -> int:
    """How an image is turned, by its EXIF block: 1 to 8, and 1 where there is none, or none that can be read."""
    try:
        return int(opened.getexif().get(0x0112, 1))
    except (SyntaxError, ValueError, TypeError, OSError, struct.error, UserWarning):
        return 1  # a torn block says nothing about the pixels


def with_end(data: bytes, open_bytes: Callable[[bytes], Image.Image]) -> bytes:
    """A JPEG file that lacks nothing but the mark at its end, with the mark; others as they are.

    Whatever follows the last pixel does not matter; if one is missing, it is made of what follows.
    """
    if not data.startswith(b"\xff\xd8\xff") or b"\xff\xd9" in data[-1024:]:
        return data
    start, end = data.removesuffix(b"\xff"), b"\xff\xd9"
    seen = []
    for filling in (b"", b"\xaa" * 4096, b"\x35" * 4096):
        try:
            seen.append(open_bytes(start + filling + end).tobytes())
        except (OSError, ValueError, SyntaxError):
            return data
    return start + end if seen[0] == seen[1] == seen[2] else data


def without_negative(data: bytes) -> tuple[bytes, bool]:
    """A TIFF with 16 bits of gray whose 0 is white as one whose 0 is black, and whether it was one; others as they are.

    Pillow reads the first as if it were the second, or, with the bytes in the other order, not at all.
    """
    known = short_fields(data)
    if known.get(258, (1,))[0] != 16 or known.get(262, (1,))[0] != 0 or known.get(339, (1,))[0] != 1:
        return data, False
    place = known[262][1]
    return data[:place] + (b"\x01\x00" if data[:2] == b"II" else b"\x00\x01") + data[place + 2 :], True


def short_fields(data: bytes) -> dict[int, tuple[int, int]]:
    """The fields of a TIFF that are one number of 16 bits: that, and its place."""
    order = "<H" if data[:2] == b"II" else ">H"
    return {
        tag: (struct.unpack_from(order, data, place)[0], place)
        for tag, kind, number, place in all_fields(data)
        if kind == 3 and number == 1
    }


def all_fields(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a TIFF's first image: tag, kind and number of the values, and where they, or their place, stand."""
    large = data[:4] == b"II+\x00"
    if not large and data[:4] not in (b"II*\x00", b"MM\x00*"):
        return
    order = "<" if data[:2] == b"II" else ">"
    head, count, entry = ("Q", "Q", "HHQ") if large else ("I", "H", "HHI")
    length, value = (20, 12) if large else (12, 8)
    try:
        start = struct.unpack_from(order + head, data, 8 if large else 4)[0]
        number = struct.unpack_from(order + count, data[start : start + 8])[0]
    except struct.error:  # it ends too soon
        return
    first = start + struct.calcsize(order + count)
    for place in range(first, min(first + length * number, len(data) - length + 1), length):
        tag, kind, values = struct.unpack_from(order + entry, data, place)
        yield tag, kind, values, place + value
