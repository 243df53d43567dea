"""`allometry measure`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from allometry.cli.options import Json, Precision, Threads
from allometry.cli.printing import print_json, print_measurements


def measure(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="N...",
            help="Names of `allometry zoo`, networks' JSON files, run folders, ONNX files, timm:NAME, or "
            "package.module:factory of any torch module.",
        ),
    ],
    *,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            "--runtime",
            metavar="R",
            help="torch (the default), torch.compile, onnxruntime or openvino; may be repeated.",
        ),
    ] = None,
    threads: Threads = 1,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images of a run.")] = 1,
    resolution: Annotated[
        int | None,
        typer.Option("--resolution", min=1, help="Side of the input; by default each network's own."),
    ] = None,
    precision: Precision = "float32",
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Show how many times as long each takes as the first, with intervals."
        ),
    ] = False,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each network.")] = 15,
    seconds: Annotated[float, typer.Option("--seconds", help="Of a turn, about.")] = 0.25,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the figures as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Latency with its spread, throughput, memory, time to load and size, on this device.

    Each network runs in a process of its own; they take turns, so that a noisy machine disturbs all alike.

    Example: `allometry measure efficientnet-b0 efficientnet-b1 --runtime onnxruntime --compare`
    """
    from allometry.base.files import write_json
    from allometry.cli.progress_display import make_progress
    from allometry.profiling import MeasureConfig, networks_to_measure
    from allometry.profiling import measure as measure_all

    chosen = networks_to_measure(
        networks,
        runtimes=runtime or ["torch"],
        resolution=resolution,
        batch=batch,
        threads=threads,
        precision=precision,
        device=device,
    )
    config = MeasureConfig(rounds=rounds, seconds=seconds)
    found = measure_all(chosen, config=config, progress=make_progress()).to_dict()
    if save is not None:
        write_json(save, found)
    if as_json:
        print_json(found)
    else:
        print_measurements(found, ratios=compare)
