"""`allometry explain`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allometry.base import DataError, InputError
from allometry.base.reading import exists, is_file, is_folder
from allometry.cli.options import Crop, Instead, Json, WeightsOption
from allometry.cli.printing import print_json, print_line, print_rows

if TYPE_CHECKING:
    from allometry.reports.class_maps import ClassMap


def explain(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN...] IMAGE...",
            help="Run folders, unless --network names a network; then image files.",
        ),
    ],
    *,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME", help="What to look for; by default each network's own answer."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="For the images; by default explain in the first run folder."
        ),
    ] = None,
    network: Instead = None,
    pretrained: WeightsOption = None,
    crop: Crop = None,
    as_json: Json = False,
) -> None:
    """Show what networks look at in images: class activation maps, several networks side by side.

    Example: `allometry explain runs/photos-5M runs/photos-20M cat.jpg dog.png`
    """
    from allometry.verbs.explain import explain as draw

    runs, images = ([], paths) if network is not None else _runs_and_images(paths)
    maps = draw(
        runs or None,
        images,
        network=network,
        pretrained=pretrained,
        class_name=class_name,
        out=out,
        crop=crop,
    )
    if as_json:
        print_json(maps.to_dict())
        return
    for image in dict.fromkeys(one.image for one in maps):
        print_rows(image, {one.network: _line(one) for one in maps if one.image == image})
    for path in maps.grids:
        print_line(str(path))


def _line(one: ClassMap) -> str:
    line = f"{one.explained} {one.probability:.1%}"
    return line if one.predicted == one.explained else f"{line}; answer {one.predicted} {one.confidence:.1%}"


def _runs_and_images(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The run folders and the image files of a command line."""
    usage = "Give run folders first, then image files."
    runs = list(takewhile(is_folder, paths))
    images = list(paths[len(runs) :])
    if images and not runs:
        if is_file(images[0]):
            raise InputError(f"{images[0]} is a file, not a run folder. {usage}")
        runs.append(images.pop(0))  # opening it says which runs are near
    late = next((path for path in images if is_folder(path)), None)
    if late is not None:
        raise InputError(f"{late} is a folder but comes after an image. {usage}")
    missing = next((path for path in images if not exists(path)), None)
    if missing is not None and exists(runs[-1]):
        raise DataError(f"There is no file and no run folder {missing}. {usage}")
    if not images and exists(runs[0]):
        raise InputError(f"No image is given. {usage}" if runs else usage)
    return runs, images
