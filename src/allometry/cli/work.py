"""Verbs that work in or on run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from allometry.base import InputError
from allometry.base.units import format_quantity
from allometry.cli.options import Data, Device, Json, NetworkName, Out, Run, Seed, Settings, WeightsOption
from allometry.cli.printing import print_figures, print_json


def run(
    *,
    data: Data = "icons",
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="N", help="The network to shrink and to grow.")
    ] = "efficientnet-b0",
    budget: Annotated[
        str,
        typer.Option(
            "--budget", metavar="B", help="10M, macs<=10M, params<=1M, memory<=8MB, 4x; or several."
        ),
    ] = "10M",
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """The whole path: from images to a network that fits the budget, trained, tested, exported, reported.

    Example: `allometry run --data photos/ --budget 20M`
    """
    from allometry.cli.display import make_progress, stopping_on_signals
    from allometry.pipeline import run as run_all

    with stopping_on_signals() as stopping:
        result = run_all(
            data=data,
            baseline=baseline,
            budget=budget,
            out=out,
            seed=seed,
            device=device,
            settings=settings or (),
            progress=make_progress(),
            stopping=stopping,
        )
    if as_json:
        print_json(result.summary)
        return
    summary = result.summary
    exported = summary["onnx"]
    law = summary["law"]
    print_figures(
        f"{summary['folder']}",
        {
            **_figures(summary),
            "law": f"alpha {law['alpha']:g}, beta {law['beta']:.3g}, gamma {law['gamma']:g}, "
            f"best of {summary['trials']}",
            "delivered": f"{exported['file']}, {format_quantity(exported['bytes'], unit='B')}, "
            f"top class agrees on {exported['agreement']:.1%} of {exported['images']} images",
            "report": summary["report"],
        },
    )


def train(
    network: NetworkName,
    *,
    data: Data = "icons",
    recipe: Annotated[str, typer.Option("--recipe", metavar="R", help="small or efficientnet.")] = "small",
    settings: Settings = None,
    pretrained: WeightsOption = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train one network on a data set and judge it on the test split.

    Example: `allometry train network.json --data photos/ --set epochs=20`
    """
    from allometry.cli.display import make_progress, stopping_on_signals
    from allometry.pipeline import train_run

    with stopping_on_signals() as stopping:
        summary = train_run(
            network,
            data=data,
            recipe=recipe,
            settings=settings or (),
            pretrained=pretrained,
            out=out,
            seed=seed,
            device=device,
            progress=make_progress(),
            stopping=stopping,
        )
    if as_json:
        print_json(summary)
    else:
        print_figures(summary["folder"], {**_figures(summary), "report": summary["report"]})


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
    """Judge a trained run: accuracy with its interval, top-5, the classes it confuses most.

    Example: `allometry evaluate runs/icons-10M --split val`
    """
    from allometry.cli.display import make_progress
    from allometry.pipeline import evaluate_run

    result = evaluate_run(run, data=data, split=split, device=device, progress=make_progress())
    if as_json:
        print_json({name: value for name, value in result.items() if name != "mistakes"})
        return
    low, high = result["interval"]
    worst = sorted(
        (each for each in result["per_class"] if each["accuracy"] is not None),
        key=lambda each: float(each["accuracy"]),
    )[:5]
    print_figures(
        f"{run}: {result['split']}, {result['images']:,} images",
        {
            "accuracy": f"{result['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%})",
            "top-5": f"{result['top5']:.2%}",
            "loss": f"{result['loss']:.4f}",
            "worst classes": ", ".join(f"{each['name']} {each['accuracy']:.0%}" for each in worst),
        },
    )


def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN] IMAGE...", help="A run folder, unless --network names a network; image files."
        ),
    ],
    *,
    network: Annotated[
        str | None,
        typer.Option("--network", metavar="N", help="A network instead of a run; needs --pretrained."),
    ] = None,
    pretrained: WeightsOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes for each image.")] = 5,
    crop: Annotated[
        float | None,
        typer.Option(
            "--crop",
            metavar="SHARE",
            help="Share of the shorter side to look at, with --network; 1 for images that are cropped already.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """The most probable classes of some images.

    Example: `allometry predict runs/photos-20M cat.jpg dog.png`
    """
    from allometry.pipeline import predict_images, predict_pretrained

    if (network is None) != (pretrained is None):
        raise InputError("--network and --pretrained go together: a network, and the weights to put into it.")
    if network is not None and pretrained is not None:
        answers = predict_pretrained(network, pretrained, paths, top=top, crop=crop)
    else:
        if crop is not None:
            raise InputError("--crop goes with --network: a run looks at images as it was trained to.")
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


def export(
    run: Run,
    *,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="onnx.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="By default model.onnx in the run folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a trained run as a file for another runtime and check it against the original.

    Example: `allometry export runs/photos-20M --to onnx`
    """
    from allometry.cli.display import make_progress
    from allometry.pipeline import export_run

    result = export_run(run, to=to, out=out, progress=make_progress())
    if as_json:
        print_json(result)
        return
    print_figures(
        result["path"],
        {
            "size": format_quantity(result["bytes"], unit="B"),
            "top class": f"agrees on {result['agreement']:.1%} of {result['images']} images",
            "largest difference": f"{result['largest_difference']:.1e}",
            "checked with": result["runtime"],
        },
    )


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
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
    from allometry.report import write_report

    name = "report.html" if len(runs) == 1 else "comparison.html"
    path = write_report(runs, out=out or runs[0] / name)
    print_json({"report": str(path)}) if as_json else typer.echo(path)


def _figures(summary: dict[str, Any]) -> dict[str, str]:
    low, high = summary["test_interval"]
    budget = f" of {summary['budget']}" if "budget" in summary else ""
    return {
        "network": f"{summary['network']}, {summary['resolution']} px",
        "cost": f"{summary['macs']:,} MACs, {summary['params']:,} params{f' ({budget.strip()})' if budget else ''}",
        "test accuracy": f"{summary['test_accuracy']:.2%} of {summary['test_images']:,} images "
        f"({low:.1%} to {high:.1%})",
    }
