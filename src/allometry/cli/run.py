"""`allometry run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from allometry.base.units import format_quantity
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
from allometry.cli.printing import print_json, print_rows, print_run_forecast, trained_rows

if TYPE_CHECKING:
    from allometry.verbs.open import Run


def run(
    *,
    data: Data = "icons",
    group: Group = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline", metavar="N", help="The network to shrink and to grow; by default efficientnet-b0."
        ),
    ] = None,
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
    pretrained: Annotated[
        str | None,
        typer.Option(
            "--pretrained",
            metavar="W",
            help="Start from weights at the budget's size: a run; or a file or hf://owner/name, of the baseline.",
        ),
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    settings: Settings = None,
    runtime: Runtime = None,
    threads: Threads = 1,
    callbacks: Callbacks = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """The whole path: from images to a network that fits the budget, trained, tested, exported, reported.

    Example: `allometry run --data photos/ --budget 20M`

    Example: `allometry run --data photos/ --baseline efficientnet-lite0 --pretrained lite0.pth --budget 300M`
    """
    from allometry.cli.interrupts import stopping_on_signals
    from allometry.verbs.run import forecast_run
    from allometry.verbs.run import run as run_all

    arguments: dict[str, Any] = {
        "data": data,
        "group": group,
        "baseline": baseline,
        "budget": budget,
        "law": law,
        "seed": seed,
        "device": device,
        "settings": settings or (),
        "runtime": runtime,
        "threads": threads,
        "pretrained": pretrained,
    }
    if dry_run:
        planned = forecast_run(**arguments)
        print_json(planned.to_dict()) if as_json else print_run_forecast(planned)
        return
    with stopping_on_signals() as should_stop:
        finished = run_all(out=out, callbacks=callbacks or (), should_stop=should_stop, **arguments)
    print_json(finished.to_dict()) if as_json else print_rows(str(finished.folder), _rows(finished))


def _rows(run: Run) -> dict[str, str]:
    from allometry.runs import GrowthResult

    result, export = run.result, run.export
    assert isinstance(result, GrowthResult)  # noqa: S101
    assert export is not None  # noqa: S101
    law, file = result.law, export.verification
    chosen = "as given" if result.rival is None else result.rival.reason
    return {
        **trained_rows(result, run.metric),
        "law": f"alpha {law.alpha:g}, beta {law.beta:.3g}, gamma {law.gamma:g}, {chosen}",
        "delivered": f"{file.file} with predict.py, {format_quantity(file.bytes, unit='B')}, "
        f"top class agrees on {file.agreement:.1%} of {file.images} images",
        "report": str(run.report),
    }
