"""`allometry info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from allometry.cli.options import Json
from allometry.cli.printing import print_costs, print_json, print_network, print_table, print_title

if TYPE_CHECKING:
    from allometry.verbs.info import ModuleInfo


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
    from allometry.verbs.info import NetworkInfo
    from allometry.verbs.info import info as look_at

    known = look_at(network, resolution=resolution)
    if as_json:
        print_json(known.to_dict())
    elif isinstance(known, NetworkInfo):
        print_network(known.network)
    else:
        _print_module(known)


def _print_module(known: ModuleInfo) -> None:
    """The children of a torch module and its costs."""
    print_title(known.name, f"{known.resolution} x {known.resolution} px")
    rows = [[part.name, part.kind, f"{part.params:,}", f"{part.macs:,}"] for part in known.parts]
    print_table(("name", "layer", "params", "MACs"), rows)
    print_costs(known.costs)
