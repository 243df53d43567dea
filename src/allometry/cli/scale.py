"""`allometry scale`: networks grown and shrunk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from allometry.cli.options import Json, NetworkName, Precision, Runtime, Threads
from allometry.cli.printing import print_json, print_network


def scale(
    network: NetworkName,
    *,
    phi: Annotated[
        float | None, typer.Option("--phi", help="Steps of the law; negative shrinks, fractions are fine.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="B",
            help="400M, macs<=400M, params<=5M, memory<=512MB, latency<=20ms, 4x; or several.",
        ),
    ] = None,
    depth: Annotated[
        float | None, typer.Option("--depth", metavar="d", help="Multiplier of the layers.")
    ] = None,
    width: Annotated[
        float | None, typer.Option("--width", metavar="w", help="Multiplier of the channels.")
    ] = None,
    resolution: Annotated[
        float | None, typer.Option("--resolution", metavar="r", help="Multiplier of the input's side.")
    ] = None,
    law: Annotated[
        str | None,
        typer.Option(
            "--law",
            metavar="L",
            help="compound (the default), depth, width, resolution, fast; 1.2,1.1,1.15; a JSON file.",
        ),
    ] = None,
    channel_multiple: Annotated[
        int | None,
        typer.Option(
            "--channel-multiple",
            min=1,
            metavar="M",
            help="Round channels to multiples of this: the law's, usually 8; 16 or 32 where the device likes that.",
        ),
    ] = None,
    lite: Annotated[
        bool,
        typer.Option(
            "--lite",
            help="First give it the form for integer hardware: no squeeze-excite, ReLU6, fixed stem and head.",
        ),
    ] = False,
    runtime: Runtime = None,
    threads: Threads = 1,
    precision: Precision = "float32",
    features_only: Annotated[
        bool,
        typer.Option(
            "--features-only", help="As a backbone: the head does not count, in the budget and in the table."
        ),
    ] = False,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the network as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Grow or shrink a network: by steps of a law, to a budget, or by its three dimensions.

    A latency is measured on this machine, network by network, until one fits: a minute or two.

    Example: `allometry scale efficientnet-b0 --budget "macs<=1G, params<=10M"`

    Example: `allometry scale efficientnet-b0 --budget "latency<=20ms"`

    Example: `allometry scale resnet-50 --budget 1G --features-only --save backbone.json`
    """
    from allometry.arch import save as save_network
    from allometry.verbs.scale import scale_in_full

    scaled = scale_in_full(
        network,
        phi,
        budget=budget,
        depth=depth,
        width=width,
        resolution=resolution,
        law=law,
        channel_multiple=channel_multiple,
        lite=lite,
        runtime=runtime,
        threads=threads,
        precision=precision,
        features_only=features_only,
    )
    if save is not None:
        save_network(scaled.network, save)
    if as_json:
        print_json(scaled.to_dict())
    else:
        where = str(scaled.runtime or "")
        print_network(
            scaled.network, before=scaled.origin, cost=scaled.cost, where=where, features_only=features_only
        )
