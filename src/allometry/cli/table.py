"""`allometry table`: latency tables of a space on the device at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from allometry.cli.options import Json, Precision, Threads
from allometry.cli.printing import print_json, print_rows

table = typer.Typer(
    name="table",
    help="Latency tables: each distinct block of a space measured once on this device.",
    rich_markup_mode="markdown",
)


@table.callback(invoke_without_command=True)
def _top(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


SpaceName = Annotated[
    str,
    typer.Option(
        "--space",
        metavar="S",
        help="A space by name, such as ofa-mobilenetv3-1.0 or mnasnet, or a space's JSON file.",
    ),
]
TableFile = Annotated[Path, typer.Argument(metavar="FILE", help="The table, JSON.")]


@table.command()
def build(
    file: TableFile,
    *,
    space: SpaceName,
    runtime: Annotated[
        str, typer.Option("--runtime", metavar="R", help="torch, torch.compile, onnxruntime or openvino.")
    ] = "onnxruntime",
    threads: Threads = 1,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images of a run.")] = 1,
    precision: Precision = "float32",
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    networks: Annotated[
        int,
        typer.Option("--networks", min=2, help="Random whole networks that the correction is fitted to."),
    ] = 30,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random networks.")] = 0,
    as_json: Json = False,
) -> None:
    """Measure each distinct block of a space, and fit the correction from their sum to whole networks.

    Called again with the same file it goes on where it stopped.

    Example: `allometry table build cpu.json --space ofa-mobilenetv3-1.0`
    """
    from dataclasses import asdict

    from allometry.verbs import table as verbs

    built = verbs.build(
        space,
        file,
        networks=networks,
        runtime=runtime,
        threads=threads,
        batch=batch,
        precision=precision,
        device=device,
        seed=seed,
    )
    if as_json:
        print_json({"file": str(file), "lines": len(built.seconds), "correction": asdict(built.correction)})
        return
    print_rows(
        str(file),
        {
            "space": built.space,
            "runtime_config": str(built.runtime_config),
            "blocks": f"{len(built.seconds):,}",
            "correction": f"fitted to {built.fitted} networks",
        },
    )


@table.command()
def check(
    file: TableFile,
    *,
    space: Annotated[
        str | None,
        typer.Option("--space", metavar="S", help="By default the one that the table was built for."),
    ] = None,
    networks: Annotated[int, typer.Option("--networks", min=2, help="To measure.")] = 50,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the networks; not the table's.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure random whole networks and compare with what a table predicts.

    Example: `allometry table check cpu.json`
    """
    from allometry.cost import LatencyTable
    from allometry.verbs import table as verbs

    held = LatencyTable.load(file)
    checked = verbs.check(held, space=space, networks=networks, seed=seed)
    if as_json:
        print_json(checked.to_dict())
        return
    print_rows(
        f"{file}: {checked.networks} random networks in {held.runtime_config.runtime}",
        {
            "median error": f"{checked.median_error:.1%}",
            "90th percentile": f"{checked.high_error:.1%}",
            "rank correlation": f"{checked.rank_correlation:.3f}",
            "drift": f"the device takes {checked.drift:.2f} times as long as when the table was built; taken out",
        },
    )
