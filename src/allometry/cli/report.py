"""`allometry report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from allometry.base.text import write_line
from allometry.cli.options import (
    Json,
)
from allometry.cli.printing import print_json


def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, or hf://owner/name.")],
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
    from allometry.verbs.report import report as write

    page = write(*runs, out=out)
    for sentence in page.damaged:
        write_line(f"warning: {sentence}")
    print_json(page.to_dict()) if as_json else typer.echo(page.path)
