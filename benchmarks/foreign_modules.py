"""Networks of other packages are made wider, deeper, narrower and brought to budgets, each with what it knows.

    python benchmarks/foreign_modules.py --folder runs/foreign [--package NAME] [--network NAME] [--json]

The networks are those of `foreign_list.py`, with random weights and with statistics, scales and offsets that are not 0
and 1. Each runs in a process of its own with a limit of time and memory. A folder holds all results as lines of JSON,
and the same command goes on with them. For each network and action:

- it is scaled, or refused with a sentence, or wrong: another output right after growth (more than 1e-4 of the largest
  logit, in evaluation mode), no training step with finite gradients, an error that is none of ours, nothing changed, or
  a plan that does not make the same module again from the package's own function;
- multiply-accumulates by PyTorch's counter, beside the budget; and the seconds of the whole call on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from common import Spread, machine, print_result, table
from foreign_list import Made, chosen, macs_of, package_of, packages
from torch import Tensor, nn

from allometry.base import AllometryError
from allometry.base.files import append_line, read_json, read_lines, write_json
from allometry.nn.foreign import ModulePlan, ScaledModule, apply_plan
from allometry.verbs.scale_module import scale_module_in_full

ACTIONS: dict[str, dict[str, Any]] = {
    "width 1.25": {"width": 1.25},
    "depth 1.5": {"depth": 1.5},
    "width 0.75": {"width": 0.75},
    "budget 2x": {"budget": "2x"},
    "budget 0.5x": {"budget": "0.5x"},
}
GROWTH = ("width 1.25", "depth 1.5", "budget 2x")
MOST_DIFFERENCE, SECONDS, GIBIBYTES = 1e-4, 600, 12


def shaken(module: nn.Module) -> nn.Module:
    """The module with statistics, scales and offsets of norms that are not 0 and 1, so that mistakes show."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("running_mean"):
                tensor.normal_(0, 0.1, generator=generator)
            elif tensor.ndim == 1 and tensor.is_floating_point() and isinstance(tensor, nn.Parameter):
                tensor.add_(torch.empty_like(tensor).uniform_(-0.2, 0.2, generator=generator))
    return module


def tensors(output: Any) -> list[Tensor]:  # noqa: ANN401 - whatever a module gives
    """All tensors of floating point in what a module gave."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, Mapping):
        output = list(output.values())
    return [tensor for item in output for tensor in tensors(item)] if isinstance(output, Iterable) else []


def difference(before: list[Tensor], after: list[Tensor]) -> float:
    """The largest difference, as a part of the largest entry of a tensor."""
    if [tensor.shape for tensor in before] != [tensor.shape for tensor in after]:
        raise ValueError("the outputs have other shapes")
    return max(
        float((one - two).abs().max() / one.abs().max().clamp_min(1e-12))
        for one, two in zip(before, after, strict=True)
    )


def step(module: nn.Module, images: Tensor) -> None:
    """A training step; gradients that are not finite, or of no weight at all, are an error."""
    module.train()
    loss = sum(tensor.float().square().mean() for tensor in tensors(module(images)))
    loss.backward()  # type: ignore[union-attr]
    gradients = [tensor.grad for tensor in module.parameters() if tensor.grad is not None]
    if not gradients or not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        raise ValueError("no gradients, or such that are not finite")
    with torch.no_grad():
        for tensor in module.parameters():
            if tensor.grad is not None:
                tensor.sub_(1e-4 * tensor.grad)


def of(package: str, name: str) -> Made:
    """A network with its weights."""
    torch.manual_seed(0)
    module, pixels = package_of(package).make(name)
    return Made(shaken(module).eval(), pixels)


def tried(package: str, name: str, action: str) -> dict[str, Any]:
    """One action on one network."""
    module, pixels = of(package, name)
    images = torch.randn(2, 3, pixels, pixels, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before, macs = tensors(module(images)), macs_of(module, images[:1])
    record: dict[str, Any] = {
        "package": package,
        "name": name,
        "action": action,
        "pixels": pixels,
        "macs": macs,
    }
    record["params"] = sum(tensor.numel() for tensor in module.parameters())
    started = time.perf_counter()
    try:
        scaled = scale_module_in_full(module, example_input=images[:1], **ACTIONS[action])
    except AllometryError as error:
        return record | {
            "seconds": time.perf_counter() - started,
            "result": "refused",
            "sentence": str(error),
        }
    record["seconds"] = time.perf_counter() - started
    same = is_rebuilt(scaled, of(package, name).module)
    if not same:
        return record | {"result": "wrong", "sentence": "the plan does not make the same module again"}
    return record | checked(before, scaled.module.eval(), images, action, macs)


def is_rebuilt(scaled: ScaledModule, fresh: nn.Module) -> bool:
    """Whether the plan, written as JSON and read, makes the same module of what the package's own function gives."""
    plan = ModulePlan.from_dict(json.loads(json.dumps(scaled.plan.to_dict())))
    again, wanted = apply_plan(fresh, plan), scaled.module
    shapes = [{name: tensor.shape for name, tensor in part.state_dict().items()} for part in (again, wanted)]
    return shapes[0] == shapes[1] and str(again) == str(wanted)


