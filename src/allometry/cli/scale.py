"""`allometry scale`: networks grown and shrunk."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allometry.base import InputError
from allometry.cli.options import Json, NetworkName, Precision, Runtime, Threads
from allometry.cli.printing import print_json, print_network, summary

if TYPE_CHECKING:
    from allometry.arch import Network
    from allometry.cost import Budget, RuntimeConfig
    from allometry.scaling import ScalingLaw, Solution


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
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the network as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Grow or shrink a network: by steps of a law, to a budget, or by its three dimensions.

    A latency is measured on this machine, network by network, until one fits: a minute or two.

    Example: `allometry scale efficientnet-b0 --budget "macs<=1G, params<=10M"`

    Example: `allometry scale efficientnet-b0 --budget "latency<=20ms"`
    """
    from allometry.arch import apply_multipliers
    from allometry.arch import lite as lite_form
    from allometry.arch import save as save_network
    from allometry.catalog import as_network
    from allometry.cost import count, parse_budget, runtime_config_for
    from allometry.scaling import Multipliers
    from allometry.scaling import scale as scale_network

    origin, chosen = as_network(network), _law(law, channel_multiple)
    if lite:
        origin = lite_form(origin)
    by_hand = any(value is not None for value in (depth, width, resolution))
    if lite and phi is None and budget is None and not by_hand:
        phi = 0.0
    if sum((phi is not None, budget is not None, by_hand)) != 1:
        raise InputError("Give one of --phi, --budget, or multipliers (--depth, --width, --resolution).")
    if by_hand and law is not None:
        raise InputError(
            "--law says in what proportion to grow, and so do --depth, --width and --resolution."
        )
    if budget is None and (runtime is not None or threads != 1 or precision != "float32"):
        raise InputError(
            "--runtime, --threads and --precision say where a budget is measured; give a --budget, such as "
            "latency<=20ms."
        )
    steps, cost, setting, told = phi, None, None, dict[str, Any]()
    if phi is not None:
        grown, multipliers = scale_network(origin, phi, law=chosen), chosen.multipliers(phi)
    elif budget is not None:
        limits = parse_budget(budget, count(origin))
        setting = runtime_config_for(limits, runtime=runtime, threads=threads, precision=precision)
        solution = _solve(origin, limits, chosen, setting)
        grown, multipliers, steps, cost = (
            solution.network,
            solution.multipliers,
            solution.phi,
            solution.cost,
        )
        told = {"setting": asdict(setting)} if setting else {}
    else:
        multipliers = Multipliers(*(1.0 if value is None else value for value in (depth, width, resolution)))
        label = " ".join(f"{name[0]}{value:g}" for name, value in multipliers._asdict().items())
        multiple = {"channel_multiple": chosen.channel_multiple}
        grown = apply_multipliers(
            origin, **multipliers._asdict(), **multiple, name=f"{origin.name} {label}".strip()
        )
    if save is not None:
        save_network(grown, save)
    if as_json:
        print_json(
            {**summary(grown), **(cost.to_dict() if cost else {}), **told}
            | {"depth": multipliers.depth, "width": multipliers.width, "phi": steps}
            | {"resolution_multiplier": multipliers.resolution}
        )
    else:
        print_network(grown, before=origin, cost=cost, where=str(setting or ""))


def _law(text: str | None, channel_multiple: int | None) -> ScalingLaw:
    from allometry.scaling import as_law

    law = as_law(text or "compound")
    return law if channel_multiple is None else replace(law, channel_multiple=channel_multiple)


def _solve(origin: Network, limits: Budget, law: ScalingLaw, setting: RuntimeConfig | None) -> Solution:
    from allometry.scaling import solve

    if setting is None:
        return solve(origin, limits, law=law)
    from allometry.cli.progress_display import make_progress
    from allometry.profiling import solve_on_device

    solution, doubts = solve_on_device(origin, limits, law=law, setting=setting, progress=make_progress())
    for doubt in doubts:
        typer.echo(f"warning: {doubt}", err=True)
    return solution
