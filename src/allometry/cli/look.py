"""Verbs that look at networks: they need no torch and answer at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allometry.base import InputError
from allometry.cli.options import Json
from allometry.cli.printing import print_json, print_module, print_network, print_zoo, stage_rows

if TYPE_CHECKING:
    from allometry.arch import Network
    from allometry.cost import Cost
    from allometry.zoo import Entry


def zoo(
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="Only names with this in them.", show_default=False)
    ] = None,
    *,
    family: Annotated[
        str | None, typer.Option("--family", metavar="F", help="Only this family, such as mobilenet.")
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            "--within", metavar="B", help="Only what fits a budget, such as 'macs<=400M, params<=5M'."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """The networks it knows, with their published numbers.

    Example: `allometry zoo --family mobilenet --within "macs<=300M"`
    """
    from allometry.cost import count, parse_budget
    from allometry.zoo import choose

    budget = None if within is None else parse_budget(within)
    made = [(entry, entry.make()) for entry in choose(text or "", family=family)]
    counted = [(entry, network, count(network)) for entry, network in made]
    rows = [_zoo_row(*line) for line in counted if budget is None or budget.allows(line[2])]
    if not rows and not as_json:
        raise InputError(f"No network of that choice is within {budget}; raise the budget.")
    if as_json:
        print_json({"networks": rows})
    else:
        print_zoo(rows)


def _zoo_row(entry: Entry, network: Network, cost: Cost) -> dict[str, Any]:
    published = entry.published
    return {
        "name": entry.name,
        "family": entry.family,
        "about": entry.about,
        "resolution": network.resolution,
        "params": cost.params,
        "macs": cost.macs,
        "activations": cost.activations,
        "top1": published.top1 if published else None,
        "published_params": published.params if published else None,
        "published_macs": published.macs if published else None,
        "source": published.source if published else None,
        "note": (published.note or None) if published else None,
    }


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
    from allometry.zoo import find as find_network
    from allometry.zoo import names_module

    if names_module(network):
        _module_info(network, resolution, as_json=as_json)
        return
    found = find_network(network)
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
    from allometry.zoo import entry_of

    try:
        growth = entry_of(name).growth
    except UnknownNameError:
        return {"depth": None, "width": None, "phi": None}
    if growth is None:
        return {"depth": None, "width": None, "phi": None}
    return {"depth": growth.depth, "width": growth.width, "phi": growth.phi}


def summary(network: Network) -> dict[str, Any]:
    """What it is called and costs, JSON-ready."""
    from allometry.cost import count

    return {"name": network.name, "resolution": network.resolution, **count(network).to_dict()}
