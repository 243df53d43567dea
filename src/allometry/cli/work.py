"""Verbs that fill run folders, and the report about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from allometry.base.units import format_milliseconds, format_quantity
from allometry.cli.options import (
    Data,
    Device,
    DryRun,
    Json,
    NetworkName,
    Out,
    Runtime,
    Seed,
    Settings,
    Threads,
    WeightsOption,
)
from allometry.cli.printing import print_figures, print_forecast, print_json, print_run_forecast


def run(
    *,
    data: Data = "icons",
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="N", help="The network to shrink and to grow.")
    ] = "efficientnet-b0",
    budget: Annotated[
        str,
        typer.Option(
            "--budget",
            metavar="B",
            help="10M, macs<=10M, params<=1M, memory<=8MB, latency<=2ms, 4x; or several.",
        ),
    ] = "10M",
    law: Annotated[
        str | None,
        typer.Option(
            "--law",
            metavar="L",
            help="Grow by this law instead of trying some: compound, 1.2,1.1,1.15, or the file of `fit`.",
        ),
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    settings: Settings = None,
    runtime: Runtime = None,
    threads: Threads = 1,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """The whole path: from images to a network that fits the budget, trained, tested, exported, reported.

    Example: `allometry run --data photos/ --budget 20M`
    """
    from allometry.cli.display import make_progress, stopping_on_signals
    from allometry.pipeline import forecast_whole_run
    from allometry.pipeline import run as run_all

    asked: dict[str, Any] = {
        "data": data,
        "baseline": baseline,
        "budget": budget,
        "law": law,
        "seed": seed,
        "device": device,
        "settings": settings or (),
        "runtime": runtime,
        "threads": threads,
        "progress": make_progress(),
    }
    if dry_run:
        planned = forecast_whole_run(**asked).to_dict()
        print_json(planned) if as_json else print_run_forecast(planned)
        return
    with stopping_on_signals() as stopping:
        result = run_all(out=out, stopping=stopping, **asked)
    if as_json:
        print_json(result.summary)
        return
    summary = result.summary
    chosen = f"best of {summary['trials']}" if summary["trials"] else "as given"
    exported = summary["onnx"]
    found = summary["law"]
    print_figures(
        f"{summary['folder']}",
        {
            **_figures(summary),
            "law": f"alpha {found['alpha']:g}, beta {found['beta']:.3g}, gamma {found['gamma']:g}, {chosen}",
            "delivered": f"{exported['file']} with predict.py, {format_quantity(exported['bytes'], unit='B')}, "
            f"top class agrees on {exported['agreement']:.1%} of {exported['images']} images",
            "report": summary["report"],
        },
    )


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
    from allometry.cli.display import make_progress, stopping_on_signals
    from allometry.pipeline import forecast_run, train_run

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
    with stopping_on_signals() as stopping:
        summary = train_run(network, board=tensorboard, out=out, stopping=stopping, **asked)
    if not summary:
        return  # one of several processes; the first one tells the result
    if as_json:
        print_json(summary)
    else:
        print_figures(summary["folder"], {**_figures(summary), "report": summary["report"]})


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="By default, in the first run folder: report.html, or comparison.html for several.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about a run, or several side by side.

    Example: `allometry report runs/icons-10M runs/icons-20M --out compared.html`
    """
    from allometry.report import write_report

    name = "report.html" if len(runs) == 1 else "comparison.html"
    path = write_report(runs, out=out or runs[0] / name)
    print_json({"report": str(path)}) if as_json else typer.echo(path)


def _figures(summary: dict[str, Any]) -> dict[str, str]:
    low, high = summary["test_interval"]
    cost = f"{summary['macs']:,} MACs, {summary['params']:,} params"
    if "latency" in summary:
        cost += f", {format_milliseconds(summary['latency'])} in {summary['measured']['runtime']}"
    if "budget" in summary:
        cost += f" (of {summary['budget']})"
    return {
        "network": f"{summary['network']}, {summary['resolution']} px",
        "cost": cost,
        "test accuracy": f"{summary['test_accuracy']:.2%} of {summary['test_images']:,} images "
        f"({low:.1%} to {high:.1%})",
    }
