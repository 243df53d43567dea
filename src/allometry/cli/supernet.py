"""`allometry supernet`: train one network for all budgets, search it, take subnets out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allometry.base import InputError
from allometry.base.reading import UnreadableError, parse_number
from allometry.cli.options import (
    Callbacks,
    Data,
    Device,
    DryRun,
    Group,
    Json,
    Out,
    Runtime,
    Seed,
    Settings,
    Threads,
)
from allometry.cli.printing import print_json, print_rows
from allometry.cli.supernet_rows import extracted_rows, front_rows, planned_rows, subnet_rows, trained_rows

if TYPE_CHECKING:
    from allometry.nn import ModuleElasticity


supernet = typer.Typer(
    name="supernet",
    help="Once for all: train one network with all the choices of a space, then take what each device needs.",
    rich_markup_mode="markdown",
)
SupernetRun = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of `allometry supernet train`.")]


@supernet.callback(invoke_without_command=True)
def _top(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@supernet.command()
def train(
    space: Annotated[
        str | None,
        typer.Argument(
            metavar="SPACE",
            help="A network, for the space around it; or a space by name, such as ofa-mobilenetv3-1.0, or its JSON "
            "file. None with --module.",
        ),
    ] = None,
    *,
    data: Data = "icons",
    module: Annotated[
        str | None,
        typer.Option(
            "--module",
            metavar="M",
            help="In place of SPACE a torch module, as the largest subnet: package.module:factory. It is imported, and "
            "so run.",
        ),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option("--resolution", min=1, help="Of a torch module's largest images; by default 224."),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(
            "--widths",
            metavar="F,F",
            help="Of a torch module's channels, as fractions: 0.5,0.75 by default, and the whole.",
        ),
    ] = None,
    depths: Annotated[
        str | None,
        typer.Option(
            "--depths", metavar="F,F", help="The same of its blocks that repeat: 0.5,0.75 by default."
        ),
    ] = None,
    resolutions: Annotated[
        str | None,
        typer.Option(
            "--resolutions",
            metavar="F,F",
            help="The same of the side of its images: 0.75,0.875 by default.",
        ),
    ] = None,
    group: Group = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="B",
            help="Of the largest subnet: 10M, macs<=300M, params<=5M, memory<=50MB. Around a network 10M by default; a "
            "space that is given has to keep it.",
        ),
    ] = None,
    phases: Annotated[
        str,
        typer.Option(
            "--phases",
            metavar="P",
            help="bignas (all at once, the others learn from the largest one's answers alone, each at its own size), "
            "sandwich (the same, but from labels, too, at one size in a step), shrinking (the largest network first, "
            "then smaller kernels, depths and widths), at-once (without either), or a JSON file.",
        ),
    ] = "bignas",
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            min=1,
            help="Of the one phase, or of shrinking's first, which the others follow; by default the plan's own.",
        ),
    ] = None,
    coupled: Annotated[
        bool,
        typer.Option(
            "--coupled", help="Deep stages are wide, shallow ones narrow: fewer subnets, for half the epochs."
        ),
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="W",
            help="Trained weights that the largest network inherits from: a run; or a file or hf://owner/name, of the "
            "network that SPACE is, or of the torch module.",
        ),
    ] = None,
    callbacks: Callbacks = None,
    dry_run: DryRun = False,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Train a supernet: one set of weights for all networks of a space.

    Called again with the same folder it goes on where it stopped. With several processes:
    `torchrun --nproc-per-node=2 -m allometry supernet train ...`

    Example: `allometry supernet train efficientnet-b0 --data photos/ --budget 300M`

    Example: `allometry supernet train efficientnet-lite0 --from lite0.pth --data photos/ --budget 300M`

    Example: `allometry supernet train --module mypackage:make --from best.pt --data photos/`
    """
    from allometry.cli.interrupts import stopping_on_signals
    from allometry.training.distributed import is_main_process
    from allometry.verbs import supernet as verbs

    open_ = {"widths": widths, "depths": depths, "resolutions": resolutions}
    for name, value in open_.items():
        if module is None and value is not None:
            raise InputError(f"--{name} is for torch modules (--module): a space says its own.")
    arguments: dict[str, Any] = {
        "module": module,
        "resolution": resolution,
        "elasticity": _elasticity(open_),
        "data": data,
        "group": group,
        "budget": budget,
        "plan": phases,
        "epochs": epochs,
        "coupled": coupled,
        "start": start,
        "seed": seed,
        "device": device,
        "settings": settings or (),
    }
    if dry_run:
        planned = verbs.forecast_train(space, **arguments)
        print_json(planned.to_dict()) if as_json else print_rows("supernet", planned_rows(planned))
        return
    with stopping_on_signals() as should_stop:
        run = verbs.train(space, out=out, callbacks=callbacks or (), should_stop=should_stop, **arguments)
    if is_main_process():
        print_json(run.to_dict()) if as_json else print_rows(str(run.folder), trained_rows(run))


