"""`allometry explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allometry.cli.options import Crop, Instead, Json, WeightsOption
from allometry.cli.printing import _check_together, print_figures, print_json

if TYPE_CHECKING:
    from allometry.reports.explanations import Explanation


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
    from allometry.verbs.explain import explain_pretrained, explain_runs

    _check_together(network, pretrained, crop)
    if network is not None and pretrained is not None:
        found = explain_pretrained(network, pretrained, paths, class_name=class_name, out=out, crop=crop)
    else:
        found = explain_runs(paths, class_name=class_name, out=out)
    if as_json:
        print_json(found.to_dict())
        return
    for image in dict.fromkeys(each.image for each in found.explanations):
        seen = [each for each in found.explanations if each.image == image]
        print_figures(str(image), {each.network: _said(each) for each in seen})
    for path in found.grids:
        typer.echo(path)


def _said(one: Explanation) -> str:
    said = f"{one.explained} {one.probability:.1%}"
    return said if one.answer == one.explained else f"{said}; answer {one.answer} {one.confidence:.1%}"
