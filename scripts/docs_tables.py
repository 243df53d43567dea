"""Write the tables of the documentation from what they describe.

    python scripts/docs_tables.py          # bring every table up to date
    python scripts/docs_tables.py --check  # exit with 1 if one is out of date

A table stands between `<!-- begin:NAME -->` and `<!-- end:NAME -->` in README.md or in a page of docs/; figures of
benchmarks are files in docs/figures/. Networks come from tests/golden/zoo.json and the library, options from the
command line itself, measured figures from the JSON files in benchmarks/results/.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from allometry import count, get, scale
from allometry.arch import RegularBlock, block_kinds
from allometry.catalog import choose, families
from allometry.scaling import LAWS

ROOT = Path(__file__).resolve().parent.parent
NUMBERS = range(8)
PHI_STEPS = 1000  # samples of phi in one step, for the phi that comes nearest

_MARKED = re.compile(r"(<!-- begin:(?P<name>[\w-]+) -->\n).*?(<!-- end:(?P=name) -->)", re.DOTALL)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, words: int = 1) -> str:
    """A Markdown table whose first `words` columns are text and the others numbers."""
    rule = ["---" if place < words else "---:" for place in range(len(columns))]
    return "\n".join(f"| {' | '.join(str(cell) for cell in row)} |" for row in (columns, rule, *rows))


def golden() -> dict[str, Any]:
    """The counts that never change, by name of the network."""
    file = ROOT / "tests" / "golden" / "zoo.json"
    networks: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["networks"]
    return networks


def released_table() -> str:
    """The released family: exact counts beside the published figures."""
    rows = []
    for entry in choose("efficientnet-b", family="efficientnet"):
        known, printed = golden()[entry.name], entry.published
        if printed is None or printed.params is None:
            continue
        rows.append(
            [
                f"`{entry.name}`",
                *(f"{known[name]:,}" for name in ("resolution", "blocks", "params", "macs", "activations")),
                f"{printed.params:g}M",
                f"{printed.macs:g}B",
                f"{printed.top1:.1f} %",
            ]
        )
    counted = ["px", "blocks", "params", "MACs", "activations"]
    return table(["name", *counted, "params, printed", "MACs, printed", "top-1, printed"], rows)


FAMILIES = {
    "efficientnet": "EfficientNet as released",
    "efficientnet-formula": "EfficientNet by the formula",
    "efficientnet-lite": "EfficientNet-Lite",
    "efficientnetv2": "EfficientNetV2",
    "mobilenet": "MobileNet",
    "mnasnet": "MnasNet",
    "proxylessnas": "ProxylessNAS",
    "fbnet": "FBNet",
    "once-for-all": "Once-for-All, specialized",
    "resnet": "ResNet and ResNeXt",
    "regnet": "RegNet",
    "densenet": "DenseNet",
    "inception": "Inception",
    "xception": "Xception",
    "senet": "SENet",
    "nasnet": "NASNet",
    "pnasnet": "PNASNet",
    "amoebanet": "AmoebaNet",
    "scaled": "Known networks, scaled",
}


def zoo_text() -> str:
    """Every family with its counts beside the printed figures, and the notes."""
    return "\n\n".join(f"### {FAMILIES[family]}\n\n{_family_text(family)}" for family in families())


def _family_text(family: str) -> str:
    members = choose(family=family)
    rows, notes = [], []
    for entry in members:
        known, printed = golden()[entry.name], entry.published
        mark = ""
        if printed is not None and printed.note:
            if printed.note not in notes:
                notes.append(printed.note)
            mark = f" ({notes.index(printed.note) + 1})"
        numbers_printed = (
            (_printed(printed.params, "M"), _printed(printed.macs, "B"), _printed(printed.top1, " %"))
            if printed is not None
            else ("", "", "")
        )
        numbers = (f"{known[name]:,}" for name in ("resolution", "params", "macs", "activations"))
        rows.append([f"`{entry.name}`{mark}", *numbers, *numbers_printed])
    columns = [
        "name",
        "px",
        "params",
        "MACs",
        "activations",
        "params, printed",
        "MACs, printed",
        "top-1, printed",
    ]
    sources = dict.fromkeys(_general(entry.published.source) for entry in members if entry.published)
    text = table(columns, rows)
    if sources:
        text += f"\n\nPrinted in: {'; '.join(sources)}."
    for number, note in enumerate(notes, start=1):
        text += f"\n\n({number}) {note[0].upper()}{note[1:]}."
    return text


def _printed(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:g}{unit}"


def _general(source: str) -> str:
    """The source without what differs from one network of a family to the next."""
    once_for_all = "Once-for-All, README of the released code"
    return once_for_all if source.startswith(once_for_all) else source


def formula_table() -> str:
    """The family by the formula: exact counts."""
    rows = []
    for number in NUMBERS:
        name = f"efficientnet-b{number}-formula"
        known = golden()[name]
        numbers = (f"{known[name]:,}" for name in ("params", "macs", "activations"))
        rows.append([f"`{name}`", known["resolution"], get(name).depth, *numbers])
    return table(["name", "px", "blocks", "params", "MACs", "activations"], rows)


def difference_table() -> str:
    """Released against formula, dimension by dimension."""
    rows = []
    for number in NUMBERS:
        released, formula = get(f"efficientnet-b{number}"), get(f"efficientnet-b{number}-formula")
        ours, theirs = (golden()[network.name] for network in (released, formula))
        phi, error = nearest_phi(ours["macs"])
        rows.append(
            [
                f"B{number}",
                f"{released.resolution} / {formula.resolution}",
                f"{released.depth} / {formula.depth}",
                f"{released.stem.channels} / {formula.stem.channels}",
                f"{released.head.channels:,} / {formula.head.channels:,}",
                f"{_percent(theirs['params'] / ours['params'] - 1)}",
                f"{_percent(theirs['macs'] / ours['macs'] - 1)}",
                f"{phi:.3f}",
                _percent(error, digits=2),
            ]
        )
    columns = ["", "px", "blocks", "stem channels", "head channels", "params", "MACs"]
    return table([*columns, "nearest phi", "MACs at that phi"], rows)


def nearest_phi(macs: int) -> tuple[float, float]:
    """The phi from 0 to 8 whose network of B0 comes nearest to these MACs, and the difference as a share."""
    origin = get("efficientnet-b0")

    def difference(step: int) -> float:
        return count(scale(origin, step / PHI_STEPS)).macs / macs - 1

    best = min(range(8 * PHI_STEPS + 1), key=lambda step: abs(difference(step)))
    return best / PHI_STEPS, difference(best)


def law_table() -> str:
    """The laws that have a name."""
    rows = [
        [
            f"`{name}`",
            *(f"{value:.4g}" for value in (law.alpha, law.beta, law.gamma)),
            f"{law.growth:.4g}x",
            f"{law.late_stage_bias:g}" if law.late_stage_bias else "",
            f"{law.largest_resolution} px" if law.largest_resolution else "",
        ]
        for name, law in LAWS.items()
    ]
    columns = ["law", "alpha (depth)", "beta (width)", "gamma (resolution)", "MACs per step, about"]
    return table([*columns, "late-stage bias", "largest resolution"], rows)


def grid_table() -> str:
    """The laws that a run tries."""
    from allometry.nas.law_grid import grid

    rows = [[f"{law.alpha:g}", f"{law.beta:.4f}", f"{law.gamma:g}"] for law in grid()]
    return table(["alpha (depth)", "beta (width)", "gamma (resolution)"], rows, words=0)


def recipe_table() -> str:
    """Every field of a recipe with its value in each recipe; those that no recipe sets stand together at the end."""
    from allometry.catalog import get
    from allometry.training import RECIPES, Recipe

    version_two = "efficientnetv2-s"
    networks = {"efficientnetv2": version_two, "efficientnetv2-released": version_two}
    made = {
        (name, drawings): make(get(networks.get(name, "efficientnet-b0")), images=5000, drawings=drawings)
        for name, make in RECIPES.items()
        for drawings in (False, True)
        if name == "small" or not drawings
    }
    epochs = {"small": "12 to 80", "transfer": "6 to 40", "grown": "4 to 26"}
    plain = Recipe(epochs=1).to_dict()
    rows = []
    for name, usual in plain.items():
        values = [recipe.to_dict()[name] for recipe in made.values()]
        if name == "epochs":
            values = [epochs.get(key, value) for (key, _), value in zip(made, values, strict=True)]
        if any(value != usual for value in values):
            rows.append([f"`{name}`", *(_setting(name, value) for value in values)])
    columns = [f"`{name}`{', gray images' if drawings else ''}" for name, drawings in made]
    set_by_some = {row[0] for row in rows}
    others = [
        f"`{name}` ({_setting(name, value)})"
        for name, value in plain.items()
        if f"`{name}`" not in set_by_some
    ]
    return f"{table(['field', *columns], rows)}\n\nNo recipe sets: {', '.join(others)}."


def _setting(name: str, value: object) -> str:
    return "none" if value is None and name.startswith("progressive.") else str(_value(value))


def target_table() -> str:
    """What networks are delivered as."""
    from allometry.deploy import TARGETS

    rows = [
        [
            f"`{target.name}`",
            ", ".join(f"`{file.name}`" for file in target.files(Path(f"model{target.suffix}"))),
            ", ".join(precision.name for precision in target.precisions),
            ", ".join(target.without),
            f"`{target.extra}`" if target.extra else "",
        ]
        for target in TARGETS
    ]
    return table(["target", "files", "precision", "without", "extra"], rows, words=5)


def verb_table() -> str:
    """One line for each verb."""
    return table(["verb", "what it does"], [[f"`{n}`", _about(c)] for n, c in _verbs().items()], words=2)


def options_text() -> str:
    """Every verb with its usage, its examples and its arguments and options."""
    parts = []
    for name, command in _verbs().items():
        about, *examples = command.help.split("Example:")
        shown = "\n".join(example.strip().strip("`") for example in examples)
        needed = " ".join(param.metavar for param in command.params if not param.opts[0].startswith("-"))
        usage = " ".join(word for word in (f"allometry {name}", needed, "[OPTIONS]") if word)
        code = f"```text\n{usage}\n```\n\nExample:\n\n```sh\n{shown}\n```"
        rows = [_option_row(param) for param in command.params]
        options = table(["", "value", "default", "meaning"], rows, words=4)
        parts.append(f"### `allometry {name}`\n\n{' '.join(about.split())}\n\n{code}\n\n{options}")
    return "\n\n".join(parts)


def benchmark_text(name: str) -> str:
    """The result of a benchmark as its script prints it, with its figures, the machine and the command."""
    result, script = _benchmark(name)
    text = "\n".join(script.lines(result))
    for figure in _figures(name):
        text += f"\n\n![{figure.replace('-', ' ')}](figures/{figure}.svg)"
    machine = importlib.import_module("common").machine_line(result["machine"])
    options = script.options(result) if hasattr(script, "options") else ""
    return f"Command: `python benchmarks/{name}.py{options}`\n\n{text}\n\nMachine: {machine}."


def drawn_figures() -> dict[Path, str]:
    """The figures of all benchmarks, as SVG, and where they belong."""
    folder = ROOT / "docs" / "figures"
    return {folder / f"{figure}.svg": text for name in BENCHMARKS for figure, text in _figures(name).items()}


def _figures(name: str) -> dict[str, str]:
    """A benchmark's figures by name; most have none."""
    result, script = _benchmark(name)
    return script.figures(result) if hasattr(script, "figures") else {}


