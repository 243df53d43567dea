"""`allometry zoo`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from allometry.base import InputError
from allometry.cli.options import Json
from allometry.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from allometry.verbs.zoo import Zoo


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
    from allometry.verbs.zoo import zoo as list_zoo

    networks = list_zoo(text or "", family=family, within=within)
    if as_json:
        print_json(networks.to_dict())
    elif not networks:
        raise InputError(f"No network of that choice is within {within}; raise the budget.")
    else:
        _print(networks)


def _print(networks: Zoo) -> None:
    """A family at a time."""
    from allometry.cost import as_measure

    more = [as_measure(name) for name in networks[0].more]
    rows = [
        [
            entry.name,
            str(entry.network.resolution),
            *(f"{value:,}" for value in (entry.cost.params, entry.cost.macs, entry.cost.activations)),
            *(measure.format(entry.more[measure.name]) for measure in more),
            f"{entry.published.top1:.1f} %" if entry.published and entry.published.top1 is not None else "",
            entry.published.source if entry.published else "",
        ]
        for entry in networks
    ]
    families = [entry.family for entry in networks]
    ends = [family != later for family, later in zip(families, [*families[1:], ""], strict=True)]
    labels = (measure.label for measure in more)
    columns = ("name", "px", "params", "MACs", "activations", *labels, "top-1", "source")
    print_table(columns, rows, section_ends=ends)
