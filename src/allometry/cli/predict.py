"""`allometry predict`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allometry.base import InputError
from allometry.base.files import write_text
from allometry.base.text import write_line
from allometry.cli.options import Crop, Instead, Json, WeightsOption
from allometry.cli.printing import print_json, print_rows

if TYPE_CHECKING:
    from allometry.verbs.predict import Prediction, Predictions


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] IMAGE...",
            help="A run folder or hf://owner/name, unless --network names a network; image files, or folders of them.",
        ),
    ],
    *,
    network: Instead = None,
    pretrained: WeightsOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes for each image.")] = 5,
    crop: Crop = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write a table (.csv) or a JSON object a line (.jsonl) instead of text.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """The most probable classes of some images.

    Images that cannot be read are named on the error stream, and the exit status is then 1; the others have their
    answers.

    Example: `allometry predict runs/photos-20M cat.jpg photos/new/ --out answers.csv`
    """
    from allometry.verbs.predict import predict as predict_images

    run, image_paths = (paths[0], paths[1:]) if network is None else (None, paths)
    images = [Path(path) for path in image_paths]
    if not images:
        raise InputError("Give a run folder and image files, or --network, --pretrained and image files.")
    if out is not None and out.suffix not in (".csv", ".jsonl"):
        raise InputError(f"--out writes .csv or .jsonl, not {out.suffix or out.name!r}.")
    predictions = predict_images(run, images, network=network, pretrained=pretrained, top=top, crop=crop)
    if out is not None:
        write_text(out, _as_lines(predictions) if out.suffix == ".jsonl" else _as_table(predictions))
    if as_json:
        print_json(predictions.to_dict())
    elif out is None:
        for one in predictions:
            _print(one)
    for one in predictions:
        if one.error or one.remark:
            write_line(f"allometry: {one.error or one.remark}")
    if predictions.failed:
        raise typer.Exit(1)


def _print(one: Prediction) -> None:
    if not one.error:
        classes = {name: f"{probability:.1%}" for name, probability in one.classes}
        print_rows(one.image, classes or {"no label": "none is as probable as its threshold"})


def _as_lines(predictions: Predictions) -> str:
    return "".join(json.dumps(one.to_dict(), allow_nan=False) + "\n" for one in predictions)


def _as_table(predictions: Predictions) -> str:
    """A row for each class of each image, best first; of an image that cannot be read, one with the reason."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("image", "class", "probability", "error"))
    for one in predictions:
        writer.writerows((one.image, name, f"{probability:.6g}", "") for name, probability in one.classes)
        if not one.classes:
            writer.writerow((one.image, "", "", one.error))
    return table.getvalue()
