"""What networks look at: class activation maps on images, of one network or of several side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from allometry.base import DataError, InputError, UnknownNameError
from allometry.base.runs import read_run
from allometry.base.units import format_quantity
from allometry.cost import count
from allometry.data import centre_view, read_image
from allometry.nn import class_activation_map, watch_module
from allometry.pipeline.finished import open_finished
from allometry.pipeline.grids import Caption, Tile, grid, save_picture
from allometry.pipeline.overlays import enlarged, overlay
from allometry.pipeline.pretrained import open_pretrained
from allometry.train import Preprocessing, to_input

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


def explain_runs(
    paths: Sequence[Path], *, class_name: str | None = None, out: Path | None = None
) -> Explained:
    """Draw what trained runs look at in image files.

    Args:
        paths: run folders, then image files. What is a folder at the beginning is taken for a run.
        class_name: the class to explain; by default each network's most probable one.
        out: the folder for the pictures; by default `explain` in the first run folder.

    Raises:
        InputError: no run or no image is given, or they are mixed.
        RunFolderError: a run is missing or not finished.
        DataError: an image is missing or unreadable.
        UnknownNameError: a run has no such class.
        StorageError: a picture cannot be written.
    """
    runs, images = _sorted(paths)
    names = _names(runs)
    viewers = []
    for run, name in zip(runs, names, strict=True):
        finished = open_finished(run)
        viewers.append(Viewer(name, finished.module, finished.preprocessing, count(finished.network).macs))
    return explain(viewers, images, class_name=class_name, out=out or runs[0] / "explain")


def explain_pretrained(
    network: str,
    weights: str,
    images: Sequence[Path],
    *,
    class_name: str | None = None,
    out: Path | None = None,
    crop: float | None = None,
) -> Explained:
    """Draw what a network with published weights looks at in image files.

    Args:
        network: a name of the zoo, a network's JSON file, `timm:NAME` or `package.module:factory`.
        weights: a file, `hf://owner/name`, or a run folder.
        images: files of any kind that training takes.
        class_name: the class to explain; by default the most probable one.
        out: the folder for the pictures; by default `explain` in the current one.
        crop: share of the shorter side that the view shows; by default what the weights expect.

    Raises:
        InputError: network, weights or crop are wrong.
        DataError: an image is missing or unreadable.
        UnknownNameError: the network has no such class.
        StorageError: a picture cannot be written.
    """
    if crop is not None and not 0 < crop <= 1:
        raise InputError(f"The crop must be a share above 0 and at most 1, not {crop:g}.")
    ready = open_pretrained(network, weights)
    asked = ready.preprocessing if crop is None else replace(ready.preprocessing, crop=crop)
    macs = watch_module(ready.module, resolution=asked.resolution, in_channels=asked.channels).cost.macs
    viewer = Viewer(network, ready.module, asked, macs)
    return explain([viewer], images, class_name=class_name, out=out or Path("explain"))


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
        picture = enlarged(read_image(image, channels=3, at_least=side), side=side)
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
    pixels = read_image(image, channels=asked.channels, at_least=asked.resolution)
    view = centre_view(pixels, resolution=asked.resolution, crop=asked.crop)
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


def _sorted(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The run folders and the image files of a command line."""
    usage = "Give run folders first, then image files."
    runs = []
    for path in paths:
        if not path.is_dir():
            break
        runs.append(path)
    images = list(paths[len(runs) :])
    if images and not runs:
        if images[0].is_file():
            raise InputError(f"{images[0]} is a file, not a run folder. {usage}")
        read_run(images[0])  # says which runs are near
    late = next((path for path in images if path.is_dir()), None)
    if late is not None:
        raise InputError(f"{late} is a folder but comes after an image. {usage}")
    if not runs or not images:
        raise InputError(f"No image is given. {usage}" if runs else usage)
    missing = next((path for path in images if not path.exists()), None)
    if missing is not None:
        raise DataError(f"There is no file and no run folder {missing}. {usage}")
    return runs, images


def _names(runs: Sequence[Path]) -> list[str]:
    """Each run's folder name, or its whole path where two folders have the same name."""
    short = [run.resolve().name for run in runs]
    return [name if short.count(name) == 1 else str(run) for name, run in zip(short, runs, strict=True)]


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
