"""Images of characters, rendered: a data set of any size, with fonts of foundries that training has not seen.

    python benchmarks/rendered_fonts.py --fonts runs/fonts
    python benchmarks/rendered.py --fonts runs/fonts [--sheet sheet.png]

An image shows one of up to 1,000 kanji in color on a textured ground, at 0.3 to 1 of the image's side, rotated,
sheared, partly covered, and with noise. Fonts are held out by foundry, and the group of an image is its foundry. An
image depends on its own seed alone, and so neither on the order nor on how many there are: those of a smaller set are
the first of a larger one's. (Another version of Pillow, FreeType or NumPy may differ in a few gray levels.)

The command measures how fast images are made, and writes a sheet of them.
"""

from __future__ import annotations

import argparse
import math
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from common import machine, print_result, table
from PIL import Image, ImageFont
from rendered_fonts import FAMILIES, TAKEN_OVER, Face, characters, faces, fonts_folder, likeness, split_of

from allometry.data import Dataset, open_arrays
from allometry.data.dataset import SPLITS

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

HARDNESS = 0.5
SMALLEST = 0.3  # of the side: the em of the smallest characters
_STEP = 4 / 3


class Rendered(NamedTuple):
    """Images of a split.

    Attributes:
        images: uint8 [N, size, size, 3].
        labels: int64 [N], places among the characters.
        foundries: of the images, N.
    """

    images: Pixels
    labels: npt.NDArray[np.int64]
    foundries: tuple[str, ...]


def rendered(
    fonts: Path,
    *,
    size: int,
    classes: int,
    images: tuple[int, int, int],
    seed: int = 0,
    hardness: float = HARDNESS,
    smallest: float = SMALLEST,
) -> Dataset:
    """Render a data set.

    Args:
        fonts: folder of the fonts; see `rendered_fonts`.
        size: side in pixels.
        classes: characters, up to 1,000.
        images: in train, val and test.
        seed: of everything random.
        hardness: how far images are turned, covered and disturbed, from 0 to 1.
        smallest: em of the smallest characters, as a fraction of the side.
    """
    chosen = characters(fonts, classes)
    # One array for all, since two of 100,000 images would not fit.
    pixels, ends = np.empty((sum(images), size, size, 3), np.uint8), np.cumsum(images).tolist()
    parts = [
        render(
            faces(fonts, split),
            chosen,
            split=split,
            number=number,
            size=size,
            seed=seed,
            hardness=hardness,
            smallest=smallest,
            into=pixels[end - number : end],
        )
        for split, number, end in zip(SPLITS, images, ends, strict=True)
    ]
    return open_arrays(
        pixels,
        np.concatenate([part.labels for part in parts]),
        classes=chosen,
        splits=[split for split, number in zip(SPLITS, images, strict=True) for _ in range(number)],
        groups=[foundry for part in parts for foundry in part.foundries],
        name=f"rendered-{classes}-{size}px-{seed}",
    )


def render(
    fonts: tuple[Face, ...],
    chosen: tuple[str, ...],
    *,
    split: str,
    number: int,
    size: int,
    seed: int = 0,
    hardness: float = HARDNESS,
    smallest: float = SMALLEST,
    into: Pixels | None = None,
) -> Rendered:
    """Render the images of a split: characters in turn, and of the foundries each as often as another.

    Args:
        fonts: of the split.
        chosen: characters, the classes.
        split: train, val or test.
        number: of the images.
        size: side in pixels.
        seed: of everything random.
        hardness: from 0 to 1.
        smallest: em of the smallest characters, as a fraction of the side.
        into: uint8 [number, size, size, 3], which the images are written to; by default a new array.
    """
    if not (size >= 8 and 0 <= hardness <= 1 and 0.1 <= smallest <= 1):
        raise SystemExit(
            "A size of 8 px or more, a hardness from 0 to 1, and characters from 0.1 to 1 of the side, "
            f"not {size} px, {hardness:g} and {smallest:g}."
        )
    foundries = tuple(dict.fromkeys(face.foundry for face in fonts))
    images = np.empty((number, size, size, 3), np.uint8) if into is None else into
    shown = []
    for place in range(number):
        rng = np.random.default_rng([seed, SPLITS.index(split), place])
        foundry = foundries[rng.integers(len(foundries))]
        own = [face for face in fonts if face.foundry == foundry]
        face = own[rng.integers(len(own))]
        images[place] = _image(face.file, chosen[place % len(chosen)], rng, size, hardness, smallest)
        shown.append(foundry)
    return Rendered(images, np.arange(number) % len(chosen), tuple(shown))


