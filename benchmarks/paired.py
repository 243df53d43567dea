"""Trainings that are compared seed by seed on the rendered images: each is one line of a file, written at once.

What differs between two ways to train is told from chance in two directions: by the seeds, which decide the weights and
the order of the images, and by the foundries of the test images, whose fonts are learnt or not together. A claim
holds here where all seeds agree and the interval by foundries leaves out 0.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import T_95, key_of, machine, table
from rendered import HARDNESS, SMALLEST, rendered
from rendered_fonts import fonts_folder

from allometry.arch import Network, to_json
from allometry.base import SilentProgress
from allometry.base.files import append_line, read_json, read_lines, write_json
from allometry.cost import count
from allometry.data import Dataset
from allometry.training import Preprocessing
from allometry.training.devices import resolve_device
from allometry.verbs.evaluate import evaluate_split
from allometry.verbs.train import train

ROWS, SCALE = "trainings.jsonl", "scale.json"
Row = dict[str, Any]
PLAIN = (  # of the recipe `small`: the images are varied as they are rendered, and mirrored kanji are none
    "augmentation.crop=1",
    "augmentation.flip=no",
    "augmentation.rotation=0",
    "augmentation.erase=0",
)


class Training(NamedTuple):
    """A training: what it is called, its network, settings of the recipe, its seed, and of which part it is."""

    way: str
    network: Network
    settings: tuple[str, ...]
    seed: int
    part: str


class Scale(NamedTuple):
    """How large an experiment is: of the images, and how many trainings.

    Attributes:
        size: side of the baseline's images.
        width: of EfficientNet-B0's channels, a fraction.
        classes: characters.
        images: in train, val and test.
        hardness: of the images.
        smallest: characters, as a fraction of the images' side.
        epochs: of a training.
        seeds: of the trainings of each way.
        settings: of the recipe `small`, the same for all, beside those that an experiment makes.
    """

    size: int
    width: float
    classes: int
    images: tuple[int, int, int]
    hardness: float
    smallest: float
    epochs: int
    seeds: tuple[int, ...]
    settings: tuple[str, ...] = ()


def whole(least: int) -> Callable[[str], int]:
    """The type of an option: an integer of at least `least`."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be an integer of at least {least}, not {text!r}")
        return int(text)

    return read


