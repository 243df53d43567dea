"""How many JPEG files become training images in a second on one core, beside a straightforward pipeline in Pillow.

    python benchmarks/input_speed.py

Files of 500 x 375 pixels, not kept in memory once decoded: random crop, resize, flip, RandAugment with 2 operations of
magnitude 9, and the bytes in a NumPy array. Both sides run in turn in one process on one core, and again each in a
process of its own: alone, Pillow gives the memory of each image back to the system and asks for it anew, which takes
time; beside this library's arrays it may keep it. Seconds are the processor's own, so
that other work on the machine disturbs little; two threads beside one are timed by the clock, and two processes beside
them, which is the most that two cores have to give.

The images are made from the photographs of the package `foolbox` where it is installed, else from noise.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common import Spread, machine, print_result, table
from pillow_pipeline import HEIGHT, MAGNITUDE, WIDTH, by_pillow, photographs, write_images

from allometry.data import Augmentation, Batch, open_data, train_batches
from allometry.data.augment.policies import take_steps
from allometry.data.augment.variation import augment_image, draw_variant, need
from allometry.data.dataset import FileSplit
from allometry.data.loader import random_numbers

SIDES = (224, 128)
LONGER = 4  # times as many images for the threads: the last batch of an epoch keeps one of two waiting
QUALITIES = (90, 75)
VARIED = Augmentation(crop=0.08, flip=True, policy="randaugment", magnitude=MAGNITUDE, operations=2)
EIGHTH = "decoded at 1/8"
STAGES = ("read and decode", "crop and resize", "operations")


def batches(split: FileSplit, side: int, epoch: int, workers: int) -> Iterator[Batch]:
    """One epoch as this library makes it."""
    options: dict[str, Any] = {"resolution": side, "batch_size": 32, "augmentation": VARIED, "seed": 0}
    return train_batches(split, epoch=epoch, workers=workers, drop_last=False, **options)


def by_allometry(split: FileSplit, side: int, epoch: int) -> None:
    """One epoch by one thread."""
    for _ in batches(split, side, epoch, 1):
        pass


WAYS: dict[str, Callable[[FileSplit, int, int], None]] = {"pillow": by_pillow, "allometry": by_allometry}


def open_split(folder: Path, *, cache_bytes: int = 0) -> FileSplit:
    """The training split of the images, without a cache unless it is asked for."""
    split = open_data(folder, cache_bytes=cache_bytes).splits["train"]
    assert isinstance(split, FileSplit)  # noqa: S101
    return split


def speeds(split: FileSplit, side: int, ways: Sequence[str], repeats: int) -> dict[str, list[float]]:
    """Images per second of the processor, of each way, in turn; the first repeat only warms up."""
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for repeat in range(repeats + 1):
        for way in ways:
            began = time.process_time()
            WAYS[way](split, side, repeat)
            if repeat:
                rates[way].append(len(split) / (time.process_time() - began))
    return rates


def apart(folder: Path, side: int, rounds: int) -> dict[str, list[float]]:
    """The speeds of each way in processes of its own, in turn."""
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, values in rates.items():
            values.append(statistics.median(_speeds_of(_start(folder, side, way, 3))))
    return rates


def _start(folder: Path, side: int, way: str, repeats: int) -> subprocess.Popen[str]:
    options = ["--alone", way, str(folder), str(side), "--repeats", str(repeats)]
    return subprocess.Popen([sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True)


def _speeds_of(process: subprocess.Popen[str]) -> list[float]:
    values: list[float] = json.loads(process.communicate()[0])
    return values


def unhindered(split: FileSplit, side: int, epoch: int, workers: int) -> float:
    """Images per second by the clock, less the time in which the threads were ready but had no core."""
    before, waited = _waits(), dict[str, float]()
    began = time.perf_counter()
    for _ in batches(split, side, epoch, workers):
        waited |= _waits()  # a thread's record goes when it ends
    seconds = time.perf_counter() - began
    return len(split) / (seconds - sum(waited[thread] for thread in waited.keys() - before.keys()) / workers)


def _waits() -> dict[str, float]:
    """Seconds that each thread has waited for a core, by Linux's account; empty elsewhere."""
    sizes = {}
    for file in Path("/proc/self/task").glob("*/schedstat"):
        try:
            sizes[file.parent.name] = int(file.read_text().split()[1]) / 1e9
        except (OSError, IndexError):
            continue  # the thread has ended
    return sizes


