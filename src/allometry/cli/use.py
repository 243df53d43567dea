"""Verbs that use a finished run: judge it, ask it, see what it looks at, deliver it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from allometry.base import InputError
from allometry.base.units import format_quantity
from allometry.cli.options import Device, Json, Run, WeightsOption
from allometry.cli.printing import print_figures, print_json

if TYPE_CHECKING:
    from allometry.pipeline import Explanation

_WORST = 5


def evaluate(
    run: Run,
    *,
    data: Annotated[
        str | None, typer.Option("--data", metavar="D", help="By default the data the run was trained on.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Judge a trained run: accuracy, calibration and each class, with intervals.

    Example: `allometry evaluate runs/icons-10M --split val`
    """
    from allometry.cli.display import make_progress
    from allometry.pipeline import evaluate_run

    result = evaluate_run(run, data=data, split=split, device=device, progress=make_progress())
    if as_json:
        without = [
            {name: value for name, value in each.items() if name != "thumbnail"}
            for each in result["mistakes"]
        ]
        print_json(result | {"mistakes": without})
        return
    print_figures(
        f"{run}: {result['split']}, {result['images']:,} images; in brackets 95 % intervals",
        _figures(result),
    )


def _figures(result: dict[str, Any]) -> dict[str, str]:
    def share(name: str, interval: str) -> str:
        low, high = result[interval]
        return f"{result[name]:7.2%} ({low:.2%} to {high:.2%})"

    low, high = result["loss_interval"]
    judged = [each for each in result["per_class"] if each["accuracy"] is not None]
    worst = sorted(judged, key=lambda each: (float(each["accuracy"]), -int(each["images"])))[:_WORST]
    five = {"top-5 accuracy": share("top5", "top5_interval")} if len(result["classes"]) > _WORST else {}
    return {
        "accuracy": share("accuracy", "interval"),
        **five,
        "balanced accuracy": share("balanced_accuracy", "balanced_interval"),
        "calibration error": f"{share('calibration_error', 'calibration_interval')}; "
        f"chance alone gives {result['calibration_by_chance']:.2%}",
        "log loss": f"{result['loss']:7.4f} ({low:.4f} to {high:.4f})",
        "Brier score": f"{result['brier']:7.4f}",
        "worst classes": ", ".join(
            f"{each['name']} {each['accuracy']:.0%} of {each['images']}" for each in worst
        ),
    }


Crop = Annotated[
    float | None,
    typer.Option(
        "--crop",
        metavar="SHARE",
        help="Share of the shorter side to look at, with --network; 1 for images that are cropped already.",
    ),
]
Instead = Annotated[
    str | None,
    typer.Option("--network", metavar="N", help="A network instead of a run; needs --pretrained."),
]


def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN] IMAGE...", help="A run folder, unless --network names a network; image files."
        ),
    ],
    *,
    network: Instead = None,
    pretrained: WeightsOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes for each image.")] = 5,
    crop: Crop = None,
    as_json: Json = False,
) -> None:
    """The most probable classes of some images.

    Example: `allometry predict runs/photos-20M cat.jpg dog.png`
    """
    from allometry.pipeline import predict_images, predict_pretrained

    _check_together(network, pretrained, crop)
    if network is not None and pretrained is not None:
        answers = predict_pretrained(network, pretrained, paths, top=top, crop=crop)
    else:
        if len(paths) < 2:
            raise InputError("Give a run folder and image files, or --network, --pretrained and image files.")
        answers = predict_images(paths[0], paths[1:], top=top)
    if as_json:
        rows = [
            {
                "image": answer.image,
                "classes": [{"name": name, "probability": share} for name, share in answer.classes],
            }
            for answer in answers
        ]
        print_json({"predictions": rows})
        return
    for answer in answers:
        print_figures(answer.image, {name: f"{share:.1%}" for name, share in answer.classes})


def explain(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN...] IMAGE...",
            help="Run folders, unless --network names a network; then image files.",
        ),
    ],
    *,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME", help="What to look for; by default each network's own answer."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="For the pictures; by default explain in the first run folder."
        ),
    ] = None,
    network: Instead = None,
    pretrained: WeightsOption = None,
    crop: Crop = None,
    as_json: Json = False,
) -> None:
    """Show what networks look at in images: class activation maps, several networks side by side.

    Example: `allometry explain runs/photos-5M runs/photos-20M cat.jpg dog.png`
    """
    from allometry.pipeline import explain_pretrained, explain_runs

    _check_together(network, pretrained, crop)
    if network is not None and pretrained is not None:
        found = explain_pretrained(network, pretrained, paths, class_name=class_name, out=out, crop=crop)
    else:
        found = explain_runs(paths, class_name=class_name, out=out)
    if as_json:
        print_json(found.to_dict())
        return
    for image in dict.fromkeys(each.image for each in found.explanations):
        seen = [each for each in found.explanations if each.image == image]
        print_figures(str(image), {each.network: _said(each) for each in seen})
    for path in found.grids:
        typer.echo(path)


def _said(one: Explanation) -> str:
    said = f"{one.explained} {one.probability:.1%}"
    return said if one.answer == one.explained else f"{said}; answer {one.answer} {one.confidence:.1%}"


def _check_together(network: str | None, pretrained: str | None, crop: float | None) -> None:
    if (network is None) != (pretrained is None):
        raise InputError("--network and --pretrained go together: a network, and the weights to put into it.")
    if network is None and crop is not None:
        raise InputError("--crop goes with --network: a run looks at images as it was trained to.")


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
    pixels: Annotated[
        bool,
        typer.Option("--pixels", help="Take pixels, uint8 [N, H, W, C]: the file normalizes them itself."),
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
    from allometry.cli.display import make_progress
    from allometry.deploy import Delivery, Format, Precision
    from allometry.pipeline import export_run

    delivery = Delivery(
        format=cast("Format", to),
        precision=cast("Precision", precision),
        batch=int(to == "executorch") if batch is None else batch,
        any_size=any_size,
        pixels=pixels,
    )
    result = export_run(
        run,
        delivery=delivery,
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
