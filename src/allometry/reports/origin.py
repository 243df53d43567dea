"""The section about where a subnet was taken from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from allometry.base.units import plural
from allometry.reports.markup import Section, element, facts, note
from allometry.reports.words import percent, quantity
from allometry.runs import ExtractResult, RunRecord


def extracted_wish(extracted: ExtractResult, on: str) -> str:
    """What was asked for, as a sentence."""
    budget = f" within {extracted.budget}" if extracted.budget else ""
    further = f", trained further for {plural(extracted.epochs, 'epoch')}" if extracted.epochs else ""
    return f"You asked for a subnet{budget} of the supernet {PurePath(extracted.supernet).name}{on}{further}."


def origin_section(record: RunRecord) -> Section | None:
    """The supernet, and what the subnet was worth when it came out of it."""
    extracted = record.result
    if not isinstance(extracted, ExtractResult):
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


def _sentence(extracted: ExtractResult) -> str:
    if not extracted.epochs:
        return "It was taken out of a supernet as it is; nothing was trained."
    return (
        f"It was taken out of a supernet and trained further for {plural(extracted.epochs, 'epoch')}. On the "
        f"validation images that brought it from {percent(extracted.extracted_accuracy)} to "
        f"{percent(extracted.validation_accuracy)}."
    )


def _facts(extracted: ExtractResult) -> Iterator[tuple[str, str]]:
    yield "supernet", extracted.supernet
    if extracted.budget:
        yield "found for", extracted.budget
    if extracted.predicted_accuracy is not None:
        yield "predicted", f"{percent(extracted.predicted_accuracy)} of the validation images"
    yield "as taken out", f"{percent(extracted.extracted_accuracy)} of the validation images"
    if extracted.cost.latency is not None:
        yield "latency", f"{quantity('latency', extracted.cost.latency)}, measured when it was found"