def checked(
    before: list[Tensor], other: nn.Module, images: Tensor, action: str, macs: float
) -> dict[str, Any]:
    """What is measured of a scaled network, and whether it is right."""
    record: dict[str, Any] = {"new_params": sum(tensor.numel() for tensor in other.parameters())}
    record["new_macs"] = macs_of(other, images[:1])
    with torch.no_grad():
        change = difference(before, tensors(other(images)))
    if action in GROWTH:
        record["difference"] = change
        if not change <= MOST_DIFFERENCE:  # nor where it is no number
            return record | {"result": "wrong", "sentence": f"the output differs by {change:.1e}"}
    if (record["new_macs"] > macs) != (action in GROWTH) or record["new_macs"] == macs:
        return record | {"result": "wrong", "sentence": f"from {macs:,.0f} to {record['new_macs']:,.0f} MACs"}
    try:
        step(other, images)
    except (RuntimeError, ValueError, TypeError) as error:
        return record | {"result": "wrong", "sentence": f"no training step: {error}"}
    return record | {"result": "scaled"}


def run_one(package: str, name: str, folder: Path) -> None:
    """All actions on one network that have no result yet; each result is a line as soon as it is there."""
    torch.set_num_threads(1)
    limit = GIBIBYTES * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for action in missing(package, name, folder):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                record = tried(package, name, action)
        except Exception as error:  # whatever two libraries and a foreign module raise
            place = error.__traceback__
            while place and place.tb_next:
                place = place.tb_next
            where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
            sentence = f"{type(error).__name__} ({where}): {error}"
            record = {
                "package": package,
                "name": name,
                "action": action,
                "result": "wrong",
                "sentence": sentence,
            }
        add(record, folder)


def file_of(package: str, name: str, folder: Path) -> Path:
    """Where a network's results are."""
    return folder / package.replace(" ", "-") / f"{name}.jsonl"


