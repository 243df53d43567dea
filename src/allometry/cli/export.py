"""`allometry export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from allometry.base.units import format_quantity
from allometry.cli.options import Json, Run
from allometry.cli.printing import print_figures, print_json

if TYPE_CHECKING:
    pass


def export(
    run: Run,
    *,
    to: Annotated[
        str,
        typer.Option("--to", metavar="FORMAT", help="onnx, openvino, torch or executorch."),
    ] = "onnx",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="P",
            help="float32; bfloat16 (openvino); int8 (onnx, openvino), calibrated with the run's training images.",
        ),
    ] = "float32",
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            min=0,
            help="Images that the file takes at once; by default any number (0), for executorch 1.",
        ),
    ] = None,
    any_size: Annotated[
        bool, typer.Option("--any-size", help="Let images of other sizes come than the run's.")
    ] = False,
    normalize_inside: Annotated[
        bool,
        typer.Option(
            "--normalize-inside", help="Take pixels, uint8 [N, H, W, C]: the file normalizes them itself."
        ),
    ] = False,
    calibration: Annotated[
        int, typer.Option("--calibration", min=1, help="Training images that int8 is calibrated with.")
    ] = 256,
    most_loss: Annotated[
        float,
        typer.Option("--most-loss", min=0, max=1, help="Accuracy that int8 may lose without a warning."),
    ] = 0.01,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="By default model.onnx in the run folder, and for all else a folder of its own under exports there.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a trained run as a file for another runtime, with a short program that uses it, and check both.

    Example: `allometry export runs/photos-20M --to onnx --precision int8`
    """
    from allometry.cli.progress_display import make_progress
    from allometry.deploy import ExportConfig, Format, Precision
    from allometry.verbs.export import export_run

    export_config = ExportConfig(
        format=cast("Format", to),
        precision=cast("Precision", precision),
        batch=int(to == "executorch") if batch is None else batch,
        any_size=any_size,
        normalize_inside=normalize_inside,
    )
    result = export_run(
        run,
        export_config=export_config,
        out=out,
        calibration=calibration,
        most_loss=most_loss,
        progress=make_progress(),
    )
    if as_json:
        print_json(result)
        return
    print_figures(result["path"], _delivered(result))
    if result.get("int8", {}).get("warning"):
        typer.echo(result["int8"]["warning"], err=True)


def _delivered(result: dict[str, Any]) -> dict[str, str]:
    rows = {
        "size": format_quantity(result["bytes"], unit="B"),
        "top class": f"agrees on {result['agreement']:.1%} of {result['images']} test images",
        "largest difference": f"{result['largest_difference']:.1e}",
        "checked with": f"{result['runtime']}, loaded in {result['load_seconds']:.2f} s where there is no "
        f"{' and no '.join(result['without'])}",
        "how to use it": result["script"],
    }
    if "int8" in result:
        found = result["int8"]
        rows |= {
            "validation": f"{found['accuracy_before']:.2%} before, {found['accuracy_after']:.2%} after, "
            f"agreement {found['agreement']:.1%}, {found['images']:,} images",
            "latency": f"{1000 * found['latency_before']:.2f} ms before, {1000 * found['latency_after']:.2f} ms "
            "after, one thread",
            "suffer most": ", ".join(f"{each['name']} {each['noise']:.1%}" for each in found["layers"]),
        }
    return rows