def _benchmark(name: str) -> tuple[dict[str, Any], ModuleType]:
    """A benchmark's kept result, and its script."""
    file = ROOT / "benchmarks" / "results" / f"{name}.json"
    if str(file.parent.parent) not in sys.path:
        sys.path.insert(0, str(file.parent.parent))
    return json.loads(file.read_text(encoding="utf-8")), importlib.import_module(name)


BENCHMARKS = (
    "count_speed",
    "solve_accuracy",
    "start_up",
    "busy_machine",
    "run_icons",
    "input_speed",
    "near_duplicates",
    "transfer",
    "step_memory",
    "rendered",
    "compound_scaling",
    "progressive",
    "growing_images",
    "training_loop",
    "latency",
    "deep_networks",
    "fit_law",
    "fit_rules",
    "choosing_law",
    "law_luck",
    "searchers",
    "populations",
    "by_gradient",
    "specializing",
    "supernet_plans",
    "once_for_all",
    "foreign_modules",
)


def block_table() -> str:
    """The kinds of blocks: what files call them, their fields, and the layers of one that adds its input if it can."""
    rows = []
    for kind, block in block_kinds().items():
        about = (block.__doc__ or "").partition("\n")[0].rstrip(".")
        own = ", ".join(f"`{field.name}`" for field in fields(cast(Any, block)) if field.name != "kind")
        nodes = "any"
        if issubclass(block, RegularBlock):
            nodes = " → ".join(node.name for node in cast(Any, block)(channels=64).cell(64).nodes)
        rows.append([f"`{block.__name__}`", f"`{kind}`", about, own, nodes])
    return table(["block", "kind", "what it is", "fields", "nodes, of 64 channels to 64"], rows, words=5)