def add(record: Mapping[str, Any], folder: Path) -> None:
    """Keep a result."""
    file = file_of(record["package"], record["name"], folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    append_line(file, record)


def results(package: str, name: str, folder: Path) -> list[dict[str, Any]]:
    """What is known of a network."""
    file = file_of(package, name, folder)
    return list(read_lines(file)) if file.exists() else []


def missing(package: str, name: str, folder: Path) -> list[str]:
    """The actions without a result."""
    done = {record["action"] for record in results(package, name, folder)}
    return [action for action in ACTIONS if action not in done]


def select(package: str, folder: Path) -> None:
    """Choose a package's networks by the rule, and keep the list."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(chosen(package_of(package)))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{package.replace(' ', '-')}.json", dict(found))


def networks(package: str, folder: Path) -> list[str]:
    """A package's networks that take part."""
    file = folder / f"{package.replace(' ', '-')}.json"
    if not file.exists():
        child("--select", package, folder=folder, seconds=3600)
    return [name for name, reason in read_json(file).items() if reason is None] if file.exists() else []


def child(*arguments: str, folder: Path, seconds: float) -> bool:
    """Run this file in a process of its own; whether it came to its end in time."""
    command = [sys.executable, "-W", "ignore", __file__, "--folder", str(folder), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            timeout=seconds,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def survey(names: Iterable[tuple[str, str]], folder: Path) -> None:
    """Try what has no result yet."""
    for package, name in names:
        while left := missing(package, name, folder):
            child("--one", package, name, folder=folder, seconds=SECONDS)
            if missing(package, name, folder) == left:
                sentence = f"no result in {SECONDS} s and {GIBIBYTES} GiB"
                add(
                    {
                        "package": package,
                        "name": name,
                        "action": left[0],
                        "result": "wrong",
                        "sentence": sentence,
                    },
                    folder,
                )
        words = [record["result"] for record in results(package, name, folder)]
        print(f"{package} {name}: {', '.join(words)}", file=sys.stderr, flush=True)


def summary(records: list[dict[str, Any]]) -> list[str]:
    """A row for each package and action."""
    rows = []
    for package in dict.fromkeys(record["package"] for record in records):
        own = [record for record in records if record["package"] == package]
        rows.append([package, str(len({record["name"] for record in own})), *_counts(own)])
    rows.append(["all", str(len({(r["package"], r["name"]) for r in records})), *_counts(records)])
    for action in ACTIONS:
        own = [record for record in records if record["action"] == action]
        rows.append([action, str(len(own)), *_counts(own)])
    header = [
        "of",
        "networks",
        "scaled",
        "refused",
        "wrong",
        "largest difference",
        "off the budget",
        "seconds",
    ]
    return table(header, rows)


def _counts(records: list[dict[str, Any]]) -> list[str]:
    words = Counter(record["result"] for record in records)
    changes = [
        record["difference"] for record in records if record["result"] == "scaled" and "difference" in record
    ]
    off = [abs(off_budget(record)) for record in records if off_budget(record) is not None]  # type: ignore[arg-type]
    seconds = [record["seconds"] for record in records if "seconds" in record]
    return [
        *(str(words[word]) for word in ("scaled", "refused", "wrong")),
        f"{max(changes):.0e}" if changes else "",
        Spread.of(off).show("{:.1%}") if off else "",
        Spread.of(seconds).show("{:.1f}") if seconds else "",
    ]


def off_budget(record: Mapping[str, Any]) -> float | None:
    """By which part a network misses the budget it was brought to."""
    times = {"budget 2x": 2.0, "budget 0.5x": 0.5}.get(record["action"])
    if times is None or record["result"] != "scaled":
        return None
    return float(record["new_macs"] / (times * record["macs"]) - 1)


def each(records: list[dict[str, Any]]) -> list[str]:
    """A row for each network."""
    rows = []
    for package, name in dict.fromkeys((record["package"], record["name"]) for record in records):
        own = {r["action"]: r for r in records if (r["package"], r["name"]) == (package, name)}
        rows.append(
            [f"{package}: {name}", *(own[action]["result"] if action in own else "" for action in ACTIONS)]
        )
    return table(["network", *ACTIONS], rows)


def main() -> None:
    """Try what has not been tried yet, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="of all results")
    parser.add_argument("--package", help="only of this package")
    parser.add_argument("--network", help="only this network")
    parser.add_argument("--most", type=int, help="of each package at most so many")
    parser.add_argument("--only-print", action="store_true", help="try nothing more")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--select", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        package, name = args.one
        return run_one(package, name, args.folder)
    if args.select:
        return select(args.select, args.folder)
    wanted = [package.name for package in packages() if args.package in (None, package.name)]
    names = [(package, name) for package in wanted for name in networks(package, args.folder)[: args.most]]
    names = [(package, name) for package, name in names if args.network in (None, name)]
    if not args.only_print:
        survey(names, args.folder)
    records = [record for package, name in names for record in results(package, name, args.folder)]
    result = {"benchmark": "foreign_modules", "results": records, "machine": machine()}
    print_result(result, lines(result), as_json=args.json)
    return None


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result as Markdown tables, with what was said of each that was not scaled."""
    records = result["results"]
    return [*summary(records), "", *each(records), "", *sentences(records)]


def sentences(records: list[dict[str, Any]]) -> list[str]:
    """What was said of each that is refused or wrong."""
    return [
        f"- {record['package']} {record['name']}, {record['action']}: {record['result']}: {record['sentence']}"
        for record in records
        if record["result"] != "scaled"
    ]


if __name__ == "__main__":
    main()
