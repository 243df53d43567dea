"""The predictor of a supernet's accuracies: fitted to what was measured, judged by what was held out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from allometry.base import InputError
from allometry.base.files import write_json
from allometry.nas import Encodings
from allometry.supernets.attainable import attainable_tau
from allometry.supernets.fitting import fit_predictor
from allometry.supernets.opened import OpenSupernet
from allometry.supernets.predictor import Predictor
from allometry.supernets.predictor_quality import (
    MIN_TAU,
    PredictorQuality,
    evaluate_predictor,
    refuse_unreliable,
)
from allometry.supernets.subnet_accuracy import (
    announce,
    correct_counts,
    measure_subnets,
    record_looks,
    sample_subnets,
)

PREDICTOR, JUDGMENT = "predictor.safetensors", "predictor.json"
_FEWEST = 20  # measured subnets from which it is told what their images allow


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorConfig:
    """How many subnets are measured, and what a predictor of them must be worth.

    Attributes:
        subnets: measured to fit the predictor; those that were measured in earlier calls count.
        held_out: measured besides to judge it.
        least_tau: Kendall's tau on those; below it nothing is searched.

    Raises:
        InputError: a number is out of its range.
    """

    subnets: int = 300
    held_out: int = 100
    least_tau: float = MIN_TAU

    def __post_init__(self) -> None:
        if self.subnets < 20 or self.held_out < 10:
            raise InputError(
                f"A predictor takes at least 20 measured subnets and 10 to judge it by, not {self.subnets} and "
                f"{self.held_out}."
            )
        if not -1 <= self.least_tau <= 1:
            raise InputError(f"least_tau must be a number from -1 to 1, not {self.least_tau}.")


def predictor_for(opened: OpenSupernet, how: PredictorConfig) -> tuple[Predictor, PredictorQuality]:
    """Measure what is not measured yet, fit, judge, and write both down.

    The subnets held out are the first of those drawn, so that they stay the same when more are measured.

    Raises:
        InputError: the predictor is not worth the name; the message says how far it is from that.
        Stopped: the user asked for it; what was measured stays.
    """
    rows = sample_subnets(opened, how.held_out + how.subnets)
    announce(opened, rows)
    accuracies = measure_subnets(opened, rows)
    record_looks(opened)
    began = time.monotonic()
    held, fitted = slice(None, how.held_out), slice(how.held_out, None)
    predictor = fit_predictor(opened.space, rows[fitted], accuracies[fitted], seed=opened.session.seed)
    found = replace(
        evaluate_predictor(predictor, rows[held], accuracies[held]), attainable=_attainable(opened, rows)
    )
    folder = opened.session.run.path
    predictor.save(folder / PREDICTOR)
    write_json(folder / JUDGMENT, _described(found, fitted=len(rows) - how.held_out))
    opened.session.progress.say(
        f"predictor: Kendall tau {found.tau:.2f} on {found.number} subnets held out, off by "
        f"{100 * found.mean_absolute_error:.2f} points in the mean{_most(found)}"
    )
    opened.session.run.charge(
        "predict", f"{len(rows) - how.held_out} subnets", seconds=time.monotonic() - began
    )
    refuse_unreliable(found, least_tau=how.least_tau)
    return predictor, found


def _attainable(opened: OpenSupernet, rows: Encodings) -> float | None:
    rights = correct_counts(opened, rows)
    return attainable_tau(rights) if len(rights) >= _FEWEST else None


def _most(judgment: PredictorQuality) -> str:
    if judgment.attainable is None:
        return ""
    return f"; accuracies on so many images allow a tau of about {judgment.attainable:.2f}"


def _described(judgment: PredictorQuality, *, fitted: int) -> Mapping[str, Any]:
    fields = asdict(judgment)
    return {**fields, "bins": [bin_._asdict() for bin_ in judgment.bins], "fitted": fitted}
