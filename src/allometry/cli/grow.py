"""`allometry grow`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from allometry.base import InputError
from allometry.base.units import format_milliseconds
from allometry.cli.options import Callbacks, Device, Group, Json, Out, Runtime, Settings, Threads
from allometry.cli.printing import (
    print_forecast,
    print_json,
    print_line,
    print_rows,
    print_table,
    trained_rows,
)


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
    module: Annotated[
        str | None,
        typer.Option(
            "--module",
            metavar="M",
            help="Whose weights they are, where that is a torch module: package.module:factory. It is imported, and so "
            "run.",
        ),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option("--resolution", min=1, help="Of a torch module's images; by default its own, or 224."),
    ] = None,
    kernel_size: Annotated[
        int | None,
        typer.Option(
            "--kernel-size", min=3, help="Of a torch module's convolutions that look at fewer neighbors."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of it, and at what cost; write nothing.")
    ] = False,
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
        typer.Option(
            "--data",
            metavar="D",
            help="Images to train on, as train takes them; those of a torch module give its batch norms statistics.",
        ),
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

    Example: `allometry grow runs/photos --budget 2x --dry-run`

    Example: `allometry grow best.pt --module mypackage:make --budget "latency<=8ms" --dry-run`
    """
    common: dict[str, Any] = {
        "budget": budget, "method": method, "data": data, "group": group, "runtime": runtime, "threads": threads,
    }  # fmt: skip
    if module is not None:
        _refuse_for_modules({
            "--network": network, "--recipe": recipe, "--epochs": epochs,
            "--set": settings or None, "--callback": callbacks or None, "--device": device,
            "--importance": None if importance == "magnitude" else importance,
        })  # fmt: skip
        own = {
            "module": module, "resolution": resolution, "kernel_size": kernel_size,
            "law": law or "compound", "seed": seed or 0,
        }  # fmt: skip
        _grow_module(run, {**common, **own}, out=out, dry_run=dry_run, as_json=as_json)
        return
    for option, value in (("--resolution", resolution), ("--kernel-size", kernel_size)):
        if value is not None:
            raise InputError(f"{option} is for torch modules (--module).")
    from allometry.cli.interrupts import stopping_on_signals
    from allometry.runs import TrainResult
    from allometry.training.distributed import is_main_process
    from allometry.verbs.grow import grow as grow_network

    length = [f"epochs={epochs}"] if epochs is not None else []
    arguments = {
        **common, "network": network, "law": law, "importance": importance, "recipe": recipe,
        "settings": [*(settings or ()), *length], "seed": seed, "device": device,
    }  # fmt: skip
    if dry_run:
        _print_plan(run, arguments, as_json=as_json)
        return
    with stopping_on_signals() as should_stop:
        made = grow_network(run, callbacks=callbacks or (), out=out, should_stop=should_stop, **arguments)
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


def _refuse_for_modules(given: Mapping[str, object]) -> None:
    for option in (name for name, value in given.items() if value is not None):
        raise InputError(
            f"{option} does not go with --module: a torch module is scaled, and trained by its own code."
        )


def _print_plan(run: str, arguments: dict[str, Any], *, as_json: bool) -> None:
    from allometry.verbs.grow_forecast import forecast_grow

    planned = forecast_grow(run, **arguments)
    if as_json:
        print_json(planned.to_dict())
        return
    print_table(
        ("", "size", "before", "after"),
        [[place, size, f"{before:g}", f"{after:g}"] for place, size, before, after in planned.changes],
    )
    before, after = planned.before, planned.after
    rows = {
        "method" if planned.method else "importance": str(planned.method or planned.importance),
        "MACs": f"{before.macs:,} -> {after.macs:,}",
        "params": f"{before.params:,} -> {after.params:,}",
        "activations": f"{before.activations:,} -> {after.activations:,}",
    }
    print_rows(planned.network.name, rows)
    if planned.training is not None:
        print_forecast(planned.training)


def _grow_module(
    weights: str, arguments: dict[str, Any], *, out: Path | None, dry_run: bool, as_json: bool
) -> None:
    from allometry.verbs.arguments import budget_slug
    from allometry.verbs.grow_module import PLAN, WEIGHTS, grow_module_file

    module = arguments["module"]
    folder = out or Path("runs") / f"{module.rpartition(':')[2]}-{budget_slug(arguments['budget'])}"
    grown = grow_module_file(weights, out=None if dry_run else folder, **arguments)
    if as_json:
        print_json(grown.to_dict())
        return
    plan, scaled = grown.scaled.plan, grown.scaled
    if plan.groups:
        print_table(
            ("channels", "before", "after", "tensors"),
            [[group.name, f"{group.before}", f"{group.after}", f"{group.tensors}"] for group in plan.groups],
        )
    if plan.insertions:
        print_table(
            ("blocks", "before", "after"),
            [[run.container or "-", f"{len(run.blocks)}", f"{run.repeats}"] for run in plan.insertions],
        )
    if plan.kernels:
        print_table(
            ("kernel", "before", "after"),
            [
                [change.module, *(" x ".join(map(str, sides)) for sides in (change.before, change.after))]
                for change in plan.kernels
            ],
        )
    for kept in plan.kept:
        print_line(f"stays: {kept.name} ({kept.size}): {kept.reason}")
    rows = {
        "MACs": f"{grown.macs:,} -> {scaled.macs:,}",
        "params": f"{grown.params:,} -> {scaled.params:,}",
        **({} if grown.seconds is None else {"latency": format_milliseconds(grown.seconds)}),
        **(
            {}
            if scaled.difference is None
            else {"outputs": f"differ by {scaled.difference:.1e} of their largest"}
        ),
        **(
            {}
            if grown.folder is None
            else {"plan": str(grown.folder / PLAN), "weights": str(grown.folder / WEIGHTS)}
        ),
    }
    print_rows(f"{module} within {grown.budget}", rows)
