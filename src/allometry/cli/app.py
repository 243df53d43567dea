"""The verbs. Each parses, calls one public function and prints."""

from __future__ import annotations

from typing import Annotated

import typer

from allometry._version import __version__
from allometry.cli.evaluate import evaluate
from allometry.cli.explain import explain
from allometry.cli.export import export
from allometry.cli.fit import fit
from allometry.cli.info import info
from allometry.cli.measure import measure
from allometry.cli.predict import predict
from allometry.cli.report import report
from allometry.cli.run import run
from allometry.cli.scale import scale
from allometry.cli.search import search
from allometry.cli.supernet import supernet
from allometry.cli.table import table
from allometry.cli.train import train
from allometry.cli.zoo import zoo

app = typer.Typer(
    name="allometry",
    help="Grow convolutional networks to fit a budget: scale, search, train, deliver.",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere on the line.")
    ] = False,
) -> None:
    del debug  # taken from the line before it is parsed, so that it may stand anywhere
    if version:
        typer.echo(f"allometry {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _verb in (
    run,
    zoo,
    info,
    scale,
    fit,
    search,
    train,
    evaluate,
    predict,
    explain,
    measure,
    export,
    report,
):
    app.command()(_verb)
app.add_typer(supernet)
app.add_typer(table)

__all__ = ["app"]
