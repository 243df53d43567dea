"""`allometry predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allometry.base import InputError
from allometry.cli.options import Crop, Instead, Json, WeightsOption
from allometry.cli.printing import _check_together, print_figures, print_json

if TYPE_CHECKING:
    pass


def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN] IMAGE...", help="A run folder, unless --network names a network; image files."
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
    from allometry.verbs.predict import predict_images, predict_pretrained

    _check_together(network, pretrained, crop)
    if network is not None and pretrained is not None:
        answers = predict_pretrained(network, pretrained, paths, top=top, crop=crop)
    else:
        if len(paths) < 2:
            raise InputError("Give a run folder and image files, or --network, --pretrained and image files.")
        answers = predict_images(paths[0], paths[1:], top=top)
    if as_json:
        rows = [
            {
                "image": answer.image,
                "classes": [{"name": name, "probability": share} for name, share in answer.classes],
            }
            for answer in answers
        ]
        print_json({"predictions": rows})
        return
    for answer in answers:
        print_figures(answer.image, {name: f"{share:.1%}" for name, share in answer.classes})
