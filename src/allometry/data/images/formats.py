"""Which kind of image a file is, by its first bytes; and how a kind is called that cannot be read."""

from __future__ import annotations

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

KNOWN = "JPEG, PNG, WebP, BMP, GIF, TIFF or PPM"
# In lower case, without those that need more than Pillow.
EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)
ENOUGH = 16  # bytes to tell an image by

_READERS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"RIFF", WebPImageFile),
    (b"BM", BmpImageFile),
    (b"GIF8", GifImageFile),
    *((start, TiffImageFile) for start in (b"II*\x00", b"MM\x00*", b"II+\x00")),
    *((b"P%d" % number, PpmImageFile) for number in range(1, 7)),
)
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"MM\x00+", "a BigTIFF with the highest byte first"),
    (4, b"ftypavi", "an AVIF image"),
    (4, b"ftyp", "a HEIC image or a film"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"gimp xcf", "a GIMP file"),
    (0, b"v/1\x01", "an OpenEXR image"),
    (0, b"#?", "a Radiance HDR image"),
    (0, b"PF", "a PFM image of floats"),
    (0, b"Pf", "a PFM image of floats"),
    (0, b"P7", "a PAM image"),
    (0, b"\x00\x00\x01\x00", "an icon"),
    (0, b"DDS ", "a DDS texture"),
    (0, b"qoif", "a QOI image"),
    (0, b"SIMPLE  =", "a FITS image"),
    (128, b"DICM", "a DICOM image"),
    (0, b"\x93NUMPY", "an array of NumPy"),
    (0, b"%PDF", "a PDF"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an SVG drawing or other XML"),
)
_NO_IMAGES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "it is a pointer of Git LFS; fetch the image itself with `git lfs pull`"),
    (b"<!doctype html", "it is a page of the web, which a server may have sent instead of the image"),
    (b"<html", "it is a page of the web, which a server may have sent instead of the image"),
)


def reader_of(data: bytes) -> type[ImageFile] | None:
    """What reads a file that begins so; None where nothing does.

    Example:
        >>> reader_of(b"GIF89a").format, reader_of(b"Hello") is None
        ('GIF', True)
    """
    for signature, reader in _READERS:
        if data.startswith(signature) and (signature != b"RIFF" or data[8:12] == b"WEBP"):
            return reader
    return None


def what_else(data: bytes) -> str:
    """Why a file that begins so is not read: what it is, where that is known.

    Example:
        >>> what_else(b"8BPS")
        'it is a Photoshop file, which is not supported; save it as JPEG or PNG'
        >>> what_else(b"Hello")
        'it is not an image of a known format (JPEG, PNG, WebP, BMP, GIF, TIFF or PPM)'
    """
    for place, signature, what in _OTHERS:
        if data[place:].startswith(signature):
            return f"it is {what}, which is not supported; save it as JPEG or PNG"
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for signature, reason in _NO_IMAGES:
        if start.startswith(signature):
            return reason
    return f"it is not an image of a known format ({KNOWN})"
