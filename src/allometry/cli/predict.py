"""`allometry predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from allometry.base import InputError
from allometry.cli.options import Crop, Instead, Json, WeightsOption
from allometry.cli.printing import print_json, print_rows


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] IMAGE...",
            help="A run folder or hf://owner/name, unless --network names a network; image files.",
        ),
    ],
    *,
    network: Instead = None,
    pretrained: WeightsOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes for each image.")] = 5,
    crop: Crop = None,
    as_json: Json = False,
) -> None:
    """The most probable classes of some images.

    Example: `allometry predict runs/photos-20M cat.jpg dog.png`
    """
    from allometry.verbs.predict import predict as predict_images

    run, image_paths = (paths[0], paths[1:]) if network is None else (None, paths)
    images = [Path(path) for path in image_paths]
    if not images:
        raise InputError("Give a run folder and image files, or --network, --pretrained and image files.")
    predictions = predict_images(run, images, network=network, pretrained=pretrained, top=top, crop=crop)
    if as_json:
        print_json(predictions.to_dict())
        return
    for one in predictions:
        classes = {name: f"{probability:.1%}" for name, probability in one.classes}
        print_rows(one.image, classes or {"no label": "none is as probable as its threshold"})