def by_threads(folder: Path, side: int, repeats: int) -> dict[str, Any]:
    """Images per second of one thread, two threads, and two processes, in turn."""
    split = open_split(folder)
    rates: dict[str, list[float]] = {"one": [], "two": [], "processes": []}
    for repeat in range(repeats):
        rates["one"].append(unhindered(split, side, repeat, 1))
        rates["two"].append(unhindered(split, side, repeat, 2))
        pair = [_start(folder, side, "unhindered", 1) for _ in range(2)]
        rates["processes"].append(sum(_speeds_of(process)[0] for process in pair))
    pairs = (("two", "one"), ("processes", "one"))
    return {
        "images_per_second": {name: Spread.of(values)._asdict() for name, values in rates.items()},
        "ratios": {more: _ratio(rates[less], rates[more]) for more, less in pairs},
    }


def stages(split: FileSplit, side: int, repeats: int) -> dict[str, float]:
    """Milliseconds for one image, by stage; `rest` is what the whole takes beyond them.

    Beside them stands decoding at an eighth of the size, which does little more than read the entropy code.
    """
    taken: dict[str, list[float]] = {name: [] for name in (*STAGES, "rest", EIGHTH)}
    options: dict[str, Any] = {"resolution": side, "augmentation": VARIED}
    for epoch in range(repeats):
        sums = dict.fromkeys(STAGES, 0.0)
        for index in range(len(split)):
            variant = draw_variant(VARIED, random_numbers(0, epoch, index + 1))
            side_needed, upper = need(variant, height=HEIGHT, width=WIDTH, **options)
            marks = [time.perf_counter()]
            image = split.draft(index, min_side=side_needed, upper=upper)
            marks.append(time.perf_counter())
            view = augment_image(image, variant._replace(steps=()), **options)
            marks.append(time.perf_counter())
            take_steps(view, variant.steps)
            marks.append(time.perf_counter())
            for place, name in enumerate(STAGES):
                sums[name] += marks[place + 1] - marks[place]
        began = time.perf_counter()
        by_allometry(split, side, epoch)
        whole = time.perf_counter() - began
        began = time.perf_counter()
        for index in range(len(split)):
            split.image(index, min_side=HEIGHT // 8)
        eighth = time.perf_counter() - began
        for name, seconds in (*sums.items(), ("rest", whole - sum(sums.values())), (EIGHTH, eighth)):
            taken[name].append(seconds * 1000 / len(split))
    return {name: statistics.median(values) for name, values in taken.items()}


def measure(folder: Path, quality: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """All figures of files of one quality, one record for each side."""
    size = write_images(folder, number=args.number, quality=quality, seed=args.seed)
    split, kept = open_split(folder), open_split(folder, cache_bytes=2**30)
    records = []
    for side in SIDES:
        together = speeds(split, side, list(WAYS), args.repeats)
        own = apart(folder, side, args.repeats)
        records.append(
            {
                "quality": quality,
                "bytes": size,
                "side": side,
                "together": {way: Spread.of(values)._asdict() for way, values in together.items()},
                "ratio": _ratio(together["pillow"], together["allometry"]),
                "apart": {way: Spread.of(values)._asdict() for way, values in own.items()},
                "ratio_apart": _ratio(own["pillow"], own["allometry"]),
                "kept": Spread.of(speeds(kept, side, ["allometry"], args.repeats)["allometry"])._asdict(),
                "stages": stages(split, side, args.repeats),
            }
        )
    return records


def _ratio(less: Sequence[float], more: Sequence[float]) -> dict[str, float]:
    return Spread.of([many / few for few, many in zip(less, more, strict=True)])._asdict()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=240, help="images (default: 240)")
    parser.add_argument("--repeats", type=int, default=9, help="repeats of each measurement (default: 9)")
    parser.add_argument("--seed", type=int, default=0, help="of the images (default: 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--alone", nargs=3, metavar=("WAY", "FOLDER", "SIDE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        print(json.dumps(_alone(args)))
        return
    cores = os.sched_getaffinity(0)
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for quality in QUALITIES:
            os.sched_setaffinity(0, {max(cores)})
            records += measure(Path(folder, str(quality)), quality, args)
        os.sched_setaffinity(0, cores)
        longer = Path(folder, "longer")
        write_images(longer, number=LONGER * args.number, quality=QUALITIES[0], seed=args.seed)
        threads = [{"side": side, **by_threads(longer, side, args.repeats)} for side in SIDES]
    result = {
        "benchmark": "input_speed",
        "repeats": args.repeats,
        "number": args.number,
        "seed": args.seed,
        "photographs": len(photographs()),
        "records": records,
        "threads": threads,
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def _alone(args: argparse.Namespace) -> list[float]:
    way, folder, side = args.alone
    split = open_split(Path(folder))
    if way == "unhindered":
        return [unhindered(split, int(side), repeat, 1) for repeat in range(args.repeats)]
    return speeds(split, int(side), [way], args.repeats)[way]


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown tables with their captions."""
    rows, parts = [], []
    for record in result["records"]:
        name = f"{record['side']} px, files of {record['bytes'] / 1024:.0f} KiB"
        rows.append(
            [
                name,
                *(Spread(**record["together"][way]).show() for way in ("pillow", "allometry")),
                Spread(**record["ratio"]).show("{:.2f}"),
                *(Spread(**record["apart"][way]).show() for way in ("pillow", "allometry")),
                Spread(**record["ratio_apart"]).show("{:.2f}"),
                Spread(**record["kept"]).show(),
            ]
        )
        taken = {stage: value for stage, value in record["stages"].items() if stage != EIGHTH}
        whole = sum(taken.values())
        parts.append(
            [
                name,
                f"{whole:.2f}",
                *(f"{value / whole:.0%}" for value in taken.values()),
                f"{record['stages'][EIGHTH]:.2f}",
            ]
        )
    threads = [
        [
            f"{record['side']} px",
            *(Spread(**record["images_per_second"][name]).show() for name in ("one", "two", "processes")),
            *(Spread(**record["ratios"][name]).show("{:.2f}") for name in ("two", "processes")),
        ]
        for record in result["threads"]
    ]
    header = [
        "view",
        "Pillow",
        "allometry",
        "ratio",
        "Pillow apart",
        "allometry apart",
        "ratio",
        "kept in memory",
    ]
    split = ["view", "ms", *STAGES, "rest", f"{EIGHTH}, ms"]
    scaling = ["view", "1 thread", "2 threads", "2 processes", "2 threads to 1", "2 processes to 1"]
    source = f"{result['photographs']} photographs" if result["photographs"] else "noise"
    return [
        *table(header, rows),
        "",
        f"Images per second of one core, {result['number']} images of {WIDTH} x {HEIGHT} pixels made from {source}, "
        f"JPEG of quality {' and '.join(map(str, QUALITIES))}. Medians of {result['repeats']} repeats, least and most "
        "in brackets; the ratios are of neighboring repeats. Apart: each in a process of its own. Kept in memory: "
        "allometry from the second epoch on, where the images fit into the cache.",
        "",
        *table(split, parts),
        "",
        "Where the time for one image goes, in milliseconds by the clock and in shares of them; and, beside that, what "
        "reading and decoding at an eighth of the size takes, little of which is more than the entropy code.",
        "",
        *table(scaling, threads),
        "",
        f"Images per second by the clock, {LONGER * result['number']} files of quality {QUALITIES[0]}, less the time "
        "that threads were kept from a core by other work; the ratios are of neighboring repeats.",
    ]


if __name__ == "__main__":
    main()
