"""`allometry zoo`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from allometry.base import InputError
from allometry.cli.options import Json
from allometry.cli.printing import print_json, print_zoo

if TYPE_CHECKING:
    from allometry.arch import Network
    from allometry.catalog import Entry
    from allometry.cost import Cost


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
    from allometry.catalog import choose
    from allometry.cost import count, parse_budget

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
