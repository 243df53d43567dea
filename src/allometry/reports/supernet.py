"""The sections about a supernet: what it holds, and how its networks learned over the phases of the training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from allometry.arch import Network
from allometry.arch.any_space import AnyMember
from allometry.base.units import format_duration, plural
from allometry.cost import MACS, count
from allometry.reports.figures import BLUE, IN_PERCENT, ORANGE, Trace, axis, figure, legend
from allometry.reports.markup import Column, Html, Row, Section, element, note, number, table
from allometry.reports.words import NO_BREAK, networks_in, percent, whole
from allometry.runs import RunRecord, SupernetEpochMetrics, SupernetRecord
from allometry.runs.phases import ALL, Phase

_TEACHERS = {
    "none": "labels",
    "largest": "labels, largest network",
    "average": "labels, largest of the average",
    "itself": "labels, largest of the step",
}
_TICKS = 10
_BAND = "rgba(133, 140, 150, 0.10)"


def supernet_request(record: RunRecord, supernet: SupernetRecord, on: str) -> str:
    """What was asked for, as a sentence."""
    space = str(record.arguments.get("space") or "a space")
    size = f", {networks_in(supernet.size)}," if supernet.size is not None else ""
    return f"You asked for one set of weights for all networks of {space}{size}{on}."


def supernet_result(supernet: SupernetRecord) -> str:
    """What came of it, as a sentence or two."""
    ends = _ends(supernet)
    if not ends:
        return "There is no space yet."
    (large, right), (small, also) = (
        (MACS.describe(count(network).macs), accuracy) for _, network, accuracy in ends
    )
    if right is None or also is None:
        sentence = f"Its largest network needs {large} for one image, its smallest {small}."
    else:
        sentence = (
            f"Its largest network needs {large} for one image and classifies {percent(right)} of the validation images "
            f"correctly, its smallest {small} and {percent(also)}."
        )
    searched = supernet.subnets
    if not searched:
        return sentence
    return f"{sentence} {plural(len(searched), 'subnet was', 'subnets were')} found for budgets so far."


def supernet_metrics(record: RunRecord, supernet: SupernetRecord) -> Iterator[tuple[str, str, str]]:
    """The tiles: name, value and what is below it."""
    if supernet.size is not None:
        yield "networks", networks_in(supernet.size).removeprefix("about "), "in one set of weights"
    for name, network, accuracy in _ends(supernet):
        macs = MACS.describe(count(network).macs)
        if accuracy is None:
            yield f"{name} network", MACS.format(count(network).macs), "MACs"
        else:
            yield f"{name} network", percent(accuracy), f"of validation images, {macs}"
    if record.costs:
        seconds = record.seconds
        trained = sum(entry.seconds for entry in record.costs if entry.phase == "supernet")
        rest = f"the training {format_duration(trained)} of it" if trained < seconds else "the training"
        yield "cost", format_duration(seconds), rest


def _ends(supernet: SupernetRecord) -> list[tuple[str, AnyMember, float | None]]:
    """The largest and the smallest network that were trained, with their validation accuracies."""
    if supernet.space is None:
        return []
    last = supernet.last
    smallest = (supernet.smallest(last.phase) if last else None) or supernet.space.smallest()
    return [
        ("largest", supernet.space.largest(), last.largest if last else None),
        ("smallest", smallest, last.smallest if last else None),
    ]


def supernet_section(record: RunRecord, *, prefix: str) -> Section | None:
    """The space, its largest and smallest network, and how they learned."""
    supernet = record.supernet
    if supernet is None:
        return None
    content = list(_space(supernet))
    if supernet.history:
        content += [
            element("h3", "Over the epochs of all phases"),
            legend([("line", BLUE, "the largest network"), ("line", ORANGE, "the smallest of the phase")]),
            _curves(f"{prefix}-phases", supernet.history),
            note(_reading(supernet)),
        ]
    if supernet.phases:
        content += [element("h3", "The phases"), *_phases(supernet)]
    return Section("supernet", "The supernet", content) if content else None


def _space(supernet: SupernetRecord) -> Iterator[Html]:
    ends = _ends(supernet)
    if supernet.size is None or not ends:
        return
    coupled = " in which width follows depth" if supernet.coupled else ""
    yield element("p", f"Its weights hold {whole(supernet.size)} networks{coupled}. These are its ends:")
    rows = []
    for name, network, accuracy in ends:
        cost = count(network)
        rows.append(
            Row(
                [
                    name,
                    whole(network.resolution),
                    whole(network.depth) if isinstance(network, Network) else "",
                    whole(cost.params),
                    whole(cost.macs),
                    whole(cost.activations) if cost.activations else "",
                    "" if accuracy is None else percent(accuracy),
                ]
            )
        )
    titles = ("input, px", "layers", "parameters", "MACs", "activations", "validation accuracy")
    yield table([Column("network"), *(number(title) for title in titles)], rows)


def _curves(name: str, epochs: Sequence[SupernetEpochMetrics]) -> Html:
    bands, labels = _bands(epochs)
    return figure(
        name,
        [_line(epochs, "largest", BLUE), _line(epochs, "smallest", ORANGE)],
        height=360,
        label="Validation accuracy of the largest and the smallest network over all epochs",
        hovermode="x unified",
        margin={"l": 8, "r": 16, "t": 30, "b": 8},
        shapes=bands,
        annotations=labels,
        xaxis=axis("epoch, over all phases", tick0=0, dtick=_step(len(epochs)), showgrid=False),
        yaxis=axis("validation accuracy", nticks=7, **IN_PERCENT),
    )


def _step(epochs: int) -> int:
    """Between two ticks: 1, 2 or 5 epochs, or ten times such, for ten ticks at most."""
    steps = (step * tens for tens in (1, 10, 100, 1000, 10_000) for step in (1, 2, 5))
    return next(step for step in steps if epochs <= _TICKS * step)


def _line(epochs: Sequence[SupernetEpochMetrics], which: str, color: str) -> Trace:
    """One line; that of the smallest is broken between phases, since it is another network in each."""
    places: list[float] = []
    values: list[float | None] = []
    for place, epoch in enumerate(epochs, start=1):
        if which == "smallest" and place > 1 and epochs[place - 2].phase != epoch.phase:
            places, values = [*places, place - 0.5], [*values, None]
        places.append(place)
        values.append(round(100 * getattr(epoch, which), 4))
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": which,
        "x": places,
        "y": values,
        "line": {"color": color, "width": 2.5},
        "marker": {"color": color, "size": 5},
        "hovertemplate": "%{y:.1f} %",
    }


def _bands(epochs: Sequence[SupernetEpochMetrics]) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Every second phase shaded, and the numbers of all above them."""
    shapes: list[dict[str, object]] = []
    labels: list[dict[str, object]] = []
    start = 0.5
    for turn, (phase, some) in enumerate(groupby(epochs, key=lambda epoch: epoch.phase)):
        end = start + len(list(some))
        if turn % 2:
            place = {"x0": start, "x1": end, "y0": 0, "y1": 1, "yref": "paper"}
            shapes.append(
                {"type": "rect", **place, "fillcolor": _BAND, "line": {"width": 0}, "layer": "below"}
            )
        labels.append(
            {
                "x": (start + end) / 2,
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "text": str(phase),
                "showarrow": False,
                "font": {"size": 12},
            }
        )
        start = end
    return (shapes, labels) if len(labels) > 1 else ([], [])


