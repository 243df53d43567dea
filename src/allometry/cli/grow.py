"""`allometry grow`."""

from __future__ import annotations

from typing import Annotated

import typer

from allometry.cli.options import Callbacks, Device, Group, Json, Out, Runtime, Settings, Threads
from allometry.cli.printing import print_json, print_rows, trained_rows


def grow(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run folder; or weights, a file or hf://owner/name, with --network."
        ),
    ],
    *,
    budget: Annotated[
        str,
        typer.Option(
            "--budget",
            metavar="B",
            help="Of the new network: 400M, macs<=400M, params<=5M, latency<=20ms, 2x of what it costs now.",
        ),
    ],
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="N",
            help="Whose weights they are: a name of `allometry zoo`, or a network's JSON file.",
        ),
    ] = None,
    law: Annotated[
        str | None,
        typer.Option(
            "--law",
            metavar="L",
            help="compound (the default), depth, width, resolution, fast; 1.2,1.1,1.15; a JSON file.",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            metavar="M",
            help="What new channels are: new (nobody reads them at first), copies, or pairs that cancel each other.",
        ),
    ] = "new",
    importance: Annotated[
        str,
        typer.Option(
            "--importance",
            metavar="I",
            help="Of channels that may go: magnitude, taylor (by the loss, with --data), uniform or first.",
        ),
    ] = "magnitude",
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="D", help="Images to train on, as train takes them; by default none."),
    ] = None,
    group: Group = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="R",
            help="As train takes it; by default grown, and transfer where the classes are others.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Of the training; by default the recipe's.")
    ] = None,
    settings: Settings = None,
    runtime: Runtime = None,
    threads: Threads = 1,
    callbacks: Callbacks = None,
    out: Out = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of everything random; by default that of the run.")
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Make a trained network larger or smaller, to fit a budget, with what it has learned.

    A larger network computes what the trained one does until it learns more; a smaller one keeps the channels that
    matter most, and learns from the trained one.

    Example: `allometry grow runs/photos --budget 2x --data photos/`

    Example: `allometry grow lite0.pth --network efficientnet-lite0 --budget 300M --out runs/larger`

    Example: `allometry grow runs/photos --budget "latency<=8ms" --data photos/ --epochs 5`
    """
    from allometry.cli.interrupts import stopping_on_signals
    from allometry.runs import TrainResult
    from allometry.training.distributed import is_main_process
    from allometry.verbs.grow import grow as grow_network

    length = [f"epochs={epochs}"] if epochs is not None else []
    with stopping_on_signals() as should_stop:
        made = grow_network(
            run,
            budget=budget,
            network=network,
            law=law,
            method=method,  # type: ignore[arg-type]  # checked there
            importance=importance,  # type: ignore[arg-type]
            data=data,
            group=group,
            recipe=recipe,
            settings=[*(settings or ()), *length],
            runtime=runtime,
            threads=threads,
            callbacks=callbacks or (),
            out=out,
            seed=seed,
            device=device,
            should_stop=should_stop,
        )
    if not is_main_process():
        return  # one of several processes; the first one tells the result
    if as_json:
        print_json(made.to_dict())
        return
    cost, result = made.cost, made.result
    rows = trained_rows(result, made.metric) if isinstance(result, TrainResult) else {}
    if not rows and cost is not None:
        rows = {"cost": f"{cost.macs:,} MACs, {cost.params:,} params"}
    print_rows(str(made.folder), {**rows, "report": str(made.report)})