def _image(
    file: Path, character: str, rng: np.random.Generator, size: int, hardness: float, smallest: float
) -> Pixels:
    """One image, uint8 [size, size, 3]."""
    first, second = _colors(rng, hardness)
    texture = _texture(rng, size)[..., np.newaxis]
    ground = first + (0.15 + 0.35 * hardness * rng.random()) * (rng.random(3) - first) * texture
    em = size * rng.uniform(smallest, 1.0)
    center = size / 2 + rng.uniform(-0.5, 0.5, 2) * (size - em)
    ink = _ink(file, character, rng, size, em, center, hardness)[..., np.newaxis]
    picture = ground + (second - ground) * ink
    for _ in range(rng.binomial(3, hardness)):
        _cover(picture, rng, em, center)
    picture += rng.standard_normal(picture.shape, np.float32) * (0.2 * hardness * rng.random())
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _colors(rng: np.random.Generator, hardness: float) -> tuple[Floats, Floats]:
    """Two colors, [3] from 0 to 1, that differ in brightness: of the ground and of the character."""
    least = 0.45 - 0.3 * hardness
    weights = np.array([0.3, 0.59, 0.11])
    while True:
        pair = rng.random((2, 3))
        if abs(float((pair[0] - pair[1]) @ weights)) >= least:
            return pair[0].astype(np.float32), pair[1].astype(np.float32)


def _texture(rng: np.random.Generator, size: int) -> Floats:
    """A texture from 0 to 1, [size, size]: a gradient, stripes, a checkered ground or clouds."""
    kind = rng.integers(4)
    if kind == 3:
        grid = rng.random((int(rng.integers(3, 13)),) * 2, np.float32)
        return np.asarray(Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC), np.float32)
    angle, period = rng.uniform(0, math.tau), size * rng.uniform(0.08, 0.4)
    axis = np.arange(size, dtype=np.float32)
    along = math.cos(angle) * axis + math.sin(angle) * axis[:, np.newaxis]
    if kind == 0:
        return (along - along.min()) / np.float32(np.ptp(along))
    waves = np.sin(along * (math.tau / period))
    if kind == 2:
        waves = waves * np.sin(
            (math.cos(angle) * axis[:, np.newaxis] - math.sin(angle) * axis) * (math.tau / period)
        )
    return (0.5 + 0.5 * waves).astype(np.float32)


def _ink(
    file: Path,
    character: str,
    rng: np.random.Generator,
    size: int,
    em: float,
    center: Floats,
    hardness: float,
) -> Floats:
    """How far each pixel is the character's, from 0 to 1, [size, size]: scaled, sheared, turned, put in its place."""
    # Drawn at few sizes, by at most a third too large, so that bilinear sampling leaves nothing out.
    drawn = math.ceil(_STEP ** math.ceil(math.log(em, _STEP)))
    mask = _mask(file, character, drawn)
    angle = math.radians(rng.uniform(-1, 1) * (10 + 40 * hardness))
    shear = rng.uniform(-1, 1) * 0.4 * hardness
    cos, sin, scale = math.cos(angle), math.sin(angle), drawn / em
    # From a place in the image to the place in the mask that it shows.
    a, b = scale * (cos + shear * -sin), scale * (sin + shear * cos)
    d, e = scale * -sin, scale * cos
    x, y = float(center[0]), float(center[1])
    left, top = mask.width / 2, mask.height / 2
    data = (a, b, left - a * x - b * y, d, e, top - d * x - e * y)
    turned = mask.transform((size, size), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    return np.asarray(turned, np.float32) / 255


@lru_cache(maxsize=20_000)
def _mask(file: Path, character: str, em: int) -> Image.Image:
    """A character's ink at a size, cropped."""
    mask = _font(file, em).getmask(character)
    return Image.frombytes("L", mask.size, bytes(mask))


@lru_cache(maxsize=512)
def _font(file: Path, em: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), em)


