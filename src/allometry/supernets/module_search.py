"""What the members of a module's supernet cost, and the best of few members by measuring all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from allometry.arch import ModuleSpace
from allometry.base import BudgetError
from allometry.cost import MACS, PARAMS, Budget, LatencyTable, Measure
from allometry.nas import Encoding, Encodings
from allometry.nas.module_costs import ModuleCosts
from allometry.nas.proposals import EncodingFilter
from allometry.supernets.accuracy_predictor import measure_subnets, record_measurements
from allometry.supernets.opened import OpenSupernet
from allometry.supernets.pareto import Front
from allometry.supernets.specialize import Specialized

Values = npt.NDArray[np.float64]


class SubnetCosts(Protocol):
    """What very many subnets cost, whatever they are subnets of."""

    def __call__(self, encodings: Encodings, measures: Iterable[Measure] = ()) -> Mapping[str, Values]:
        """Each measure of these encodings by its name, [N]."""

    def of(self, encoding: Encoding) -> Mapping[str, float]:
        """The measures of one encoding."""

    def within(self, budget: Budget | None) -> EncodingFilter:
        """Which encodings keep the budget.

        Raises:
            BudgetError: something is limited that is not known of them.
        """


class Latencies(Protocol):
    """Predicts the latency of encodings [N, choices] in seconds, [N]."""

    def __call__(self, encodings: Encodings) -> Values:
        """The seconds of these encodings."""


@dataclass(frozen=True, slots=True)
class MemberCosts:
    """The costs of the members of a module's space.

    Attributes:
        space: of the members.
        latencies: what predicts their latency, where somebody asks for it.
    """

    space: ModuleSpace
    latencies: Latencies | None = None

    def __call__(self, encodings: Encodings, measures: Iterable[Measure] = ()) -> Mapping[str, Values]:
        """MACs and params, and the latency where something predicts it.

        Raises:
            BudgetError: another measure is asked for.
        """
        values = ModuleCosts(self.space)(encodings)
        if self.latencies is not None:
            values[LatencyTable.measure.name] = self.latencies(encodings)
        for measure in measures:
            if measure.name not in values:
                raise BudgetError(
                    f"Of a module's subnets {measure.name} is not counted: take {MACS.name}, {PARAMS.name} or "
                    f"{LatencyTable.measure.name}."
                )
        return values

    def of(self, encoding: Encoding) -> Mapping[str, float]:
        """The measures of one encoding."""
        return {name: float(values[0]) for name, values in self(encoding[None]).items()}

    def within(self, budget: Budget | None) -> EncodingFilter:
        """Which encodings keep the budget.

        Raises:
            BudgetError: something is limited that is not counted of a module.
        """
        limits = budget.limits if budget else ()
        self(np.zeros((1, len(self.space.choices)), np.int8), [limit.measure for limit in limits])

        def keeps(encodings: Encodings) -> npt.NDArray[np.bool_]:
            kept = np.ones(len(encodings), bool)
            values = self(encodings) if limits else {}
            for limit in limits:
                sign = limit.measure.sign
                kept &= sign * values[limit.measure.name] <= sign * limit.most
            return kept

        return keeps


def counted_part(budget: Budget | None) -> Budget | None:
    """What of a budget is no latency; None where nothing is left."""
    limits = [limit for limit in budget.limits if limit.measure != LatencyTable.measure] if budget else []
    return Budget(tuple(limits)) if limits else None


def is_small(space: object, most: int) -> bool:
    """Whether a module's space has so few members that all can be measured."""
    return isinstance(space, ModuleSpace) and space.size <= most


def best_of_all(opened: OpenSupernet, allows: EncodingFilter) -> Specialized:
    """The best of all allowed members by their validation accuracies; each is measured.

    Raises:
        BudgetError: none is allowed.
        Stopped: the user asked for it; what was measured stays.
    """
    encodings, accuracies = _measured(opened, allows)
    order = np.argsort(-accuracies, kind="stable")
    return Specialized(encodings[order], accuracies[order], len(encodings), ())


def front_of_all(opened: OpenSupernet, costs: SubnetCosts, measure: Measure, allows: EncodingFilter) -> Front:
    """The members than which none is both cheaper and better; each is measured.

    Raises:
        BudgetError: none is allowed.
        Stopped: the user asked for it; what was measured stays.
    """
    encodings, accuracies = _measured(opened, allows)
    values = costs(encodings, [measure])[measure.name]
    order = np.lexsort((-accuracies, values))
    best = np.maximum.accumulate(accuracies[order])
    order = order[np.concatenate([[True], accuracies[order][1:] > best[:-1]])]
    return Front(encodings[order], values[order], accuracies[order], len(encodings))


def _measured(opened: OpenSupernet, allows: EncodingFilter) -> tuple[Encodings, Values]:
    sizes = [len(choice.options) for choice in opened.space.choices]
    encodings = np.indices(sizes).reshape(len(sizes), -1).T.astype(np.int8)
    kept = encodings[allows(encodings)]
    if not len(kept):
        raise BudgetError(
            f"None of the {len(encodings)} subnets is within the limits. Raise them, or train a supernet of a smaller "
            "module."
        )
    opened.session.progress.say(
        f"{len(kept)} of {len(encodings)} subnets are within the limits: all are measured"
    )
    accuracies = measure_subnets(opened, kept)
    record_measurements(opened)
    return kept, accuracies
