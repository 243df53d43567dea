"""A run as a model card: the README.md of its repository on the Hugging Face hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from allometry.base.text import first_few, printable
from allometry.base.units import format_quantity
from allometry.reports.words import whole
from allometry.runs import Evaluation, Interval, MultiLabelEvaluation, RunRecord

_LISTED_CLASSES = 50
_TOP = 5
_MARKUP = re.compile(r"[\\`*\[\]<>|]")


def model_card(record: RunRecord, *, repo: str, license: str) -> str:  # noqa: A002 - the hub's word
    """The card in Markdown, with the front matter by which the hub files it.

    Args:
        record: the run; its network is trained.
        repo: where it goes, `owner/name`.
        license: of the weights, as the hub knows it, such as `apache-2.0`.

    Example:
        >>> from pathlib import Path
        >>> from allometry.catalog import get
        >>> record = RunRecord(folder=Path("runs/a"), name="a", network=get("efficientnet-b0"))
        >>> model_card(record, repo="me/birds", license="mit").splitlines()[:3]
        ['---', 'license: "mit"', 'library_name: "allometry"']
    """
    parts = [
        "\n".join(_front_matter(record, repo=repo, license=license)),
        f"# {repo.partition('/')[2]}",
        _about(record),
        _metrics(record.evaluation or record.label_evaluation),
        _USE.format(repo=repo),
        _classes(record),
        _training(record),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_USE = """## How to use it

```python
import allometry  # pip install 'allometry[hub]'

run = allometry.from_hub("{repo}")
run.predict("image.jpg")  # the most probable classes
run.module()  # the torch module, in evaluation mode
```

It holds weights as safetensors and JSON; nothing in it is executed. With `pretrained="hf://{repo}"`, a training starts
from these weights."""


def _front_matter(record: RunRecord, *, repo: str, license: str) -> Iterator[str]:  # noqa: A002
    """YAML, of which JSON is a part: so every text is quoted as it must be."""
    yield "---"
    yield f"license: {json.dumps(license)}"
    yield 'library_name: "allometry"'
    yield 'pipeline_tag: "image-classification"'
    yield f"tags: {json.dumps(['allometry', 'image-classification'])}"
    evaluation = record.evaluation or record.label_evaluation
    if evaluation is not None:
        data = record.data.name if record.data is not None else "unknown"
        metrics = [
            {
                "type": record.metric.replace(" ", "_"),
                "name": f"{record.metric} ({_interval(evaluation)})",
                "value": evaluation.accuracy,
            },
            {"type": "loss", "name": "cross-entropy", "value": evaluation.loss},
        ]
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"name": data, "type": data, "split": evaluation.split},
            "metrics": metrics,
        }
        yield f"model-index: {json.dumps([{'name': repo.partition('/')[2], 'results': [result]}], ensure_ascii=False)}"
    yield "---"


def _interval(evaluation: Evaluation | MultiLabelEvaluation) -> str:
    low, high = evaluation.interval
    return f"95% interval {low:.1%} to {high:.1%}, {evaluation.counted}"


def _about(record: RunRecord) -> str:
    network, cost = record.network, record.cost
    if network is None or cost is None:
        return ""
    color = {1: "gray", 3: "color"}.get(network.in_channels, f"{network.in_channels}-channel")
    return (
        f"An image classifier, {network.name or 'a network'}: {format_quantity(cost.params)} params, "
        f"{format_quantity(cost.macs)} MACs for a {color} image of {network.resolution} x {network.resolution} px, "
        f"{network.head.classes} classes."
    )


def _metrics(evaluation: Evaluation | MultiLabelEvaluation | None) -> str:
    if evaluation is None:
        return ""
    if isinstance(evaluation, MultiLabelEvaluation):
        precision = evaluation.mean_average_precision
        rows = [
            ("mean average precision", precision, evaluation.interval),
            ("all labels right", evaluation.exact, evaluation.exact_interval),
        ]
        return _table(evaluation, rows)
    rows = [
        ("accuracy", evaluation.accuracy, evaluation.interval),
        *(
            [("top-5 accuracy", evaluation.top5, evaluation.top5_interval)]
            if len(evaluation.classes) > _TOP
            else []
        ),
        ("balanced accuracy", evaluation.balanced_accuracy, evaluation.balanced_interval),
        ("calibration error", evaluation.calibration_error, evaluation.calibration_interval),
    ]
    return _table(evaluation, rows)


def _table(evaluation: Evaluation | MultiLabelEvaluation, rows: Sequence[tuple[str, float, Interval]]) -> str:
    table = "\n".join(
        f"| {name} | {value:.1%} | {low:.1%} to {high:.1%} |" for name, value, (low, high) in rows
    )
    split = f"the {evaluation.counted} of the {evaluation.split} split"
    return (
        f"## How good it is\n\nOn {split}, which nothing was chosen by:\n\n"
        f"| | | 95 % interval |\n| --- | ---: | --- |\n{table}\n\nOn images of another kind it may be worse."
    )


def _classes(record: RunRecord) -> str:
    names = record.data.classes if record.data is not None else ()
    return f"## Classes\n\n{first_few([_code(name) for name in names], _LISTED_CLASSES)}." if names else ""


def _training(record: RunRecord) -> str:
    lines = []
    if record.data is not None:
        images = ", ".join(f"{whole(number)} {name}" for name, number in record.data.images.items())
        lines.append(f"- data: {_plain(record.data.name)} ({images} images)")
        if record.data.groups:
            groups = ", ".join(f"{whole(number)} {name}" for name, number in record.data.groups.items())
            way = f", by {_plain(' and '.join(record.data.grouped_by))}" if record.data.grouped_by else ""
            lines.append(f"- groups of images: {groups}{way}; each is in one split")
        lines += [f"- of the data: {_plain(remark)}" for remark in record.data.remarks]
    if record.recipe:
        lines.append(f"- recipe: {record.recipe.get('epochs')} epochs, all of it in `recipe.json`")
    version = record.versions.get("allometry")
    lines.append(f"- made by `allometry {record.command}`{f', version {version}' if version else ''}")
    return "## How it was trained\n\n" + "\n".join(lines)


def _plain(text: str) -> str:
    """Text, names of files in it among others, of which nothing is Markdown."""
    return _MARKUP.sub(r"\\\g<0>", printable(text))


def _code(name: str) -> str:
    """A name as code, between more backquotes than it has, so that nothing of it is Markdown."""
    if "`" not in name:
        return f"`{name}`"
    fence = "`" * (max(map(len, re.findall("`+", name))) + 1)
    return f"{fence} {name} {fence}"