def _cover(picture: Floats, rng: np.random.Generator, em: float, center: Floats) -> None:
    """Cover a rectangle that begins within the character, up to 0.3 of its side wide and high."""
    x, y = (center + rng.uniform(-0.5, 0.4, 2) * em).clip(0).astype(int).tolist()
    width, height = (rng.uniform(0.1, 0.3, 2) * em).astype(int).tolist()
    picture[y : y + height, x : x + width] = rng.random(3)


def sheet(images: Pixels, columns: int) -> Image.Image:
    """The images side by side, in rows."""
    rows = len(images) // columns
    size = images.shape[1]
    tiles = images[: rows * columns].reshape(rows, columns, size, size, 3).swapaxes(1, 2)
    return Image.fromarray(tiles.reshape(rows * size, columns * size, 3))


def main() -> None:
    """Measure how fast images are made."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fonts", type=Path, default=fonts_folder(), help="folder of the fonts")
    parser.add_argument("--sheet", type=Path, help="image file: a sheet of the first images of each split")
    parser.add_argument("--size", type=int, default=64, help="side in pixels (default: 64)")
    parser.add_argument("--classes", type=int, default=1000, help="characters (default: 1,000)")
    parser.add_argument("--images", type=int, default=20_000, help="of the test split (default: 20,000)")
    parser.add_argument("--hardness", type=float, default=HARDNESS, help=f"from 0 to 1 (default: {HARDNESS})")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    chosen = characters(args.fonts, args.classes)
    more = {"size": args.size, "hardness": args.hardness}
    start = time.process_time()
    render(faces(args.fonts, "test"), chosen, split="test", number=args.images, **more)
    seconds = time.process_time() - start
    if args.sheet:
        parts = [render(faces(args.fonts, split), chosen, split=split, number=32, **more) for split in SPLITS]
        sheet(np.concatenate([part.images for part in parts]), 16).save(args.sheet)
    pairs = likeness(args.fonts)
    result = {
        "benchmark": "rendered",
        "size": args.size,
        "classes": args.classes,
        "images": args.images,
        "seconds": seconds,
        "splits": {split: _about(split) for split in SPLITS},
        "likest": next(pair for pair in pairs if split_of(pair[1]) != split_of(pair[2])),
        "taken_over": [pair for pair in pairs if pair[0] >= TAKEN_OVER],
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def _about(split: str) -> dict[str, Any]:
    """How many families and fonts a split has, and of whom."""
    own = [family for family in FAMILIES if family.split == split]
    return {
        "families": len(own),
        "fonts": sum(len(family.weights) for family in own),
        "foundries": list(dict.fromkeys(family.foundry for family in own)),
        "licenses": sorted({family.license for family in own}),
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The result as text."""
    rows = [
        [
            split,
            ", ".join(about["foundries"]),
            str(about["families"]),
            str(about["fonts"]),
            ", ".join(about["licenses"]),
        ]
        for split, about in result["splits"].items()
    ]
    value, one, other = result["likest"]
    return [
        *table(["", "foundries, by whose kanji they are", "families", "fonts", "licenses"], rows),
        "",
        f"Families whose kanji correlate by {TAKEN_OVER} or more (the median of 150), and so are one foundry's: "
        + "; ".join(f"{left}, {right} {own:.2f}" for own, left, right in result["taken_over"])
        + f". The likest of two splits: {one}, {other} {value:.2f}.",
        "",
        f"{result['images']:,} test images of {result['size']} px, {result['classes']:,} characters, took "
        f"{result['seconds']:.0f} seconds of the processor: {result['images'] / result['seconds']:,.0f} a second.",
    ]


if __name__ == "__main__":
    main()
