"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
NetworkName = Annotated[
    str, typer.Argument(metavar="N", help="A name of `allometry zoo`, or a network's JSON file.")
]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="D",
        help="`icons` (built in), a folder of class folders, a manifest (.csv, .tsv, .parquet), shards (.tar, a folder "
        "or pattern of them, or their addresses), or arrays (.npz).",
    ),
]
Group = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        metavar="G",
        help="What images have in common that stay in one split: folder, level:2 (of the path), '{group}_*.jpg' (of "
        "the name), a regular expression with one bracket, the name of a column, or near-duplicates, also beside one "
        "of the others.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FOLDER", help="The run folder; by default one under runs/.")
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show the plan with its steps, memory and time, and train nothing."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of everything random.")]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1; by default a GPU if there is one.")
]
Callbacks = Annotated[
    list[str] | None,
    typer.Option(
        "--callback",
        metavar="NAME",
        help="Who is told of the training: tensorboard, mlflow, or one of your own (--plugin); may be repeated.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the recipe; may be repeated."),
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--pretrained", metavar="W", help="Weights: a file, hf://owner/name, or a run folder."),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or hf://owner/name.")]
Runtime = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        metavar="R",
        help="Where latency is measured, and memory if it is limited: onnxruntime (the default), openvino, torch or "
        "torch.compile.",
    ),
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Of the runtime.")]
Precision = Annotated[str, typer.Option("--precision", metavar="P", help="float32 or bfloat16.")]

Workers = Annotated[
    str,
    typer.Option(
        "--workers", metavar="W", help="Processes that train; or ray, or ray://host:port, for a cluster."
    ),
]
TrialThreads = Annotated[
    int | None,
    typer.Option(
        "--trial-threads", min=1, help="Of each training; by default the cores divided by the workers."
    ),
]


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
