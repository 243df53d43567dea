"""The last sections: the exported file, what the run cost, and how to go on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from allometry.base.units import format_duration, format_quantity
from allometry.reports.markup import Column, Html, Row, Section, bar, element, facts, note, number, table
from allometry.reports.overview import command_line
from allometry.reports.words import listed, percent, whole
from allometry.runs import CostEntry, FitResult, RunRecord, SupernetRecord, Verification

_OF_A_SUPERNET = (
    "supernet: the training of all phases, once for all budgets. look: subnets run on validation images. predict: "
    "fitting the predictor. search: evolution. confirm: latencies of the best, and test images. measure: the table of "
    "latencies. Images count once for each subnet that saw them."
)


def export_section(record: RunRecord) -> Section | None:
    """The exported file and how it was checked against the original."""
    if record.export is None:
        return None
    checked = record.export.verification
    return Section("delivery", "Delivery", [element("p", _verdict(checked)), facts(_export_facts(checked))])


def _verdict(checked: Verification) -> str:
    same = "the same class for every image" if checked.agreement == 1 else "the same class"
    fraction = "" if checked.agreement == 1 else f" for {percent(checked.agreement, digits=2)} of them"
    return f"{checked.file} was run beside the original on {whole(checked.images)} images and gives {same}{fraction}."


def _export_facts(checked: Verification) -> Iterator[tuple[str, str]]:
    yield "file", checked.file
    yield "size", f"{format_quantity(checked.bytes, unit='B')} ({whole(checked.bytes)} bytes)"
    yield "runtime", checked.runtime
    yield "checked on", f"{whole(checked.images)} images"
    yield "largest difference", f"{checked.largest_difference:.2g} in any output"
    yield "same class", percent(checked.agreement, digits=2)
    if checked.batches:
        yield "compared", checked.in_words()
    if checked.files:
        difference = f"differ by up to {checked.probability_difference:.2g} from what `predict` says"
        yield "image files", f"{listed(checked.kinds)}: probabilities {difference}"


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """What all work of one phase cost together."""

    phase: str
    seconds: float
    images: int


def phase_costs(entries: Sequence[CostEntry]) -> list[PhaseCost]:
    """The cost log summed by phase, in the order in which the phases began.

    Example:
        >>> entries = [
        ...     CostEntry(phase=phase, name="", seconds=2.0, images=10, device="cpu")
        ...     for phase in ("fit", "train", "fit")
        ... ]
        >>> phase_costs(entries)
        [PhaseCost(phase='fit', seconds=4.0, images=20), PhaseCost(phase='train', seconds=2.0, images=10)]
    """
    sums: dict[str, PhaseCost] = {}
    for entry in entries:
        before = sums.get(entry.phase, PhaseCost(entry.phase, 0.0, 0))
        sums[entry.phase] = PhaseCost(
            entry.phase, before.seconds + entry.seconds, before.images + entry.images
        )
    return list(sums.values())


def costs_section(record: RunRecord) -> Section | None:
    """What each phase took: time, images, and its fraction."""
    if not record.costs:
        return None
    phases = phase_costs(record.costs)
    total = sum(phase.seconds for phase in phases)
    rows = [_phase_row(phase, total) for phase in phases]
    images = sum(phase.images for phase in phases)
    footer = [Row(["all", format_duration(total), "", whole(images) if images else "", ""])]
    columns = [
        Column("phase"),
        number("time"),
        number("share"),
        number("images"),
        number("images per second"),
    ]
    content = [table(columns, rows, footer=footer)]
    devices = sorted({entry.device for entry in record.costs if entry.device})
    if devices:
        content.append(note(f"On {listed(devices)}."))
    if record.supernet is not None:
        content.append(note(_OF_A_SUPERNET))
    return Section("cost", "What it cost", content)


def _phase_row(phase: PhaseCost, total: float) -> Row:
    fraction = phase.seconds / total if total > 0 else 0.0
    speed = phase.images / phase.seconds if phase.images and phase.seconds > 0 else None
    return Row(
        [
            phase.phase,
            format_duration(phase.seconds),
            bar(fraction, percent(fraction)),
            whole(phase.images) if phase.images else "",
            whole(speed),
        ]
    )


def next_section(record: RunRecord) -> Section:
    """The command lines to go on with."""
    folder = shlex.quote(str(record.folder))
    if not record.finished:
        again = f"{command_line(record)} --out {folder}"
        return Section("next", "How to go on", [_step("Go on where it stopped", again)])
    data = shlex.quote(str(record.arguments.get("data") or "icons"))
    if isinstance(record.result, FitResult):
        law, baseline = (shlex.quote(str(record.folder / name)) for name in ("law.json", "baseline.json"))
        steps = [
            (
                "Grow the baseline by this law, and train it",
                f"allometry run --baseline {baseline} --data {data} --law {law} --budget 4x",
            ),
            ("Only grow it", f"allometry scale {baseline} --law {law} --phi 2 --save grown.json"),
        ]
        return Section("next", "How to go on", [_step(what, command) for what, command in steps])
    if record.supernet is not None:
        return Section("next", "How to go on", list(_of_supernet(record.supernet, folder)))
    if record.search is not None:
        network = shlex.quote(str(record.folder / "network.json"))
        steps = [
            ("Train the network that was found", f"allometry train {network} --data {data}"),
            ("Grow it to a budget", f"allometry run --baseline {network} --data {data} --budget 4x"),
        ]
        return Section("next", "How to go on", [_step(what, command) for what, command in steps])
    steps = [
        ("Classify an image of your own", f"allometry predict {folder} IMAGE"),
        ("Write the network for another runtime", f"allometry export {folder} --to onnx"),
    ]
    return Section("next", "How to go on", [_step(what, command) for what, command in steps])


def _of_supernet(supernet: SupernetRecord, folder: str) -> Iterator[Html]:
    search = f"allometry supernet search {folder}"
    yield _step("Find the best subnet for a budget", f'{search} --budget "latency<=5ms"')
    yield _step("Find all the best at once", f"{search} --front macs")
    for subnet in supernet.subnets[:1]:
        yield _step(
            "Take a subnet out, as a run of its own",
            f"allometry supernet extract {folder} {shlex.quote(subnet.name)}",
        )


def _step(what: str, command: str) -> Html:
    return element("div", element("p", what), element("pre", element("code", command)), class_="step")
