"""An image made of images: a row for each image, a column for each network, with captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from allometry.base.files import replacing
from allometry.data.images.pixels import Pixels
from allometry.reports.cam_overlays import color_bar

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont


_GAP = 14
_MARGIN = 22
_LINE = 21
_LARGE, _SMALL = 16, 14
_PAPER, _INK, _SOFT = (255, 255, 255), (29, 33, 39), (91, 99, 110)
_BAR = (120, 12)


@dataclass(frozen=True, slots=True)
class Caption:
    """One or two lines of text; the second is smaller and gray."""

    first: str
    second: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """A square image with the text below it; `pixels` is uint8 [side, side, 3]."""

    pixels: Pixels
    caption: Caption


def save_image(pixels: Pixels, path: Path) -> Path:
    """Write uint8 [height, width, 3] as PNG, in one step.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> save_image(np.zeros((4, 4, 3), np.uint8), Path(tempfile.mkdtemp()) / "black.png").name
        'black.png'
    """
    from PIL import Image

    with replacing(path) as beside:
        Image.fromarray(pixels).save(beside, format="PNG")
    return path


def grid(heads: Sequence[Caption], rows: Sequence[Sequence[Tile]], *, scale: Caption) -> Pixels:
    """Tiles in rows below the heads of their columns, uint8 [height, width, 3].

    Args:
        heads: of the columns.
        rows: as many tiles in each as there are heads, all of one size.
        scale: what the weak and the strong end of the colors mean, below the grid.

    Example:
        >>> tile = Tile(np.zeros((64, 64, 3), np.uint8), Caption("cat", "97 %"))
        >>> image = grid([Caption("image"), Caption("run")], [[tile, tile]], scale=Caption("weak", "strong"))
        >>> image.shape[1] == 2 * 64 + _GAP + 2 * _MARGIN
        True
    """
    from PIL import Image, ImageDraw

    side = len(rows[0][0].pixels)
    step_x, step_y = side + _GAP, side + 2 * _LINE + _GAP + 4
    width = 2 * _MARGIN + len(heads) * step_x - _GAP
    top = _MARGIN + 2 * _LINE + 6
    canvas = Image.new("RGB", (width, top + len(rows) * step_y + 2 * _LINE), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for column, head in enumerate(heads):
        _write(draw, head, (_MARGIN + column * step_x, _MARGIN), side)
    for row, tiles in enumerate(rows):
        for column, tile in enumerate(tiles):
            left, upper = _MARGIN + column * step_x, top + row * step_y
            canvas.paste(Image.fromarray(tile.pixels), (left, upper))
            _write(draw, tile.caption, (left, upper + side + 4), side)
    _legend(canvas, draw, scale, (_MARGIN, canvas.height - _MARGIN - _BAR[1]))
    return np.asarray(canvas)


def _write(draw: ImageDraw.ImageDraw, caption: Caption, place: tuple[int, int], width: int) -> None:
    left, top = place
    large, small = _font(_LARGE), _font(_SMALL)
    draw.text((left, top), _fitting(draw, caption.first, large, width), font=large, fill=_INK)
    draw.text((left, top + _LINE), _fitting(draw, caption.second, small, width), font=small, fill=_SOFT)


def _legend(canvas: Image.Image, draw: ImageDraw.ImageDraw, scale: Caption, place: tuple[int, int]) -> None:
    from PIL import Image

    (left, top), font = place, _font(_SMALL)
    middle = top + _BAR[1] // 2
    draw.text((left, middle), scale.first, font=font, fill=_SOFT, anchor="lm")
    left += round(draw.textlength(scale.first, font=font)) + 10
    canvas.paste(Image.fromarray(color_bar(*_BAR)), (left, top))
    draw.text((left + _BAR[0] + 10, middle), scale.second, font=font, fill=_SOFT, anchor="lm")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _fitting(
    draw: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    width: int,
) -> str:
    """The text, or as much of its two ends as the width holds."""
    text = " ".join(text.split())
    kept = len(text)
    shown = text
    while draw.textlength(shown, font=font) > width and kept > 2:
        kept -= 1
        shown = f"{text[: kept - kept // 2]}...{text[len(text) - kept // 2 :]}"
    return shown
