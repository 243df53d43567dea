"""The verbs. Each parses, calls one public function and prints."""

from __future__ import annotations

from typing import Annotated

import typer

from allometry._version import __version__
from allometry.cli import elastic, gauge, grow, look, seek, tables, use, work

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
    work.run,
    look.zoo,
    look.info,
    grow.scale,
    seek.fit,
    seek.search,
    work.train,
    use.evaluate,
    use.predict,
    use.explain,
    gauge.measure,
    use.export,
    work.report,
):
    app.command()(_verb)
app.add_typer(elastic.supernet)
app.add_typer(tables.table)

__all__ = ["app"]
