"""`allometry evaluate`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from allometry.cli.options import Device, Group, Json, Run
from allometry.cli.printing import print_json, print_rows

if TYPE_CHECKING:
    from allometry.runs import Evaluation, Interval, MultiLabelEvaluation


_WORST = 5


def evaluate(
    run: Run,
    *,
    data: Annotated[
        str | None, typer.Option("--data", metavar="D", help="By default the data the run was trained on.")
    ] = None,
    group: Group = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split", help="train, val or test; by default test, or all of other data without a test part."
        ),
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Judge a trained run: accuracy, calibration and each class, with intervals.

    Example: `allometry evaluate runs/icons-10M --split val`
    """
    from allometry.runs import Evaluation
    from allometry.verbs.evaluate import evaluate as evaluate_run

    evaluation = evaluate_run(run, data=data, group=group, split=split, device=device)
    title = f"{run}: {evaluation.split}, {evaluation.counted}; in brackets 95 % intervals"
    if not isinstance(evaluation, Evaluation):
        print_json(evaluation.to_dict()) if as_json else print_rows(title, _label_rows(evaluation))
        return
    if as_json:
        without = [replace(mistake, thumbnail="") for mistake in evaluation.mistakes]
        print_json(replace(evaluation, mistakes=tuple(without)).to_dict())
        return
    print_rows(title, _rows(evaluation))


def _label_rows(evaluation: MultiLabelEvaluation) -> dict[str, str]:
    low, high = evaluation.loss_interval
    known = [
        (one.average_precision, one) for one in evaluation.per_class if one.average_precision is not None
    ]
    worst = sorted(known, key=lambda pair: (pair[0], -pair[1].images))[:_WORST]
    return {
        "mean average precision": _fraction(evaluation.mean_average_precision, evaluation.interval),
        "all labels right": _fraction(evaluation.exact, evaluation.exact_interval),
        "mean F1": f"{evaluation.f1:7.2%}",
        "log loss": f"{evaluation.loss:7.4f} ({low:.4f} to {high:.4f})",
        "worst labels": ", ".join(f"{one.name} {value:.0%} of {one.images}" for value, one in worst),
    }


def _fraction(value: float, interval: Interval) -> str:
    low, high = interval
    return f"{value:7.2%} ({low:.2%} to {high:.2%})"


def _rows(evaluation: Evaluation) -> dict[str, str]:
    low, high = evaluation.loss_interval
    known = [(one.accuracy, one) for one in evaluation.per_class if one.accuracy is not None]
    worst = [one for _, one in sorted(known, key=lambda pair: (pair[0], -pair[1].images))[:_WORST]]
    five = {"top-5 accuracy": _fraction(evaluation.top5, evaluation.top5_interval)}
    return {
        "accuracy": _fraction(evaluation.accuracy, evaluation.interval),
        **(five if len(evaluation.classes) > _WORST else {}),
        "balanced accuracy": _fraction(evaluation.balanced_accuracy, evaluation.balanced_interval),
        "calibration error": f"{_fraction(evaluation.calibration_error, evaluation.calibration_interval)}; "
        f"chance alone gives {evaluation.calibration_by_chance:.2%}",
        "log loss": f"{evaluation.loss:7.4f} ({low:.4f} to {high:.4f})",
        "Brier score": f"{evaluation.brier:7.4f}",
        "worst classes": ", ".join(f"{one.name} {one.accuracy:.0%} of {one.images}" for one in worst),
    }
