"""What networks look at in images: one image for each pair, and all of them side by side."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from allometry.base import UnknownNameError
from allometry.base.units import format_quantity, plural
from allometry.data import NamedImage, center_view
from allometry.nn import class_activation_map
from allometry.reports.cam_grids import Caption, Tile, grid, save_image
from allometry.reports.cam_overlays import enlarged, overlay
from allometry.training import Preprocessing, to_input

_SMALLEST = 320  # side of a shown image in pixels: of a smaller one too little is visible
_ROWS = 12  # of a grid: more would be too tall to look at
_ACROSS = 3  # images in a row of a grid of one network
_SCALE = Caption("nothing speaks for the class", "the most in this image")


@dataclass(frozen=True, slots=True)
class Viewer:
    """A network that looks at images.

    Attributes:
        name: what it is called in images.
        module: in evaluation mode, on the CPU.
        preprocessing: of its input, with the names of its classes.
        macs: for one image.
    """

    name: str
    module: nn.Module
    preprocessing: Preprocessing
    macs: int


@dataclass(frozen=True, slots=True)
class ClassMap:
    """What one network looks at in one image.

    Attributes:
        network: the network's name.
        image: the image's file, or `image 0` and so on.
        explained: the class that the map speaks for.
        probability: of that class.
        predicted: the most probable class.
        confidence: its probability.
        map: how much each place speaks for the explained class, float32 [h, w].
        overlay: the PNG of the image with the map on it.
    """

    network: str
    image: str
    explained: str
    probability: float
    predicted: str
    confidence: float
    map: npt.NDArray[np.float32]
    overlay: Path

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values; of the map only its size."""
        return {
            "network": self.network,
            "image": self.image,
            "class": self.explained,
            "probability": self.probability,
            "answer": self.predicted,
            "confidence": self.confidence,
            "map": list(self.map.shape),
            "overlay": str(self.overlay),
        }

    def __repr__(self) -> str:
        return f"ClassMap({self.network} on {self.image}: {self.explained} {self.probability:.1%})"


@dataclass(frozen=True, slots=True)
class ClassMaps(Sequence[ClassMap]):
    """Class activation maps, one for each image and network, image by image.

    Attributes:
        grids: PNGs with all images and networks, 12 rows in each.
        maps: one for each image and network.
    """

    grids: tuple[Path, ...]
    maps: tuple[ClassMap, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values; of a map only its size."""
        return {
            "grids": [str(path) for path in self.grids],
            "explanations": [one.to_dict() for one in self.maps],
        }

    @overload
    def __getitem__(self, index: int) -> ClassMap: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ClassMap, ...]: ...
    def __getitem__(self, index: int | slice) -> ClassMap | tuple[ClassMap, ...]:
        """A map by its place, or some of them."""
        return self.maps[index]

    def __len__(self) -> int:
        return len(self.maps)

    def __iter__(self) -> Iterator[ClassMap]:
        return iter(self.maps)

    def __repr__(self) -> str:
        return f"ClassMaps({plural(len(self), 'map')} in {', '.join(str(path) for path in self.grids)})"

    def _repr_html_(self) -> str:
        return "".join(
            f'<img alt="class activation maps" style="max-width:100%" src="data:image/png;base64,{_base64(path)}">'
            for path in self.grids
        )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def draw_class_maps(
    viewers: Sequence[Viewer], images: Sequence[NamedImage], *, class_name: str | None = None, out: Path
) -> ClassMaps:
    """Draw what networks look at in images: one image for each pair, and all of them in a grid.

    Args:
        viewers: the networks.
        images: files or pixels.
        class_name: the class to explain; by default each network's most probable one.
        out: the folder for the images.

    Raises:
        DataError: an image is missing or unreadable.
        UnknownNameError: a network has no such class.
        StorageError: an image cannot be written.

    Source: Tan & Le 2019 (EfficientNet), section 5 and figure 7.
    """
    for viewer in viewers:
        if class_name is not None and class_name not in viewer.preprocessing.classes:
            advice = f"These are the classes of {viewer.name}."
            raise UnknownNameError("class", class_name, viewer.preprocessing.classes, advice)
    side = max(
        _SMALLEST,
        *(math.ceil(viewer.preprocessing.resolution / viewer.preprocessing.crop) for viewer in viewers),
    )
    heads = [Caption("image"), *(_head(viewer) for viewer in viewers)]
    maps: list[ClassMap] = []
    rows: list[list[Tile]] = []
    stems = _stems(images)
    for image, stem in zip(images, stems, strict=True):
        views = [
            enlarged(image.pixels(channels=3, min_side=side, levels=viewer.preprocessing.levels), side=side)
            for viewer in viewers
        ]
        tiles = [Tile(views[0], Caption(Path(image.name).name))]
        for viewer, view in zip(viewers, views, strict=True):
            one = _class_map(viewer, image, class_name, out / f"{stem}-{_plain(viewer.name)}.png")
            drawn = overlay(view, one.map, crop=viewer.preprocessing.crop)
            save_image(drawn, one.overlay)
            tiles.append(Tile(drawn, _caption(one)))
            maps.append(one)
        rows.append(tiles)
    return ClassMaps(_save_grids(heads, rows, out), tuple(maps))


def _save_grids(heads: list[Caption], rows: list[list[Tile]], out: Path) -> tuple[Path, ...]:
    """A row for each image; with one network and many images, several images in a row."""
    across = _ACROSS if len(heads) == 2 and len(rows) > _ACROSS else 1
    folded = [
        [tile for row in rows[first : first + across] for tile in row]
        for first in range(0, len(rows), across)
    ]
    return tuple(
        save_image(grid(heads * across, folded[first : first + _ROWS], scale=_SCALE), out / _page(number))
        for number, first in enumerate(range(0, len(folded), _ROWS))
    )


def _class_map(viewer: Viewer, image: NamedImage, class_name: str | None, path: Path) -> ClassMap:
    preprocessing = viewer.preprocessing
    resolution, classes = preprocessing.resolution, preprocessing.classes
    pixels = image.pixels(
        channels=preprocessing.channels, min_side=preprocessing.kept_side, levels=preprocessing.levels
    )
    view = center_view(pixels, resolution=resolution, crop=preprocessing.crop)
    batch = to_input(np.ascontiguousarray(view[None]), preprocessing, torch.device("cpu"))
    with torch.no_grad():
        probabilities = preprocessing.probabilities(viewer.module(batch))[0]
    best = int(probabilities.argmax())
    place = best if class_name is None else classes.index(class_name)
    return ClassMap(
        network=viewer.name,
        image=image.name,
        explained=classes[place],
        probability=float(probabilities[place]),
        predicted=classes[best],
        confidence=float(probabilities[best]),
        map=class_activation_map(viewer.module, batch, [place])[0].numpy(),
        overlay=path,
    )


def _stems(images: Sequence[NamedImage]) -> list[str]:
    """The images' names without endings; a name that came before gets a number."""
    stems: list[str] = []
    for image in images:
        stem, number = _plain(Path(image.name).stem), 1
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


def _caption(one: ClassMap) -> Caption:
    first = f"{one.explained}  {one.probability:.1%}"
    return Caption(
        first, "" if one.predicted == one.explained else f"answer: {one.predicted}  {one.confidence:.1%}"
    )
