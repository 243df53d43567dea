"""Image files of odd kinds, byte by byte: those that are read, and those that are refused."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

WHITE_IS_ZERO, BLACK_IS_ZERO, COLOR, CMYK, YCBCR, LAB = 0, 1, 2, 5, 6, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
DEFLATE = 8


def tiff(
    array: np.ndarray,
    *,
    order: str = "<",
    photometric: int = BLACK_IS_ZERO,
    numbers: int = UNSIGNED,
    bits: int | None = None,
    extra: Sequence[int] = (),
    planes: bool = False,
    compression: int = 1,
    raw: bytes | None = None,
    **more: Sequence[int],
) -> bytes:
    """A TIFF with one strip, or one for each plane; `more` are fields by `t` and their number."""
    cube = array if array.ndim == 3 else array[..., np.newaxis]
    height, width, bands = cube.shape
    typed = cube.astype(cube.dtype.newbyteorder(order))
    strips = [typed[..., band].tobytes() for band in range(bands)] if planes else [raw or typed.tobytes()]
    strips = [zlib.compress(strip) for strip in strips] if compression == DEFLATE else strips
    offsets, body = [], b""
    for strip in strips:
        offsets.append(8 + len(body))
        body += strip + bytes(len(strip) % 2)
    fields: dict[int, tuple[str, Sequence[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits or 8 * cube.dtype.itemsize] * bands),
        259: ("H", [compression]),
        262: ("H", [photometric]),
        273: ("I", offsets),
        277: ("H", [bands]),
        278: ("I", [height]),
        279: ("I", [len(strip) for strip in strips]),
        284: ("H", [2 if planes else 1]),
        339: ("H", [numbers] * bands),
        **({338: ("H", extra)} if extra else {}),
        **{int(name[1:]): ("H", values) for name, values in more.items()},
    }
    start = 8 + len(body)
    after, entries, beside = start + 2 + 12 * len(fields) + 4, b"", b""
    for tag in sorted(fields):
        kind, values = fields[tag]
        data = b"".join(struct.pack(order + kind, value) for value in values)
        cell = data.ljust(4, b"\0")
        if len(data) > 4:
            cell = struct.pack(order + "I", after + len(beside))
            beside += data
        entries += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[kind], len(values)) + cell
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    return head + body + struct.pack(order + "H", len(fields)) + entries + bytes(4) + beside


def bigtiff(array: np.ndarray, *, order: str = "<", photometric: int = BLACK_IS_ZERO) -> bytes:
    """A TIFF of one strip of gray whose places have 64 bits."""
    height, width = array.shape
    body = array.astype(array.dtype.newbyteorder(order)).tobytes()
    body += bytes(-len(body) % 8)
    fields = {
        256: width,
        257: height,
        258: 8 * array.dtype.itemsize,
        259: 1,
        262: photometric,
        273: 16,
        277: 1,
        278: height,
        279: array.nbytes,
    }
    entries = b""
    for tag, value in fields.items():
        kind, code = (3, "H") if tag in (258, 259, 262, 277) else (4, "I")
        entries += struct.pack(order + "HHQ", tag, kind, 1) + struct.pack(order + code, value).ljust(8, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HHHQ", 43, 8, 0, 16 + len(body))
    return head + body + struct.pack(order + "Q", len(fields)) + entries + bytes(8)


def ppm(array: np.ndarray, maximum: int) -> bytes:
    """A PPM, or a PGM for gray."""
    height, width = array.shape[:2]
    head = f"{'P6' if array.ndim == 3 else 'P5'}\n{width} {height}\n{maximum}\n".encode()
    return head + array.astype(">u2" if maximum > 255 else np.uint8).tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    array: np.ndarray, *, color: int, bits: int, clear: Sequence[int] = (), raw: bytes | None = None
) -> bytes:
    """A PNG of 16 bits, or of rows that are packed already; `clear` are the levels that stand for nothing."""
    height, width = array.shape[:2]
    rows = raw or b"".join(b"\0" + row.astype(">u2" if bits == 16 else np.uint8).tobytes() for row in array)
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    parts = [chunk(b"IHDR", header)]
    if clear:
        parts.append(chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)))
    parts += [chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bmp(array: np.ndarray) -> bytes:
    """A BMP of 32 bits that says where its alpha lies."""
    height, width = array.shape[:2]
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 56, width, -height, 1, 32, 3, 0, 0, 0, 0, 0) + masks
    body = np.ascontiguousarray(array[..., [2, 1, 0, 3]]).tobytes()
    start = 14 + len(header)
    return struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start) + header + body


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image file as Pillow writes it."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def values() -> tuple[np.ndarray, np.ndarray]:
    """Random pixels, [17, 23, 4], of 8 and of 16 bits."""
    random = np.random.default_rng(5)
    return (
        random.integers(0, 2**8, (17, 23, 4)).astype(np.uint8),
        random.integers(0, 2**16, (17, 23, 4)).astype(np.uint16),
    )


def packed(levels: np.ndarray, bits: int) -> bytes:
    """Levels one behind the other without gaps; of each row the last byte is filled up."""
    rows = ["".join(f"{level:0{bits}b}" for level in row) for row in levels.tolist()]
    filled = [row.ljust(-(-len(row) // 8) * 8, "0") for row in rows]
    return b"".join(bytes(int(row[i : i + 8], 2) for i in range(0, len(row), 8)) for row in filled)


@cache
def odd_kinds() -> dict[str, bytes]:
    """Files that are read, by their names."""
    narrow, deep = values()
    four = narrow[..., 0] // 16
    rows = packed(four, 4)
    length = len(rows) // len(four)
    jpeg = saved(Image.fromarray(narrow[..., :3]), "JPEG", quality=95)
    kinds = {
        "zero-is-white.tif": tiff(deep[..., 0], photometric=WHITE_IS_ZERO),
        "zero-is-white-large.tif": bigtiff(deep[..., 0], photometric=WHITE_IS_ZERO),
        "zero-is-white-8.tif": tiff(narrow[..., 0], photometric=WHITE_IS_ZERO),
        "zero-is-white-big.tif": tiff(deep[..., 0], photometric=WHITE_IS_ZERO, order=">"),
        "gray-big.tif": tiff(deep[..., 0], order=">"),
        "gray-big-packed.tif": tiff(deep[..., 0], order=">", compression=DEFLATE),
        "color.tif": tiff(deep[..., :3], photometric=COLOR),
        "color-big.tif": tiff(deep[..., :3], photometric=COLOR, order=">"),
        "color-packed.tif": tiff(deep[..., :3], photometric=COLOR, compression=DEFLATE, order=">"),
        "color-planes.tif": tiff(deep[..., :3], photometric=COLOR, planes=True),
        "color-planes-big.tif": tiff(deep[..., :3], photometric=COLOR, planes=True, order=">"),
        "clear.tif": tiff(deep, photometric=COLOR, extra=[2]),
        "multiplied.tif": tiff(narrow, photometric=COLOR, extra=[1]),
        "multiplied-gray.tif": tiff(narrow[..., :2], extra=[1]),
        "cmyk.tif": tiff(narrow, photometric=CMYK),
        "twelve-bits.tif": tiff(deep[..., 0], bits=12, raw=packed(deep[..., 0] >> 4, 12)),
        "gray.png": png(deep[..., 0], color=0, bits=16),
        "gray-clear.png": png(deep[..., 0], color=0, bits=16, clear=[int(deep[3, 4, 0])]),
        "gray-alpha.png": png(deep[..., :2], color=4, bits=16),
        "color.png": png(deep[..., :3], color=2, bits=16),
        "color-clear.png": png(deep[..., :3], color=2, bits=16, clear=deep[3, 4, :3].tolist()),
        "color-alpha.png": png(deep, color=6, bits=16),
        "four-bits-clear.png": png(
            four,
            color=0,
            bits=4,
            clear=[7],
            raw=b"".join(b"\0" + rows[i : i + length] for i in range(0, len(rows), length)),
        ),
        "gray.pgm": ppm(deep[..., 0] >> 4, 4095),
        "color.ppm": ppm(deep[..., :3], 65_535),
        "twelve-bits.ppm": ppm(deep[..., :3] >> 4, 4095),
        "empty-alpha.bmp": bmp(np.dstack([narrow[..., :3], np.zeros((17, 23), np.uint8)])),
        "alpha.bmp": bmp(narrow),
        "no-end.jpg": jpeg[:-2],
        "no-end-cmyk.jpg": saved(Image.fromarray(narrow, "CMYK"), "JPEG", quality=95)[:-2],
        "progressive-no-end.jpg": saved(Image.fromarray(narrow[..., :3]), "JPEG", progressive=True)[:-2],
        "pages.tif": saved(
            Image.fromarray(narrow[..., 0]), "TIFF", save_all=True, append_images=[Image.new("L", (9, 9))]
        ),
        "two.mpo": saved(
            Image.fromarray(narrow[..., :3]), "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))]
        ),
    }
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        **kinds,
        "turned-16.png": saved(Image.fromarray(deep[..., 0]), "PNG", exif=turned),
        "turned-16.tif": tiff(deep[..., :3], photometric=COLOR, t274=[8]),
    }


@cache
def refused_kinds() -> dict[str, bytes]:
    """Files that are right, but of which nobody can tell what they show; and some that lack a part."""
    narrow, deep = values()
    return {
        "signed-8.tif": tiff(narrow[..., 0].view(np.int8), numbers=SIGNED),
        "signed-16.tif": tiff(deep[..., 0].view(np.int16), numbers=SIGNED),
        "signed-16-big.tif": tiff(deep[..., 0].view(np.int16), numbers=SIGNED, order=">"),
        "integers-32.tif": tiff(deep[..., 0].astype(np.uint32)),
        "float-16.tif": tiff(deep[..., 0].astype(np.float16), numbers=FLOAT),
        "float-32.tif": tiff(deep[..., 0].astype(np.float32), numbers=FLOAT),
        "float-64.tif": tiff(deep[..., 0].astype(np.float64), numbers=FLOAT),
        "lab.tif": tiff(narrow[..., :3], photometric=LAB),
        "subsampled.tif": tiff(narrow[..., :3], photometric=YCBCR),
        "large-big.tif": bigtiff(deep[..., 0], order=">"),
        "unknown-compression.tif": tiff(narrow[..., 0], compression=40_000),
        "image.heic": b"\0\0\0\x18ftypheic" + bytes(40),
        "image.avif": saved(Image.fromarray(narrow[..., :3]), "AVIF"),
        "image.jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
        "image.hdr": b"#?RADIANCE\n" + bytes(40),
        "cut.jpg": saved(Image.fromarray(narrow[..., :3]), "JPEG", quality=95)[:-40],
        "cut-cmyk.jpg": saved(Image.fromarray(narrow, "CMYK"), "JPEG", quality=95)[:-40],
    }
