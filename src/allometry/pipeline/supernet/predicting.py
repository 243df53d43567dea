"""The predictor of a supernet's accuracies: fitted to what was measured, judged by what was held out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from allometry.base import InputError
from allometry.base.files import write_json
from allometry.pipeline.supernet.looking import announce, charge_looks, drawn, measured, rights_of
from allometry.pipeline.supernet.opening import OpenSupernet
from allometry.search import Rows
from allometry.supernet import (
    MIN_TAU,
    Judgment,
    Predictor,
    attainable_tau,
    fit_predictor,
    judge,
    refuse_unreliable,
)

PREDICTOR, JUDGMENT = "predictor.safetensors", "predictor.json"
_FEWEST = 20  # measured subnets from which it is told what their images allow


@dataclass(frozen=True, slots=True, kw_only=True)
class LookSettings:
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


def predictor_for(opened: OpenSupernet, how: LookSettings) -> tuple[Predictor, Judgment]:
    """Measure what is not measured yet, fit, judge, and write both down.

    The subnets held out are the first of those drawn, so that they stay the same when more are measured.

    Raises:
        InputError: the predictor is not worth the name; the message says how far it is from that.
        Stopped: the user asked for it; what was measured stays.
    """
    rows = drawn(opened, how.held_out + how.subnets)
    announce(opened, rows)
    accuracies = measured(opened, rows)
    charge_looks(opened)
    began = time.monotonic()
    held, fitted = slice(None, how.held_out), slice(how.held_out, None)
    predictor = fit_predictor(opened.space, rows[fitted], accuracies[fitted], seed=opened.session.seed)
    found = replace(judge(predictor, rows[held], accuracies[held]), attainable=_attainable(opened, rows))
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


def _attainable(opened: OpenSupernet, rows: Rows) -> float | None:
    rights = rights_of(opened, rows)
    return attainable_tau(rights) if len(rights) >= _FEWEST else None


def _most(judgment: Judgment) -> str:
    if judgment.attainable is None:
        return ""
    return f"; accuracies on so many images allow a tau of about {judgment.attainable:.2f}"


def _described(judgment: Judgment, *, fitted: int) -> Mapping[str, Any]:
    fields = asdict(judgment)
    return {**fields, "bins": [bin_._asdict() for bin_ in judgment.bins], "fitted": fitted}
