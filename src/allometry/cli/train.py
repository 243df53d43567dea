"""`allometry train`."""

from __future__ import annotations

from typing import Annotated

import typer

from allometry.cli.options import (
    Callbacks,
    Data,
    Device,
    DryRun,
    Group,
    Json,
    NetworkName,
    Out,
    Seed,
    Settings,
    WeightsOption,
)
from allometry.cli.printing import print_forecast, print_json, print_rows, trained_rows


def train(
    network: NetworkName,
    *,
    data: Data = "icons",
    group: Group = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="R",
            help="small, transfer, grown, efficientnet or efficientnetv2; by default transfer with --pretrained, "
            "else small.",
        ),
    ] = None,
    settings: Settings = None,
    pretrained: WeightsOption = None,
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", metavar="RUN", help="Learn from the network of another run, too."),
    ] = None,
    grow: Annotated[
        str | None,
        typer.Option(
            "--grow",
            metavar="STEPS",
            help="Budgets that the network grows to while it is trained, each with the epoch that it begins at: "
            "'5M@2, 10M@5', or '2x@4'.",
        ),
    ] = None,
    law: Annotated[
        str | None,
        typer.Option(
            "--law",
            metavar="L",
            help="By which it grows, with --grow: compound (the default), depth, width, resolution, fast; "
            "1.2,1.1,1.15; a JSON file.",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="What a step may take, such as 4GB: its images then pass in parts.",
        ),
    ] = None,
    dry_run: DryRun = False,
    callbacks: Callbacks = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train one network on a data set and judge it on the test split.

    Several processes train together when `torchrun` starts them.

    Example: `allometry train network.json --data photos/ --set epochs=20`

    Example: `allometry train network.json --data photos/ --grow "2x@4, 4x@7"`
    """
    from allometry.cli.interrupts import stopping_on_signals
    from allometry.runs import TrainResult
    from allometry.training.distributed import is_main_process
    from allometry.verbs.train import forecast_train
    from allometry.verbs.train import train as train_network

    limit = [f"execution.memory={memory}"] if memory is not None else []
    changes = [*(settings or ()), *limit]
    if dry_run:
        planned = forecast_train(
            network,
            data=data,
            group=group,
            recipe=recipe,
            settings=changes,
            pretrained=pretrained,
            teacher=teacher,
            grow=grow,
            law=law,
            seed=seed,
            device=device,
        )
        print_json(planned.to_dict()) if as_json else print_forecast(planned)
        return
    with stopping_on_signals() as should_stop:
        run = train_network(
            network,
            data=data,
            group=group,
            recipe=recipe,
            settings=changes,
            pretrained=pretrained,
            teacher=teacher,
            grow=grow,
            law=law,
            callbacks=callbacks or (),
            out=out,
            seed=seed,
            device=device,
            should_stop=should_stop,
        )
    if not is_main_process():
        return  # one of several processes; the first one tells the result
    if as_json:
        print_json(run.to_dict())
    else:
        result = run.result
        rows = trained_rows(result, run.metric) if isinstance(result, TrainResult) else {}
        print_rows(str(run.folder), {**rows, "report": str(run.report)})
