"""`allometry export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allometry.base.text import write_line
from allometry.base.units import format_quantity
from allometry.cli.options import Json, Run
from allometry.cli.printing import print_json, print_rows

if TYPE_CHECKING:
    from allometry.runs import Export


# What the registry of targets holds, so that the help need not load the libraries that write them.
TARGETS = {
    "onnx": ("float32", "int8"),
    "openvino": ("float32", "bfloat16", "int8"),
    "torch": ("float32",),
    "executorch": ("float32",),
    "ncnn": ("float32", "float16"),
}


def _precisions() -> str:
    """The precisions in words, those that not every target has with the targets that do."""
    having: dict[str, list[str]] = {}
    for target, precisions in TARGETS.items():
        for precision in precisions:
            having.setdefault(precision, []).append(target)
    words = [
        name if len(names) == len(TARGETS) else f"{name} ({', '.join(names)})"
        for name, names in having.items()
    ]
    return f"{'; '.join(words)}. int8 is calibrated with the run's training images."


def export(
    run: Run,
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="TARGET",
            help=f"The kind of file: {', '.join(TARGETS)}; or one of your own (--plugin).",
        ),
    ] = "onnx",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="P",
            help=_precisions(),
        ),
    ] = "float32",
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            min=0,
            help="Images that the file takes at once; by default any number (0), or 1 where that must be fixed.",
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
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="D",
            help="Images to check with, of the same classes; by default the run's own.",
        ),
    ] = None,
    calibration: Annotated[
        int, typer.Option("--calibration", min=1, help="Training images that int8 is calibrated with.")
    ] = 256,
    max_accuracy_drop: Annotated[
        float,
        typer.Option(
            "--max-accuracy-drop", min=0, max=1, help="Accuracy that int8 may lose without a warning."
        ),
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
    from allometry.verbs.export import export as export_run

    made = export_run(
        run,
        to=to,
        precision=precision,
        batch=batch,
        any_size=any_size,
        normalize_inside=normalize_inside,
        data=data,
        calibration=calibration,
        max_accuracy_drop=max_accuracy_drop,
        out=out,
    )
    if as_json:
        print_json(made.to_dict())
        return
    print_rows(str(made.path), _rows(made))
    if made.int8 is not None and made.int8.warning:
        write_line(made.int8.warning)


def _rows(made: Export) -> dict[str, str]:
    from allometry.cost import LATENCY

    checked, int8 = made.verification, made.int8
    rows = {
        "size": format_quantity(checked.bytes, unit="B"),
        "top class": f"agrees on {checked.agreement:.1%} of {checked.images} test images",
        "largest difference": f"{checked.largest_difference:.1e}",
        "checked with": f"{checked.runtime}, loaded in {checked.load_seconds:.2f} s where there is no "
        f"{' and no '.join(checked.without)}",
        "compared": checked.in_words(),
        "how to use it": str(made.script),
    }
    if int8 is None:
        return rows
    before, after = int8.latency_before, int8.latency_after
    took = (
        f"{1000 * before:.2f} ms before, {1000 * after:.2f} ms after, one thread" if before and after else ""
    )
    quality = {
        "validation": f"{int8.accuracy_before:.2%} before, {int8.accuracy_after:.2%} after, "
        f"agreement {int8.agreement:.1%}, {int8.images:,} images",
        LATENCY.label: took,
        "suffer most": ", ".join(f"{layer.name} {layer.noise:.1%}" for layer in int8.layers),
    }
    return rows | {name: text for name, text in quality.items() if text}
