"""What networks look at: test images with the class activation maps that lie in the run folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from allometry.cost import count
from allometry.reports.markup import Html, Section, element, joined, note
from allometry.reports.pictures import picture
from allometry.reports.words import ARROW, NO_BREAK, percent, quantity
from allometry.runs import Explanation, RunRecord

_GROUPS = {
    "drawn": "Some images",
    "wrong": "Wrong answers it was surest of",
    "correct": "Correct answers it was surest of",
}
_SHOWN = 8
_READING = (
    "The warmer a place, the more it speaks for the class below the picture; where nothing does, the picture stays as "
    "it is. A map is as coarse as the network's last feature map, and its colors go up to its own strongest place: "
    "compare where, not how much."
)


def looks_section(record: RunRecord) -> Section | None:
    """Test images with the maps of the network's answers, the truth beside where the answer is wrong."""
    content: list[Html] = []
    for group, title in _GROUPS.items():
        members = [look for look in record.explanations if look.group == group]
        if members:
            content += [element("h3", title), element("div", *map(_look, members), class_="looks")]
    if not content:
        return None
    return Section("looks", "What it looks at", [element("p", _READING), *content])


def _look(look: Explanation) -> Html:
    wrong = look.predicted != look.truth
    answer = f"{look.predicted}, with the evidence for it"
    parts = [
        _seen(picture(look.picture, text=look.truth), look.truth, ""),
        _seen(
            picture(look.picture, text=answer, over=look.map),
            joined([f"{ARROW}{NO_BREAK}", element("b", look.predicted)]),
            _share(look.confidence),
            kind="wrong" if wrong else "right",
        ),
    ]
    if wrong and look.truth_map:
        text = f"{look.truth}, with the evidence for it"
        parts.append(
            _seen(
                picture(look.picture, text=text, over=look.truth_map),
                f"for {look.truth}",
                _share(look.truth_probability),
            )
        )
    return element("div", *parts, class_="look", title=look.image or None)


def _seen(shown: Html, caption: str, share: str, *, kind: str | None = None) -> Html:
    text = element("p", caption, " ", element("small", share)) if share else element("p", caption)
    return element("div", shown, text, class_=kind)


def _share(value: float | None) -> str:
    return "" if value is None else percent(value, digits=0)


def looks_compared(records: Sequence[RunRecord]) -> Section | None:
    """Test images that several runs have in common, a row for each image and a column for each run."""
    looking = [(number, record) for number, record in enumerate(records, 1) if record.explanations]
    seen = [{look.digest: look for look in record.explanations if look.digest} for _, record in looking]
    common = [digest for digest in _in_order(seen) if sum(digest in looks for looks in seen) > 1][:_SHOWN]
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
    looks = {digest: look for each in seen for digest, look in each.items()}
    return sorted(looks, key=lambda digest: looks[digest].group != "drawn")


def _head(number: int, record: RunRecord) -> Html:
    name = element("a", record.name, href=f"#run-{number}")
    macs = f"{quantity('macs', count(record.network).macs)} MACs" if record.network else ""
    return element(
        "th", element("span", str(number), class_="place"), " ", name, element("small", macs), scope="col"
    )


def _row(digest: str, seen: Sequence[dict[str, Explanation]]) -> list[Html]:
    first = next(looks[digest] for looks in seen if digest in looks)
    cells = [element("td", _seen(picture(first.picture, text=first.truth), first.truth, ""))]
    for looks in seen:
        look = looks.get(digest)
        if look is None:
            cells.append(element("td"))
            continue
        shown = picture(look.picture, text=f"{look.predicted}, with the evidence for it", over=look.map)
        kind = "right" if look.predicted == look.truth else "wrong"
        cells.append(
            element("td", _seen(shown, element("b", look.predicted), _share(look.confidence), kind=kind))
        )
    return cells