def between(low: float, high: float) -> Callable[[str], float]:
    """The type of an option: a number from `low` to `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a number from {low:g} to {high:g}, not {text!r}")
        return value

    return read


def scale_options(parser: argparse.ArgumentParser, *, size: int, width: float) -> None:
    """Add the options that make a `Scale`, and those that every experiment has."""
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="of the trainings; more go on with them")
    add("--fonts", type=Path, default=fonts_folder(), help="folder of the fonts")
    add("--size", type=whole(8), default=size, help=f"side of the images (default: {size})")
    add("--width", type=between(0.05, 4), default=width, help=f"of B0, as a fraction (default: {width:g})")
    add("--classes", type=whole(2), default=1000, help="characters (default: 1,000)")
    add("--images", type=whole(8), nargs=3, default=[100_000, 10_000, 20_000], help="in train, val and test")
    add("--hardness", type=between(0, 1), default=HARDNESS, help=f"of the images (default: {HARDNESS})")
    add(
        "--smallest",
        type=between(0.1, 1),
        default=SMALLEST,
        help=f"characters, as a fraction of the side (default: {SMALLEST})",
    )
    add("--epochs", type=whole(1), default=20, help="of a training (default: 20)")
    add("--seeds", type=whole(0), nargs="+", default=[0, 1, 2], help="of the trainings (default: 0 1 2)")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of the recipe, for all")
    add("--show", action="store_true", help="train nothing: print what is there")
    add("--json", action="store_true", help="print one JSON object")


def scale_of(args: argparse.Namespace) -> Scale:
    """The options as a value."""
    return Scale(
        args.size,
        args.width,
        args.classes,
        tuple(args.images),
        args.hardness,
        args.smallest,
        args.epochs,
        tuple(args.seeds),
        tuple(args.set),
    )


def one_scale(folder: Path, scale: Scale, **more: float) -> dict[str, Any]:
    """The scale as a record, kept beside the trainings: a folder holds those of one.

    Raises:
        SystemExit: it holds those of another.
    """
    record: dict[str, Any] = json.loads(json.dumps({**scale._asdict(), **more}))
    file = folder / SCALE
    if not file.exists() or not any(
        folder.glob("training-*")
    ):  # nothing was trained yet, and a slip of the pen does not bind
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, record)
    known = read_json(file)
    other = [name for name, value in record.items() if name != "seeds" and known.get(name) != value]
    if other:
        raise SystemExit(
            f"{folder} holds trainings with {other[0]} {known.get(other[0])}, not {record[other[0]]}: "
            "take the same options, or another folder."
        )
    return record


def data_of(scale: Scale, fonts: Path, largest: int) -> Dataset:
    """The images, rendered as large as the largest network takes them: the others see them made smaller."""
    return rendered(
        fonts,
        size=largest,
        classes=scale.classes,
        images=scale.images,
        hardness=scale.hardness,
        smallest=scale.smallest,
    )


def trained(trainings: Iterable[Training], data: Dataset, folder: Path) -> None:
    """Train what has no line yet, and write its line; one that was stopped goes on where it was."""
    for training in trainings:
        key = key_of(to_json(training.network), training.settings, training.seed, data.fingerprint)
        if any(row["key"] == key for row in read_rows(folder)):
            continue
        print(f"{training.way}, seed {training.seed}", flush=True)
        append_line(folder / ROWS, {"key": key, **_row(training, data, folder / f"training-{key}")})


def read_rows(folder: Path) -> list[Row]:
    """The lines of the trainings that are done."""
    file = folder / ROWS
    return read_lines(file) if file.exists() else []


def _row(training: Training, data: Dataset, folder: Path) -> Row:
    """Train, and judge the test images by their foundries."""
    began, resumed = time.process_time(), folder.exists()
    run = train(
        training.network,
        data=data,
        out=folder,
        seed=training.seed,
        settings=training.settings,
        progress=False,
    )
    seconds = time.process_time() - began
    split = data.splits["test"]
    predictions, _ = evaluate_split(
        run.module(),
        split,
        name="test",
        preprocessing=Preprocessing.load(folder / "preprocessing.json"),
        device=resolve_device("cpu"),
        progress=SilentProgress(),
    )
    groups = np.array(split.groups)
    cost = count(training.network)
    return {
        "part": training.part,
        "way": training.way,
        "seed": training.seed,
        "epochs": len(run.history),
        "depth": training.network.depth,
        "resolution": training.network.resolution,
        "macs": cost.macs,
        "params": cost.params,
        "activations": cost.activations,
        "validation": run.result.validation_accuracy,
        "test": float(predictions.correct.mean()),
        "foundries": {
            name: [int(predictions.correct[groups == name].sum()), int((groups == name).sum())]
            for name in sorted(set(groups.tolist()))
        },
        "processor_seconds": None if resumed else seconds,  # what went before it was stopped is not known
        "machine": machine(),
    }


class Difference(NamedTuple):
    """How much better one way is than another, in test accuracy.

    Attributes:
        mean: over the seeds that both have.
        seeds: of each seed.
        interval: 95 %, by the foundries of the test images.
    """

    mean: float
    seeds: tuple[float, ...]
    interval: tuple[float, float]

    @property
    def verdict(self) -> str:
        """Whether the difference is told from chance."""
        low, high = self.interval
        if min(self.seeds) > 0 and low > 0:
            return "better"
        if max(self.seeds) < 0 and high < 0:
            return "worse"
        return "cannot be told"


def difference(rows: Sequence[Row], way: str, other: str) -> Difference | None:
    """The first way less the other, seed by seed and foundry by foundry; None where no seed has both."""
    one, two = ({row["seed"]: row for row in rows if row["way"] == name} for name in (way, other))
    pairs = [(one[seed], two[seed]) for seed in sorted(one.keys() & two.keys())]
    if not pairs:
        return None
    seeds = tuple(left["test"] - right["test"] for left, right in pairs)
    mean, half = statistics.fmean(seeds), _by_foundries(pairs)
    return Difference(mean, seeds, (mean - half, mean + half))


def _by_foundries(pairs: Sequence[tuple[Row, Row]]) -> float:
    """Half of the 95 % interval of the mean difference, from its variance between the foundries of the test images.

    Source: the variance of a ratio over clusters, Cochran 1977, section 9.4 onwards.
    """
    gains, images = [], []
    for name, (_, number) in pairs[0][0]["foundries"].items():
        gains.append(
            statistics.fmean(
                left["foundries"][name][0] - right["foundries"][name][0] for left, right in pairs
            )
        )
        images.append(number)
    if len(images) < 2:
        return math.inf
    mean = sum(gains) / sum(images)
    off = sum((gain - mean * number) ** 2 for gain, number in zip(gains, images, strict=True))
    between = len(images) / (len(images) - 1) * off / sum(images) ** 2
    return T_95[len(images) - 2] * math.sqrt(between)


def ways_table(rows: Sequence[Row], ways: Sequence[str], other: str) -> list[str]:
    """A Markdown table of the ways, each beside another one, which comes first."""
    lines = []
    for way in dict.fromkeys((other, *ways)):
        own = [row for row in rows if row["way"] == way]
        if not own:
            continue
        against = difference(rows, way, other) if way != other else None
        lines.append(
            [
                way,
                *(str(own[0][name]) for name in ("depth", "resolution")),
                f"{own[0]['macs'] / 1e6:.1f}M",
                f"{own[0]['params'] / 1e6:.2f}M",
                str(own[0]["epochs"]),
                ", ".join(f"{row['test']:.1%}" for row in sorted(own, key=lambda row: row["seed"])),
                f"{statistics.fmean(row['test'] for row in own):.1%}",
                *_against(against),
                _seconds(own),
            ]
        )
    columns = ["", "layers", "px", "MACs", "params", "epochs", "test, by seed", "mean"]
    return table(
        [*columns, f"less {other}, by seed", "mean, interval by foundries", "verdict", "seconds"], lines
    )


def _seconds(rows: Sequence[Row]) -> str:
    """The median of the trainings that were not stopped; empty where all were."""
    known = seconds_of(rows)
    return f"{statistics.median(known):.0f}" if known else ""


def seconds_of(rows: Sequence[Row]) -> list[float]:
    """The processor's seconds of the trainings that were not stopped."""
    return [row["processor_seconds"] for row in rows if row["processor_seconds"] is not None]


def _against(found: Difference | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    low, high = (100 * bound for bound in found.interval)
    interval = "no interval" if math.isinf(low) else f"{low:+.1f} to {high:+.1f}"
    return (
        ", ".join(f"{100 * seed:+.1f}" for seed in found.seeds),
        f"{100 * found.mean:+.1f} ({interval})",
        found.verdict,
    )


def setting_line(scale: Row, rows: Sequence[Row], *, expected: int) -> str:
    """What size was run, in a sentence, and whether all of it."""
    train_images, val, test = scale["images"]
    recipe = f"; recipe `small` with {', '.join(scale['settings'])}" if scale["settings"] else ""
    part = "" if len(rows) >= expected else f" Done so far: {len(rows)} of {expected} trainings."
    return (
        f"B0's blocks at width {scale['width']:g} on {scale['size']} px: {scale['classes']:,} characters, "
        f"{train_images:,} training images, {val:,} for validation, {test:,} test images of seven foundries that "
        f"training has not seen, hardness {scale['hardness']:g}, characters from {scale['smallest']:g} of the "
        f"side{recipe}. Differences in points; seconds are the processor's, of a training that was not stopped.{part}"
    )