@supernet.command()
def search(
    run: SupernetRun,
    *,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="B",
            help="What the subnet keeps: latency<=5ms, macs<=2M, params<=1M, memory<=8MB, several joined by commas.",
        ),
    ] = None,
    front: Annotated[
        str | None,
        typer.Option(
            "--front",
            metavar="COST",
            help="All the best subnets at once, by macs, params, activations, memory, latency or your own measure.",
        ),
    ] = None,
    subnets: Annotated[
        int, typer.Option("--subnets", min=20, help="To measure, for the predictor of accuracy.")
    ] = 300,
    held_out: Annotated[
        int, typer.Option("--held-out", min=10, help="To measure besides, to judge the predictor by.")
    ] = 100,
    least_tau: Annotated[
        float,
        typer.Option(
            "--least-tau",
            help="Kendall's tau, without the chance in accuracies, below which the predictor is not trusted.",
        ),
    ] = 0.6,
    table: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="A latency table of the space; by default it is built."),
    ] = None,
    runtime: Runtime = None,
    threads: Threads = 1,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Find the best subnet for a budget; nothing is trained.

    The first call measures some subnets, and for a latency the device; later ones answer at once.

    Example: `allometry supernet search runs/supernet-efficientnet-b0-photos --budget "latency<=5ms"`
    """
    from allometry.cli.interrupts import stopping_on_signals
    from allometry.verbs import supernet as verbs

    if front is None and budget is None:
        raise InputError(
            'Say what the subnet must keep, such as --budget "latency<=5ms", or ask for all of the best: --front macs.'
        )
    with stopping_on_signals() as should_stop:
        arguments: dict[str, Any] = {
            "subnets": subnets,
            "held_out": held_out,
            "least_tau": least_tau,
            "table": table,
            "runtime": runtime,
            "threads": threads,
            "device": device,
            "should_stop": should_stop,
        }
        if front is not None:
            best = verbs.front(run, cost=front, budget=budget, **arguments)
        else:
            subnet = verbs.search(run, budget=budget or "", **arguments)
    if front is not None:
        print_json(best.to_dict()) if as_json else print_rows(str(best.folder), front_rows(best))
    elif as_json:
        print_json({**subnet.to_dict(), "report": str(run / "report.html")})
    else:
        print_rows(str(subnet.folder), subnet_rows(subnet, run))


@supernet.command()
def extract(
    run: SupernetRun,
    subnet: Annotated[
        str,
        typer.Argument(
            metavar="SUBNET", help="Name of one that `supernet search` has found, or its JSON file."
        ),
    ],
    *,
    epochs: Annotated[
        int, typer.Option("--epochs", min=0, help="To fine-tune it by itself; none by default.")
    ] = 0,
    out: Out = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of the fine-tuning; by default the supernet's.")
    ] = None,
    device: Device = None,
    settings: Settings = None,
    callbacks: Callbacks = None,
    as_json: Json = False,
) -> None:
    """Take a subnet out, as a run folder that `export`, `evaluate` and `predict` take.

    Example: `allometry supernet extract runs/supernet-efficientnet-b0-photos latency-5ms`
    """
    from allometry.cli.interrupts import stopping_on_signals
    from allometry.verbs import supernet as verbs

    with stopping_on_signals() as should_stop:
        extracted = verbs.extract(
            run,
            subnet,
            epochs=epochs,
            out=out,
            seed=seed,
            device=device,
            settings=settings or (),
            callbacks=callbacks or (),
            should_stop=should_stop,
        )
    print_json(extracted.to_dict()) if as_json else print_rows(
        str(extracted.folder), extracted_rows(extracted)
    )


def _elasticity(given: Mapping[str, str | None]) -> ModuleElasticity | None:
    """How much of a torch module is left open; None where nothing is said."""
    told = {name: text for name, text in given.items() if text is not None}
    if not told:
        return None
    from allometry.nn import ModuleElasticity

    chosen: dict[str, Any] = {name: _fractions(name, text) for name, text in told.items()}
    return ModuleElasticity(**chosen)


def _fractions(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(parse_number(part) for part in text.split(","))
    except UnreadableError as error:
        raise InputError(f"--{name} takes fractions joined by commas, such as 0.5,0.75: {error}.") from error
