"""`allometry train`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from allometry.cli.options import (
    Data,
    Device,
    DryRun,
    Json,
    NetworkName,
    Out,
    Seed,
    Settings,
    WeightsOption,
)
from allometry.cli.printing import _figures, print_figures, print_forecast, print_json


def train(
    network: NetworkName,
    *,
    data: Data = "icons",
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="R",
            help="small, transfer, efficientnet or efficientnetv2; by default transfer with --pretrained, "
            "else small.",
        ),
    ] = None,
    settings: Settings = None,
    pretrained: WeightsOption = None,
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", metavar="RUN", help="Learn from the network of another run, too."),
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
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's files into the run folder, too.")
    ] = False,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train one network on a data set and judge it on the test split.

    Several processes train together when `torchrun` starts them.

    Example: `allometry train network.json --data photos/ --set epochs=20`
    """
    from allometry.cli.progress_display import make_progress, stopping_on_signals
    from allometry.verbs.train import forecast_run, train_run

    asked: dict[str, Any] = {
        "data": data,
        "recipe": recipe,
        "settings": [*(settings or ()), *([f"execution.memory={memory}"] if memory is not None else [])],
        "pretrained": pretrained,
        "teacher": teacher,
        "seed": seed,
        "device": device,
        "progress": make_progress(),
    }
    if dry_run:
        planned = forecast_run(network, **asked).to_dict()
        print_json(planned) if as_json else print_forecast(planned)
        return
    with stopping_on_signals() as should_stop:
        summary = train_run(network, board=tensorboard, out=out, should_stop=should_stop, **asked)
    if not summary:
        return  # one of several processes; the first one tells the result
    if as_json:
        print_json(summary)
    else:
        print_figures(summary["folder"], {**_figures(summary), "report": summary["report"]})
