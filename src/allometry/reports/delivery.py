"""The last sections: the exported file, what the run cost, and how to go on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from allometry.base.units import format_duration, format_quantity
from allometry.reports.markup import Column, Html, Row, Section, bar, element, facts, note, number, table
from allometry.reports.overview import command_line
from allometry.reports.record import Export, LedgerLine, RunRecord
from allometry.reports.supernet_record import SupernetRecord
from allometry.reports.words import listed, percent, whole

_OF_A_SUPERNET = (
    "supernet: the training of all phases, once for all budgets. look: subnets run on validation images. predict: "
    "fitting the predictor. search: evolution. confirm: latencies of the best, and test images. measure: the table of "
    "latencies. Images count once for each subnet that saw them."
)


def delivery_section(record: RunRecord) -> Section | None:
    """The exported file and how it was checked against the original."""
    export = record.export
    if export is None:
        return None
    return Section("delivery", "Delivery", [element("p", _verdict(export)), facts(_export_facts(export))])


def _verdict(export: Export) -> str:
    if export.agreement is None:
        return f"The network was exported to {export.file}; no check against the original is recorded."
    on = f" on {whole(export.images)} images" if export.images else ""
    same = "the same class for every image" if export.agreement == 1 else "the same class"
    share = "" if export.agreement == 1 else f" for {percent(export.agreement, digits=2)} of them"
    return f"{export.file} was run beside the original{on} and gives {same}{share}."


def _export_facts(export: Export) -> Iterator[tuple[str, str]]:
    yield "file", export.file
    if export.bytes is not None:
        yield "size", f"{format_quantity(export.bytes, unit='B')} ({whole(export.bytes)} bytes)"
    if export.runtime:
        yield "runtime", export.runtime
    if export.images is not None:
        yield "checked on", f"{whole(export.images)} images"
    if export.largest_difference is not None:
        yield "largest difference", f"{export.largest_difference:.2g} in any output"
    if export.agreement is not None:
        yield "same class", percent(export.agreement, digits=2)


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """What all work of one phase cost together."""

    phase: str
    seconds: float
    images: int


def phase_costs(lines: Sequence[LedgerLine]) -> list[PhaseCost]:
    """The ledger summed by phase, in the order in which the phases began.

    Example:
        >>> lines = [LedgerLine(phase=phase, seconds=2.0, images=10) for phase in ("fit", "train", "fit")]
        >>> phase_costs(lines)
        [PhaseCost(phase='fit', seconds=4.0, images=20), PhaseCost(phase='train', seconds=2.0, images=10)]
    """
    sums: dict[str, PhaseCost] = {}
    for line in lines:
        before = sums.get(line.phase, PhaseCost(line.phase, 0.0, 0))
        sums[line.phase] = PhaseCost(
            line.phase, before.seconds + line.seconds, before.images + (line.images or 0)
        )
    return list(sums.values())


def ledger_section(record: RunRecord) -> Section | None:
    """What each phase took: time, images, and its share."""
    if not record.ledger:
        return None
    phases = phase_costs(record.ledger)
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
    devices = sorted({line.device for line in record.ledger if line.device})
    if devices:
        content.append(note(f"On {listed(devices)}."))
    if record.supernet is not None:
        content.append(note(_OF_A_SUPERNET))
    return Section("cost", "What it cost", content)


def _phase_row(phase: PhaseCost, total: float) -> Row:
    share = phase.seconds / total if total > 0 else 0.0
    speed = phase.images / phase.seconds if phase.images and phase.seconds > 0 else None
    return Row(
        [
            phase.phase,
            format_duration(phase.seconds),
            bar(share, percent(share)),
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
    if record.fit is not None:
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
    for found in supernet.found[:1]:
        yield _step(
            "Take a subnet out, as a run of its own",
            f"allometry supernet extract {folder} {shlex.quote(found.name)}",
        )


def _step(what: str, command: str) -> Html:
    return element("div", element("p", what), element("pre", element("code", command)), class_="step")