def _reading(supernet: SupernetRecord) -> str:
    alone = "Each network was taken out and given batch-norm statistics of its own before it was judged."
    if len({epoch.phase for epoch in supernet.history}) < 2:
        return alone
    return (
        "The numbers above are the phases. The smallest network is that of the phase, and another one wherever a phase "
        f"opens something smaller; there its line begins anew. {alone}"
    )


def _phases(supernet: SupernetRecord) -> list[Html]:
    columns = [
        number(""),
        Column("phase"),
        Column("opens"),
        number("subnets"),
        Column("learn from"),
        number("epochs"),
        number("lr_scale"),
        number("largest"),
        number("smallest"),
        number("its MACs"),
        number("time"),
    ]
    rows = [_phase(place, phase, supernet) for place, phase in enumerate(supernet.phases, start=1)]
    return [
        table(columns, rows),
        note(
            "subnets: in each step. rate: the highest learning rate, as a fraction of the recipe's. largest, smallest: "
            "validation accuracy of the phase's networks at its end, or so far."
        ),
    ]


def _phase(place: int, phase: Phase, supernet: SupernetRecord) -> Row:
    done = [epoch for epoch in supernet.history if epoch.phase == place]
    last = done[-1] if done else None
    seconds = [epoch.seconds for epoch in done]
    smallest = supernet.smallest(place)
    notes = [
        *(["sandwich"] if phase.sampling == "sandwich" else []),
        *(["each its own size"] if phase.image_size == "subnet" else []),
    ]
    drawn = f" ({', '.join(notes)})" if notes else ""
    return Row(
        [
            str(place),
            phase.name.replace(" ", NO_BREAK),
            _opened(phase, supernet.phases[place - 2] if place > 1 else None),
            f"{phase.subnets}{drawn}",
            _learns_from(phase),
            f"{phase.epochs}" if len(done) == phase.epochs else f"{len(done)} of {phase.epochs}",
            percent(phase.lr_scale, digits=0),
            percent(last.largest) if last else "",
            percent(last.smallest) if last else "",
            MACS.format(count(smallest).macs) if smallest else "",
            format_duration(sum(seconds)) if seconds else "",
        ]
    )


def _learns_from(phase: Phase) -> str:
    """Labels, a teacher, or both; of a sandwich that learns from answers alone, too, who has the labels."""
    if phase.distillation_weight != 1:
        return _TEACHERS[phase.teacher]
    teacher = _TEACHERS[phase.teacher].removeprefix("labels, ")
    return f"{teacher}; itself labels" if phase.teacher == "itself" else teacher


def _opened(phase: Phase, before: Phase | None) -> str:
    """What a phase opens, in words: `depth (2 largest)` where only the largest options are open."""
    known = before.elastic if before else {}
    words = [
        name if most == ALL else f"{name} ({most} largest)"
        for name, most in phase.elastic.items()
        if most != 1 and known.get(name) != most
    ]
    closed = [f"{name} closed" for name in known if phase.elastic.get(name, 1) == 1]
    return ", ".join(words + closed) or ("nothing more" if before else "nothing")
