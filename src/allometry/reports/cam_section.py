"""What networks look at: test images with the class activation maps that lie in the run folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from allometry.cost import MACS, count
from allometry.reports.markup import Html, Section, element, joined, note, thumbnail
from allometry.reports.words import ARROW, NO_BREAK, percent
from allometry.runs import Explanation, RunRecord

_GROUPS = {
    "drawn": "Some images",
    "wrong": "Wrong answers it was surest of",
    "correct": "Correct answers it was surest of",
}
_SHOWN = 8
_READING = (
    "The warmer a place, the more it speaks for the class below the image; where nothing does, the image stays as "
    "it is. A map is as coarse as the network's last feature map, and its colors go up to its own strongest place: "
    "compare where, not how much."
)


def looks_section(record: RunRecord) -> Section | None:
    """Test images with the maps of the network's answers, the truth beside where the answer is wrong."""
    content: list[Html] = []
    for group, title in _GROUPS.items():
        members = [sample for sample in record.explanations if sample.group == group]
        if members:
            content += [element("h3", title), element("div", *map(_look, members), class_="looks")]
    if not content:
        return None
    return Section("looks", "What it looks at", [element("p", _READING), *content])


def _look(sample: Explanation) -> Html:
    wrong = sample.predicted != sample.truth
    answer = f"{sample.predicted}, with the evidence for it"
    parts = [
        _seen(thumbnail(sample.thumbnail, text=sample.truth), sample.truth, ""),
        _seen(
            thumbnail(sample.thumbnail, text=answer, over=sample.map),
            joined([f"{ARROW}{NO_BREAK}", element("b", sample.predicted)]),
            _share(sample.confidence),
            kind="wrong" if wrong else "right",
        ),
    ]
    if wrong and sample.truth_map:
        text = f"{sample.truth}, with the evidence for it"
        parts.append(
            _seen(
                thumbnail(sample.thumbnail, text=text, over=sample.truth_map),
                f"for {sample.truth}",
                _share(sample.truth_probability),
            )
        )
    return element("div", *parts, class_="look", title=sample.image or None)


def _seen(shown: Html, caption: str, fraction: str, *, kind: str | None = None) -> Html:
    text = element("p", caption, " ", element("small", fraction)) if fraction else element("p", caption)
    return element("div", shown, text, class_=kind)


def _share(value: float | None) -> str:
    return "" if value is None else percent(value, digits=0)


def looks_compared(records: Sequence[RunRecord]) -> Section | None:
    """Test images that several runs have in common, a row for each image and a column for each run."""
    looking = [(number, record) for number, record in enumerate(records, 1) if record.explanations]
    seen = [
        {sample.digest: sample for sample in record.explanations if sample.digest} for _, record in looking
    ]
    common = [digest for digest in _in_order(seen) if sum(digest in samples for samples in seen) > 1][:_SHOWN]
    if not common:
        return None
    heads = [
        element("th", "image", scope="col"),
        *(_head(number, record) for number, record in looking),
    ]
    rows = [element("tr", *_row(digest, seen)) for digest in common]
    grid = element("table", element("thead", element("tr", *heads)), element("tbody", *rows), class_="views")
    content = [
        element("p", _READING),
        element("div", grid, class_="scroll"),
        note("These images were chosen by their contents alone, not by what any run says of them."),
    ]
    return Section("looks", "What they look at", content)


def _in_order(seen: Iterable[dict[str, Explanation]]) -> list[str]:
    """The images drawn for all runs alike first, the others after them."""
    samples = {digest: sample for samples_of_run in seen for digest, sample in samples_of_run.items()}
    return sorted(samples, key=lambda digest: samples[digest].group != "drawn")


def _head(number: int, record: RunRecord) -> Html:
    name = element("a", record.name, href=f"#run-{number}")
    macs = f"{MACS.format(count(record.network).macs)} MACs" if record.network else ""
    return element(
        "th", element("span", str(number), class_="place"), " ", name, element("small", macs), scope="col"
    )


def _row(digest: str, seen: Sequence[dict[str, Explanation]]) -> list[Html]:
    first = next(samples[digest] for samples in seen if digest in samples)
    cells = [element("td", _seen(thumbnail(first.thumbnail, text=first.truth), first.truth, ""))]
    for samples in seen:
        sample = samples.get(digest)
        if sample is None:
            cells.append(element("td"))
            continue
        shown = thumbnail(
            sample.thumbnail, text=f"{sample.predicted}, with the evidence for it", over=sample.map
        )
        kind = "right" if sample.predicted == sample.truth else "wrong"
        cells.append(
            element("td", _seen(shown, element("b", sample.predicted), _share(sample.confidence), kind=kind))
        )
    return cells
