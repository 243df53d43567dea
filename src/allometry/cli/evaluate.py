"""`allometry evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from allometry.cli.options import Device, Json, Run
from allometry.cli.printing import print_figures, print_json

if TYPE_CHECKING:
    pass


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
    from allometry.cli.progress_display import make_progress
    from allometry.verbs.evaluate import evaluate_run

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
