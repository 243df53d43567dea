"""Images to measure with, and the pipeline that one would write for them in Pillow."""

from __future__ import annotations

import importlib.util
import math
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from allometry.data.dataset import FileSplit

WIDTH, HEIGHT = 500, 375
MAGNITUDE = 9.0
_PART = (330, 440)  # rows and columns of a photograph, which are enlarged to an image


def photographs() -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Photographs to make images from, RGB; none where the package is not installed."""
    spec = importlib.util.find_spec("foolbox")
    places = spec.submodule_search_locations if spec else None
    folder = Path(next(iter(places or [])), "data") if places else Path()
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("imagenet_*.jpg"))]


def write_images(folder: Path, *, number: int, quality: int, seed: int) -> float:
    """Write images in two classes; the mean of their sizes, in bytes."""
    draw = np.random.default_rng(seed)
    sources = photographs()
    sizes = []
    for index in range(number):
        if sources:
            whole = sources[index % len(sources)]
            top, left = (int(draw.integers(0, whole.shape[axis] - _PART[axis] + 1)) for axis in (0, 1))
            part = whole[top : top + _PART[0], left : left + _PART[1]]
        else:
            part = draw.integers(0, 256, (33, 44, 3)).astype(np.uint8)
        picture = cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        picture += cv2.GaussianBlur(np.asarray(draw.normal(0, 8, picture.shape), np.float32), (0, 0), 0.7)
        path = folder / "ab"[index % 2] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path, quality=quality)
        sizes.append(path.stat().st_size)
    return statistics.mean(sizes)


def operations(draw: random.Random, side: int) -> list[Callable[[Image.Image], Image.Image]]:
    """RandAugment's operations at the magnitude, in Pillow."""
    share = MAGNITUDE / 10
    factor, gray, sign = share * 1.8 + 0.1, (128, 128, 128), draw.choice((-1, 1))
    shear, shift, reach = sign * share * 0.3, sign * share * side * 100 / 224, int(share * side * 40 / 224)

    def moved(*numbers: float) -> Callable[[Image.Image], Image.Image]:
        return lambda image: image.transform(image.size, Image.Transform.AFFINE, numbers, fillcolor=gray)

    def cutout(image: Image.Image) -> Image.Image:
        row, column = draw.randrange(side), draw.randrange(side)
        image.paste(gray, (max(0, column - reach), max(0, row - reach), column + reach, row + reach))
        return image

    added = [min(255, level + int(share * 110)) if level < 128 else level for level in range(256)]
    return [
        ImageOps.autocontrast,
        ImageOps.equalize,
        ImageOps.invert,
        lambda image: image.rotate(sign * share * 30, fillcolor=gray),
        lambda image: ImageOps.posterize(image, int(share * 4)),
        lambda image: ImageOps.solarize(image, int(share * 256)),
        lambda image: ImageEnhance.Color(image).enhance(factor),
        lambda image: ImageEnhance.Contrast(image).enhance(factor),
        lambda image: ImageEnhance.Brightness(image).enhance(factor),
        lambda image: ImageEnhance.Sharpness(image).enhance(factor),
        moved(1, shear, 0, 0, 1, 0),
        moved(1, 0, 0, shear, 1, 0),
        moved(1, 0, shift, 0, 1, 0),
        moved(1, 0, 0, 0, 1, shift),
        cutout,
        lambda image: image.point(added * 3),
    ]


def crop_box(draw: random.Random, width: int, height: int) -> tuple[int, int, int, int]:
    """A random crop of 8 % to 100 % of the area, of aspect 3/4 to 4/3."""
    area = width * height * draw.uniform(0.08, 1)
    aspect = math.exp(draw.uniform(-1, 1) * math.log(4 / 3))
    wide, high = math.sqrt(area * aspect), math.sqrt(area / aspect)
    fit = min(1, width / wide, height / high)
    wide, high = max(1, round(wide * fit)), max(1, round(high * fit))
    left, top = draw.randint(0, width - wide), draw.randint(0, height - high)
    return left, top, left + wide, top + high


def by_pillow(split: FileSplit, side: int, epoch: int) -> None:
    """One epoch as one would write it in Pillow."""
    draw = random.Random(epoch)
    for index in range(len(split)):
        image = Image.open(split.store.place(index)).convert("RGB")
        image = image.crop(crop_box(draw, *image.size)).resize((side, side), Image.Resampling.BILINEAR)
        if draw.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for _ in range(2):
            image = draw.choice(operations(draw, side))(image)
        np.asarray(image)
