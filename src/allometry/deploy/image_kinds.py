"""Image files to verify a delivered program by: of each kind that the data has, and small ones of all common kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from allometry.data import Split, file_bytes
from allometry.data.images.showing import orientation_of, raw_mode

_LOOKED_AT = 64  # files of each split
_OF_EACH_KIND = 2
_MOST = 24
_SIZE = 97, 71  # pixels of those that are made
_TURNED = 0x0112


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSample:
    """An image file in memory.

    Attributes:
        kind: its format, mode and what else is special about it.
        data: the bytes of the file.

    Example:
        >>> [sample.kind for sample in made_samples()][:3]
        ['PNG L', 'PNG RGB', 'PNG I;16']
    """

    kind: str
    data: bytes


def samples_of(splits: Mapping[str, Split]) -> list[ImageSample]:
    """Files of each kind that a data set has, as far as some of its files tell, and one of each common kind.

    Images that are no files, such as arrays, are not among them.
    """
    samples: list[ImageSample] = []
    counts: dict[str, int] = {}
    for name in ("test", "val", "train"):
        for data in _some_files(splits[name]):
            kind = kind_of(data)
            counts[kind] = counts.get(kind, 0) + 1
            if counts[kind] <= _OF_EACH_KIND and len(samples) < _MOST:
                samples.append(ImageSample(kind=kind, data=data))
    return samples + made_samples()


def _some_files(split: Split) -> Iterator[bytes]:
    for index in np.linspace(0, len(split) - 1, min(_LOOKED_AT, len(split))).astype(int).tolist():
        data = file_bytes(split, index)
        if data is None:
            return
        yield data


def kind_of(data: bytes) -> str:
    """What is special about an image file for whoever reads its pixels; empty text where Pillow does not open it.

    Example:
        >>> file = BytesIO()
        >>> Image.new("RGBA", (4, 4)).save(file, "PNG")
        >>> kind_of(file.getvalue())
        'PNG RGBA transparent'
    """
    try:
        with Image.open(BytesIO(data)) as opened:
            deep = ["16 bits"] if ";16" in raw_mode(opened) and ";16" not in opened.mode else []
            turned = [f"orientation {orientation}"] if (orientation := orientation_of(opened)) != 1 else []
            clear = ["transparent"] if opened.has_transparency_data else []
            return " ".join([str(opened.format), opened.mode, *deep, *clear, *turned])
    except Exception:  # Pillow raises nearly anything; whoever reads the file says what is wrong
        return ""


def made_samples() -> list[ImageSample]:
    """A small image of each common kind: modes, depths, transparency, orientations."""
    # Different at each side and in each color, so that it matters how they are read.
    down, across = np.mgrid[0 : _SIZE[1], 0 : _SIZE[0]]
    ramps = np.stack([down * 3, across * 2, (down * across) % 256], axis=2)
    color = Image.fromarray((ramps % 256).astype(np.uint8))
    deep = np.asarray(color.convert("L")).astype(np.uint16) * 257
    clear = color.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(_SIZE))
    palette = color.quantize(16)
    turned = Image.Exif()
    turned[_TURNED] = 6
    made = [
        _saved(color.convert("L"), "PNG"),
        _saved(color, "PNG"),
        _saved(Image.fromarray(deep), "PNG"),
        cv2.imencode(".png", np.asarray(color).astype(np.uint16) * 257)[1].tobytes(),
        _saved(color.convert("1"), "PNG"),
        _saved(palette, "PNG"),
        _saved(palette, "PNG", transparency=3),
        _saved(clear, "PNG"),
        _saved(clear.convert("LA"), "PNG"),
        _saved(color, "JPEG", quality=95),
        _saved(color.convert("L"), "JPEG", quality=95),
        _saved(color.convert("CMYK"), "JPEG", quality=95),
        _saved(color, "JPEG", quality=95, exif=turned),
        _saved(color.resize((776, 568)), "JPEG", quality=95),  # large enough to be decoded smaller
        _saved(clear, "WEBP", lossless=True),
        _saved(palette, "GIF"),
        _saved(color, "BMP"),
        _saved(color, "TIFF"),
        _saved(color.convert("CMYK"), "TIFF"),
        _saved(Image.fromarray(deep), "TIFF"),
        _saved(color, "PPM"),
    ]
    return [ImageSample(kind=kind_of(data), data=data) for data in made]


def _saved(image: Image.Image, format_name: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()
