"""`allometry measure`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allometry.base.text import write_line
from allometry.base.units import format_milliseconds, format_quantity, plural
from allometry.cli.options import Json, Precision, Threads
from allometry.cli.printing import print_json, print_line, print_table

if TYPE_CHECKING:
    from allometry.profiling import Measured, Measurements


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
        Path | None, typer.Option("--save", metavar="FILE", help="Write the results as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Latency with its spread, throughput, memory, time to load and size, on this device.

    Each network runs in a process of its own; they take turns, so that a noisy machine disturbs all alike.

    Example: `allometry measure efficientnet-b0 efficientnet-b1 --runtime onnxruntime --compare`
    """
    from allometry.base.files import write_json
    from allometry.verbs.measure import measure as measure_all

    measured = measure_all(
        networks,
        runtime=runtime or "torch",
        resolution=resolution,
        batch=batch,
        threads=threads,
        precision=precision,
        device=device,
        rounds=rounds,
        seconds=seconds,
    )
    if save is not None:
        write_json(save, measured.to_dict())
    if as_json:
        print_json(measured.to_dict())
    else:
        _print(measured, ratios=compare)


def _print(measured: Measurements, *, ratios: bool) -> None:
    """Figures of networks on a device, how they compare, the device, and reasons to doubt them."""
    more = measured.more
    usual = ("name", "runtime", "px", "median", "10 % to 90 %", "images/s", "memory", "load", "size")
    rows = [[*_row(one), *one.formatted(more)] for one in measured.measured]
    print_table((*usual, *(measure.label for measure in more)), rows)
    first = measured.measured[0]
    if ratios and measured.ratios:
        print_line(f"\nbeside {first.name} in {first.runtime}")
        rows = [
            [one.name, one.runtime, f"{one.ratio:.3g}", f"{one.low:.3g} to {one.high:.3g}"]
            for one in measured.ratios
        ]
        print_table(("name", "runtime", "times as long", "95 %"), rows)
    where = measured.machine_info.accelerator or measured.machine_info.processor
    runs = ", ".join(str(one.latency.runs) for one in measured.measured)
    print_line(
        f"\n{where}; {first.precision}, batch {first.batch}, {plural(first.threads, 'thread')}; {runs} runs in "
        f"{first.latency.rounds} turns each; memory beyond the runtime's own"
    )
    for warning in measured.warnings:
        write_line(f"warning: {warning}")


def _row(one: Measured) -> list[str]:
    times = one.latency
    return [
        one.name,
        one.runtime,
        str(one.resolution),
        format_milliseconds(times.median),
        f"{format_milliseconds(times.low)} to {format_milliseconds(times.high)}",
        f"{one.throughput:,.3g}" if one.throughput < 100 else f"{one.throughput:,.0f}",
        format_quantity(one.own_memory, unit="B"),
        format_milliseconds(one.load_seconds),
        format_quantity(one.bytes, unit="B"),
    ]
