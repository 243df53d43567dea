"""What networks look at in image files: one picture for each pair, and all of them side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from allometry.base import UnknownNameError
from allometry.base.units import format_quantity
from allometry.data import center_view, read_image
from allometry.nn import class_activation_map
from allometry.reports.cam_grids import Caption, Tile, grid, save_picture
from allometry.reports.cam_overlays import enlarged, overlay
from allometry.training import Preprocessing, to_input

_SMALLEST = 320  # side of a shown picture in pixels: of a smaller one too little is visible
_ROWS = 12  # of a grid: more would be too tall to look at
_ACROSS = 3  # images in a row of a grid of one network
_SCALE = Caption("nothing speaks for the class", "the most in this picture")


@dataclass(frozen=True, slots=True)
class Viewer:
    """A network that looks at images.

    Attributes:
        name: what it is called in pictures.
        module: in evaluation mode, on the CPU.
        preprocessing: of its input, with the names of its classes.
        macs: for one image.
    """

    name: str
    module: nn.Module
    preprocessing: Preprocessing
    macs: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one network looks at in one image.

    Attributes:
        network: the network's name.
        image: the image's file.
        explained: the class that the map speaks for.
        probability: of that class.
        answer: the most probable class.
        confidence: its probability.
        map: how much each place speaks for the explained class, float32 [h, w].
        overlay: the PNG of the image with the map on it.
    """

    network: str
    image: Path
    explained: str
    probability: float
    answer: str
    confidence: float
    map: npt.NDArray[np.float32]
    overlay: Path


@dataclass(frozen=True, slots=True)
class Explained:
    """What `explain_runs` and `explain_pretrained` made.

    Attributes:
        grids: PNGs with all images and networks, 12 rows in each.
        explanations: one for each image and network, image by image.
    """

    grids: tuple[Path, ...]
    explanations: tuple[Explanation, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values; of a map only its size."""
        return {
            "grids": [str(path) for path in self.grids],
            "explanations": [
                {
                    "network": each.network,
                    "image": str(each.image),
                    "class": each.explained,
                    "probability": each.probability,
                    "answer": each.answer,
                    "confidence": each.confidence,
                    "map": list(each.map.shape),
                    "overlay": str(each.overlay),
                }
                for each in self.explanations
            ],
        }


def explain(
    viewers: Sequence[Viewer], images: Sequence[Path], *, class_name: str | None = None, out: Path
) -> Explained:
    """Draw what networks look at in image files: one picture for each pair, and all of them in a grid.

    Args:
        viewers: the networks.
        images: files of any kind that training takes.
        class_name: the class to explain; by default each network's most probable one.
        out: the folder for the pictures.

    Raises:
        DataError: an image is missing or unreadable.
        UnknownNameError: a network has no such class.
        StorageError: a picture cannot be written.

    Source: Tan & Le 2019 (EfficientNet), section 5 and figure 7.
    """
    for viewer in viewers:
        if class_name is not None and class_name not in viewer.preprocessing.classes:
            advice = f"These are the classes of {viewer.name}."
            raise UnknownNameError("class", class_name, viewer.preprocessing.classes, advice)
    side = max(
        _SMALLEST, *(math.ceil(each.preprocessing.resolution / each.preprocessing.crop) for each in viewers)
    )
    heads = [Caption("image"), *(_head(viewer) for viewer in viewers)]
    found: list[Explanation] = []
    rows: list[list[Tile]] = []
    stems = _stems(images)
    for image, stem in zip(images, stems, strict=True):
        picture = enlarged(read_image(image, channels=3, min_side=side), side=side)
        tiles = [Tile(picture, Caption(image.name))]
        for viewer in viewers:
            one = _look(viewer, image, class_name, out / f"{stem}-{_plain(viewer.name)}.png")
            drawn = overlay(picture, one.map, crop=viewer.preprocessing.crop)
            save_picture(drawn, one.overlay)
            tiles.append(Tile(drawn, _caption(one)))
            found.append(one)
        rows.append(tiles)
    return Explained(_save_grids(heads, rows, out), tuple(found))


def _save_grids(heads: list[Caption], rows: list[list[Tile]], out: Path) -> tuple[Path, ...]:
    """A row for each image; with one network and many images, several images in a row."""
    across = _ACROSS if len(heads) == 2 and len(rows) > _ACROSS else 1
    folded = [
        [tile for row in rows[first : first + across] for tile in row]
        for first in range(0, len(rows), across)
    ]
    return tuple(
        save_picture(grid(heads * across, folded[first : first + _ROWS], scale=_SCALE), out / _page(number))
        for number, first in enumerate(range(0, len(folded), _ROWS))
    )


def _look(viewer: Viewer, image: Path, class_name: str | None, path: Path) -> Explanation:
    asked = viewer.preprocessing
    pixels = read_image(image, channels=asked.channels, min_side=asked.resolution)
    view = center_view(pixels, resolution=asked.resolution, crop=asked.crop)
    batch = to_input(np.ascontiguousarray(view[None]), asked, torch.device("cpu"))
    with torch.no_grad():
        probabilities = viewer.module(batch).softmax(1)[0]
    best = int(probabilities.argmax())
    place = best if class_name is None else asked.classes.index(class_name)
    return Explanation(
        network=viewer.name,
        image=image,
        explained=asked.classes[place],
        probability=float(probabilities[place]),
        answer=asked.classes[best],
        confidence=float(probabilities[best]),
        map=class_activation_map(viewer.module, batch, [place])[0].numpy(),
        overlay=path,
    )


def _stems(images: Sequence[Path]) -> list[str]:
    """File names without endings; a name that came before gets a number."""
    stems: list[str] = []
    for image in images:
        stem, number = _plain(image.stem), 1
        while (numbered := stem if number == 1 else f"{stem}-{number}") in stems:
            number += 1
        stems.append(numbered)
    return stems


def _plain(name: str) -> str:
    """A name as part of a file's name."""
    return (
        "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name).strip("-.") or "x"
    )


def _page(number: int) -> str:
    return "explain.png" if number == 0 else f"explain-{number + 1}.png"


def _head(viewer: Viewer) -> Caption:
    size = f"{viewer.preprocessing.resolution} px"
    return Caption(viewer.name, f"{format_quantity(viewer.macs)} MACs, {size}")


def _caption(one: Explanation) -> Caption:
    first = f"{one.explained}  {one.probability:.1%}"
    return Caption(
        first, "" if one.answer == one.explained else f"answer: {one.answer}  {one.confidence:.1%}"
    )
