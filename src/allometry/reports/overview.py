"""The head of a report: the run in one paragraph, its key figures, and what was asked for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from allometry.base.units import plural
from allometry.cost import MACS, PARAMS, count
from allometry.cost.measures import more_measures, recorded_measure
from allometry.reports.markup import Column, Html, Row, Section, details, element, facts, joined, note, table
from allometry.reports.networks import costs_of
from allometry.reports.supernet import supernet_metrics, supernet_request, supernet_result
from allometry.reports.words import (
    NO_BREAK,
    TIMES,
    listed,
    moment,
    percent,
    percent_range,
    whole,
)
from allometry.runs import DataSummary, Evaluation, ExtractResult, MultiLabelEvaluation, RunRecord

# How a run folder remembers a value: by its name and the digest of its content.
_VALUE = re.compile(r"[^/]+@[0-9a-f]{32}")


def extract_request(extracted: ExtractResult, on: str) -> str:
    """What was asked for, as a sentence."""
    budget = f" within {extracted.budget}" if extracted.budget else ""
    further = f", fine-tuned for {plural(extracted.epochs, 'epoch')}" if extracted.epochs else ""
    return f"You asked for a subnet{budget} of the supernet {PurePath(extracted.supernet).name}{on}{further}."


def origin_section(record: RunRecord) -> Section | None:
    """The supernet, and what the subnet was worth when it came out of it."""
    extracted = record.result
    if not isinstance(extracted, ExtractResult):
        return None
    content = [element("p", _sentence(extracted)), facts(_origin_facts(extracted))]
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
        f"It was taken out of a supernet and fine-tuned for {plural(extracted.epochs, 'epoch')}. On the "
        f"validation images that brought it from {percent(extracted.extracted_accuracy)} to "
        f"{percent(extracted.validation_accuracy)}."
    )


def _origin_facts(extracted: ExtractResult) -> Iterator[tuple[str, str]]:
    yield "supernet", extracted.supernet
    if extracted.budget:
        yield "found for", extracted.budget
    if extracted.predicted_accuracy is not None:
        yield "predicted", f"{percent(extracted.predicted_accuracy)} of the validation images"
    yield "as taken out", f"{percent(extracted.extracted_accuracy)} of the validation images"
    for name, value in extracted.cost.readings.items():
        measure = recorded_measure(name)
        yield measure.label, f"{measure.format(value)}, measured when it was found"


# Where the command line says it in another way than the run folder.
_POSITIONAL = {"network", "space", "supernet", "subnet"}
_GROWN = {"run"}
_OPTIONS = {"settings": "set", "plan": "phases", "start": "from"}
_OF_SUPERNET = {"data", "seed"}
_JOINED = {"alphas", "gammas"}
_SWITCHED_OFF = {"halving"}


def summary(record: RunRecord) -> Html:
    """The run in one paragraph of plain language."""
    sentences = [_request(record), _result(record)]
    return element("p", " ".join(sentence for sentence in sentences if sentence), class_="summary")


def unfinished(record: RunRecord) -> Html:
    """A sentence that says so where the run has not finished."""
    if record.finished:
        return Html()
    return element(
        "p",
        element("b", "This run has not finished."),
        " The page shows what there is so far; "
        "the same command with the same folder goes on where it stopped.",
        class_="warning",
    )


def damaged(record: RunRecord) -> Html:
    """What of the run could not be read, where anything."""
    if not record.damaged:
        return Html()
    return element(
        "p", element("b", "Files of this run are damaged."), " ", " ".join(record.damaged), class_="warning"
    )


def key_metrics(record: RunRecord) -> Html:
    """The few numbers that everyone looks for first."""
    tiles = [
        element("div", element("dt", name), element("dd", value), element("small", more))
        for name, value, more in _key_metrics(record)
    ]
    return element("dl", *tiles, class_="tiles") if tiles else Html()


def _key_metrics(record: RunRecord) -> Iterator[tuple[str, str, str]]:
    if record.supernet is not None:
        yield from supernet_metrics(record, record.supernet)
        return
    evaluation, network = record.evaluation or record.label_evaluation, record.network
    last = record.history[-1] if record.history else None
    if evaluation is not None:
        yield f"{evaluation.split} {record.metric}", percent(evaluation.accuracy), _interval(evaluation)
    elif last is not None:
        yield f"validation {record.metric}", percent(last.val_accuracy), f"after epoch {last.epoch}"
    if network is not None:
        cost, used = count(network), _budget_shares(record)
        for measure in (MACS, PARAMS):
            value = measure.format(cost[measure])
            yield measure.label, value, used.get(measure.name, "for one image" if measure == MACS else "")
        for measure in more_measures():
            if measure.name in used:
                yield measure.label, measure.format(costs_of(record)[measure.name]), used[measure.name]
        side = f"{network.resolution} {TIMES} {network.resolution}"
        yield "input", side, "pixels"


def _interval(evaluation: Evaluation | MultiLabelEvaluation) -> str:
    return percent_range(evaluation.interval)


def _budget_shares(record: RunRecord) -> dict[str, str]:
    costs, limits = costs_of(record), record.plan.budget if record.plan else ()
    return {
        limit.measure.name: f"{percent(limit.use(costs[limit.measure.name]))} of the limit"
        for limit in limits
        if limit.measure.name in costs
    }


def _request(record: RunRecord) -> str:
    data = record.data.name if record.data and record.data.name else str(record.arguments.get("data") or "")
    on = f" on {data}" if data else ""
    if record.supernet is not None:
        return supernet_request(record, record.supernet, on)
    if isinstance(record.result, ExtractResult):
        return extract_request(record.result, on)
    if record.command == "grow":
        run, budget = (record.arguments.get(name) for name in ("run", "budget"))
        training = f", and to train it{on}" if record.arguments.get("trained") else ""
        return f"You asked to bring the network of {run} to {budget} with what it has learned{training}."
    if pretrained := record.arguments.get("pretrained") if record.command == "run" else None:
        known = f"the network of {pretrained}"
        if baseline := record.arguments.get("baseline"):
            known = f"{baseline} with the weights {pretrained}"
        return f"You asked to bring {known} to {record.arguments.get('budget')} and to train it{on}."
    limits = record.plan.budget if record.plan else ()
    if limits:
        most = listed([limit.measure.describe(limit.most) for limit in limits if limit.measure.sign > 0])
        least = listed([limit.measure.describe(limit.most) for limit in limits if limit.measure.sign < 0])
        bounds = listed([f"at {word} {text}" for word, text in (("most", most), ("least", least)) if text])
        baseline = record.arguments.get("baseline")
        grown = f", grown from {baseline}" if baseline else ""
        return f"You asked for {bounds}{on}{grown}."
    return f"You asked to {record.command or 'train'} a network{on}."


def _result(record: RunRecord) -> str:
    if record.supernet is not None:
        return supernet_result(record.supernet)
    parts = []
    if record.network is not None:
        cost = count(record.network)
        side = record.network.resolution
        parts.append(f"looks at {side} {TIMES} {side} pixels")
        parts.append(f"has {PARAMS.describe(cost.params)}")
        parts.append(f"needs {MACS.describe(cost.macs)} for one image")
    evaluation = record.evaluation or record.label_evaluation
    if evaluation is not None:
        parts.append(_accuracy(evaluation))
    if not parts:
        return "There is no network yet."
    subject = "The network found" if record.plan else "The network"
    return f"{subject} {listed(parts)}."


def _accuracy(evaluation: Evaluation | MultiLabelEvaluation) -> str:
    seen = "unseen test" if evaluation.split == "test" else evaluation.split
    of = f"{whole(evaluation.images)} {seen} images"
    if isinstance(evaluation, MultiLabelEvaluation):
        reached = percent(evaluation.mean_average_precision)
        return f"reaches a mean average precision of {reached} ({_interval(evaluation)}) on {of}"
    return f"classifies {percent(evaluation.accuracy)} ({_interval(evaluation)}) of {of} correctly"


def request_section(record: RunRecord) -> Section:
    """The command, the data and the machine."""
    content = [element("pre", element("code", command_line(record)))] if record.command else []
    values = [name for name, value in record.arguments.items() if _VALUE.fullmatch(str(value))]
    if values:
        content.append(note(f"Given in Python, as values: {listed(values)}."))
    content.append(facts(_facts(record)))
    content += [note(f"Look at this: {remark}.") for remark in (record.data.remarks if record.data else ())]
    if record.data and record.data.rejected:
        content.append(_rejected(record.data))
    return Section("asked", "What was asked", content)


def command_line(record: RunRecord) -> str:
    """The command that made the run, as one would type it.

    Example:
        >>> from pathlib import Path
        >>> arguments = {"data": "icons", "budget": "macs <= 10.0M", "resume": True, "law": None}
        >>> command_line(RunRecord(folder=Path("x"), name="x", command="run", arguments=arguments))
        "allometry run --data icons --budget 'macs <= 10.0M' --resume"
    """
    words = ["allometry", *record.command.split()]
    positional = _GROWN if record.command == "grow" else _POSITIONAL
    for name, value in _typed(record).items():
        words += [str(value)] if name in positional and value is not None else _option(name, value)
    return shlex.join(words)


def _typed(record: RunRecord) -> Mapping[str, Any]:
    """The arguments as they are given; what is 0 and means the default is left out, as is what the supernet decides."""
    given = {name: value for name, value in record.arguments.items() if (name, value) != ("epochs", 0)}
    if record.command == "grow":  # the origin's images are known where nothing was trained
        untold = {"trained"} if given.get("trained") else {"trained", "data"}
        return {name: value for name, value in given.items() if name not in untold}
    if record.command != "supernet extract":
        return given
    own = {name: value for name, value in given.items() if name not in _OF_SUPERNET}
    return own | {"subnet": str(record.folder / "network.json")}


def _option(name: str, value: object) -> list[str]:
    option = f"--{_OPTIONS.get(name, name).replace('_', '-')}"
    if value is False and name in _SWITCHED_OFF:
        return [f"--no-{name}"]
    if value is None or value is False:
        return []
    if name in _JOINED and isinstance(value, list | tuple):
        return [option, ",".join(f"{number:g}" for number in value)]
    if value is True:
        return [option]
    if isinstance(value, Mapping):
        return [word for key, item in value.items() for word in (option, f"{key}={item}")]
    if isinstance(value, list | tuple):
        return [word for item in value for word in (option, str(item))]
    return [option, str(value)]


def _facts(record: RunRecord) -> Iterator[tuple[str, str]]:
    if record.data is not None:
        yield from _data_facts(record.data)
    if record.seed is not None:
        yield "seed", str(record.seed)
    if record.device:
        yield "device", record.device
    if record.versions:
        versions = (f"{library}{NO_BREAK}{version}" for library, version in record.versions.items())
        yield "versions", ", ".join(versions)
    if record.started:
        until = f" to {moment(record.finished)}" if record.finished else ", not finished"
        yield "time", moment(record.started) + until


def _data_facts(data: DataSummary) -> Iterator[tuple[str, str]]:
    yield "data", data.name
    parts = ", ".join(f"{whole(images)} {split}" for split, images in data.images.items())
    yield "images", f"{whole(sum(data.images.values()))}: {parts}"
    if data.groups:
        parts = ", ".join(f"{whole(groups)} {split}" for split, groups in data.groups.items())
        way = f", by {' and '.join(data.grouped_by)}" if data.grouped_by else ""
        yield "groups", f"{parts}{way}; each is in one split"
    train = data.per_class.get("train")
    sizes = f", of {whole(train.least)} to {whole(train.most)} training images each" if train else ""
    yield "classes", f"{whole(len(data.classes))}{sizes}"
    colors = {1: ", gray", 3: ", color"}.get(data.channels, "")
    yield "image", f"{data.image_size} {TIMES} {data.image_size} pixels{colors}"


def _rejected(data: DataSummary) -> Html:
    shown = data.rejected[:200]
    rows = [Row([file.path, file.reason]) for file in shown]
    left = len(data.rejected) - len(shown)
    more = element("p", f"and {whole(left)} more") if left else Html()
    what = f"{plural(len(data.rejected), 'file')} left out"
    return details(what, joined([table([Column("file"), Column("reason")], rows), more]))
