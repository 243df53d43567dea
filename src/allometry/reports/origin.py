"""The section about where a subnet was taken from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from allometry.base.units import plural
from allometry.reports.markup import Section, element, facts, note
from allometry.reports.record import RunRecord
from allometry.reports.supernet_record import Extracted
from allometry.reports.words import percent, quantity


def extracted_wish(extracted: Extracted, on: str) -> str:
    """What was asked for, as a sentence."""
    budget = f" within {extracted.budget}" if extracted.budget else ""
    further = f", trained further for {plural(extracted.epochs, 'epoch')}" if extracted.epochs else ""
    return f"You asked for a subnet{budget} of the supernet {PurePath(extracted.supernet).name}{on}{further}."


def origin_section(record: RunRecord) -> Section | None:
    """The supernet, and what the subnet was worth when it came out of it."""
    extracted = record.extracted
    if extracted is None:
        return None
    content = [element("p", _sentence(extracted)), facts(_facts(extracted))]
    if not extracted.epochs:
        content.append(
            note(
                "Its weights are a part of the supernet's; its batch norms have statistics of its own, over training "
                "images."
            )
        )
    return Section("origin", "Where it comes from", content)


def _sentence(extracted: Extracted) -> str:
    if not extracted.epochs:
        return "It was taken out of a supernet as it is; nothing was trained."
    before, after = extracted.taken_accuracy, extracted.validation_accuracy
    change = (
        f" On the validation images that brought it from {percent(before)} to {percent(after)}."
        if before is not None and after is not None
        else ""
    )
    return (
        f"It was taken out of a supernet and trained further for {plural(extracted.epochs, 'epoch')}.{change}"
    )


def _facts(extracted: Extracted) -> Iterator[tuple[str, str]]:
    if extracted.supernet:
        yield "supernet", extracted.supernet
    if extracted.budget:
        yield "found for", extracted.budget
    if extracted.predicted_accuracy is not None:
        yield "predicted", f"{percent(extracted.predicted_accuracy)} of the validation images"
    if extracted.taken_accuracy is not None:
        yield "as taken out", f"{percent(extracted.taken_accuracy)} of the validation images"
    if extracted.latency is not None:
        yield "latency", f"{quantity('latency', extracted.latency)}, measured when it was found"