TABLES: dict[str, Callable[[], str]] = {
    "blocks": block_table,
    "zoo": zoo_text,
    "released": released_table,
    "formula": formula_table,
    "difference": difference_table,
    "laws": law_table,
    "grid": grid_table,
    "recipes": recipe_table,
    "targets": target_table,
    "verbs": verb_table,
    "options": options_text,
    **{name.replace("_", "-"): partial(benchmark_text, name) for name in BENCHMARKS},
}


def main() -> int:
    """Write or check; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table is old")
    check = parser.parse_args().check
    made: dict[str, str] = {}
    old, seen = [], set()
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        fresh = _MARKED.sub(partial(_filled, made), text)
        seen |= {match["name"] for match in _MARKED.finditer(text)}
        if fresh != text:
            old.append(page.relative_to(ROOT))
            if not check:
                page.write_text(fresh, encoding="utf-8")
    for file, text in drawn_figures().items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            old.append(file.relative_to(ROOT))
            if not check:
                file.parent.mkdir(exist_ok=True)
                file.write_text(text, encoding="utf-8")
    for page in old:
        print(f"{page}: {'out of date; run python scripts/docs_tables.py' if check else 'written'}")
    unused = sorted(TABLES.keys() - seen)
    if unused:
        print(f"No page has the tables {', '.join(unused)}.", file=sys.stderr)
    return 1 if unused or (check and old) else 0


def _filled(made: dict[str, str], match: re.Match[str]) -> str:
    name = match["name"]
    if name not in TABLES:
        raise SystemExit(f"No table is named {name!r}; possible: {', '.join(TABLES)}.")
    if name not in made:
        made[name] = TABLES[name]()
    return f"{match[1]}\n{made[name]}\n\n{match[3]}"


def _verbs() -> dict[str, Any]:
    import typer

    from allometry.cli.app import app

    group: Any = typer.main.get_command(app)
    commands: dict[str, Any] = {}
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        inner = getattr(command, "commands", {})
        commands |= {f"{name} {sub}": verb for sub, verb in inner.items()} or {name: command}
    return commands


def _about(command: Any) -> str:  # noqa: ANN401 - Typer's own class, which it does not export
    return " ".join(command.help.partition("\n\n")[0].split()).replace("|", "\\|")


def _option_row(option: Any) -> list[str]:  # noqa: ANN401 - Typer's own class, which it does not export
    is_option = option.opts[0].startswith("-")
    flag = bool(getattr(option, "is_flag", False))
    kinds = {int: "integer", float: "number", str: "text", Path: "file"}
    kind = option.metavar or kinds.get(option.type_descriptor.annotation, "text")
    default = "" if flag or option.default is None else f"`{option.default}`"
    name = f"`{', '.join(option.opts)}`" if is_option else f"`{option.metavar}`"
    meaning = " ".join((option.help or "").split()).replace("|", "\\|")
    return [name, "" if flag or not is_option else f"`{kind}`", default if is_option else "required", meaning]


def _percent(share: float, *, digits: int = 1) -> str:
    return f"{100 * share:+.{digits}f} %"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "the network's" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
