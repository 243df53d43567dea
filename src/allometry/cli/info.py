"""`allometry info`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from allometry.cli.options import Json
from allometry.cli.printing import print_json, print_module, print_network, stage_rows, summary

if TYPE_CHECKING:
    pass


def info(
    network: Annotated[
        str,
        typer.Argument(
            metavar="N",
            help="A name of `allometry zoo`, a network's JSON file, timm:NAME, or package.module:factory of any "
            "torch module.",
        ),
    ],
    *,
    resolution: Annotated[
        int | None,
        typer.Option("--resolution", min=1, help="Side of the input; by default the network's own."),
    ] = None,
    as_json: Json = False,
) -> None:
    """A network's stages, params, MACs, activations and memory.

    Example: `allometry info efficientnet-b0`
    """
    from allometry.catalog import as_network, names_module

    if names_module(network):
        _module_info(network, resolution, as_json=as_json)
        return
    found = as_network(network)
    if resolution is not None:
        found = replace(found, resolution=resolution)
    if as_json:
        print_json({**summary(found), **_growth(network), "stages": stage_rows(found)})
    else:
        print_network(found)


def _module_info(text: str, resolution: int | None, *, as_json: bool) -> None:
    from allometry.nn import open_module, timm_config, watch_module

    module = open_module(text)
    side = resolution or timm_config(module).get("resolution", 224)
    cost, parts, _ = watch_module(module, resolution=side)
    rows = [part._asdict() for part in parts]
    if as_json:
        print_json({"name": text, "resolution": side, **cost._asdict(), "parts": rows})
    else:
        print_module(text, side, cost._asdict(), rows)


def _growth(name: str) -> dict[str, float | None]:
    """Depth, width and phi against the family's baseline, where the zoo knows them."""
    from allometry.base import UnknownNameError
    from allometry.catalog import entry_of

    try:
        growth = entry_of(name).growth
    except UnknownNameError:
        return {"depth": None, "width": None, "phi": None}
    if growth is None:
        return {"depth": None, "width": None, "phi": None}
    return {"depth": growth.depth, "width": growth.width, "phi": growth.phi}
