"""What the networks of a space cost, before any of them is trained: counted exactly, or predicted by a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from allometry.arch import Space
from allometry.base import BudgetError, InputError
from allometry.cost import MEASURES, Budget, LatencyTable, Limit, Measure, RuntimeConfig
from allometry.cost.measures import COUNTED
from allometry.nas.encodings import Encoding, Encodings, encodings_of, sample_encodings
from allometry.nas.lookup import Costs, Latencies
from allometry.profiling import build_table
from allometry.training.session import Session

TABLE = "latency-table.json"
_LOOKED = 100_000  # random networks among which the cheapest is sought


class SpaceCosts:
    """Measures of very many networks of a space: those that are counted, and what a table predicts.

    Args:
        space: of the networks.
        table: of the space's blocks, or None where nobody asks for what it predicts.

    Raises:
        InputError: the space is too large for tables, or the latency table lacks a block.
    """

    def __init__(self, space: Space, table: LatencyTable | None) -> None:
        self.space, self.table = space, table
        self._costs = Costs(space)
        self._latencies = None if table is None else Latencies(space, table)

    def __call__(
        self, encodings: Encodings, measures: Iterable[Measure] = ()
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Each measure of these encodings by its name, [N]: all that are registered, and those given besides."""
        values = {name: own.astype(np.float64) for name, own in self._costs(encodings).items()}
        counts = SimpleNamespace(**values)
        for measure in (*MEASURES, *measures):
            if measure not in COUNTED and measure.count is not None:
                counted = np.asarray(measure.count(counts), np.float64)
                values[measure.name] = np.broadcast_to(counted, len(encodings))
        if self._latencies is not None:
            values[LatencyTable.measure.name] = self._latencies(encodings)
        return values

    def of(self, encoding: Encoding) -> Mapping[str, float]:
        """The measures of one encoding."""
        return {name: float(values[0]) for name, values in self(encoding[None]).items()}

    def within(self, budget: Budget | None) -> BudgetFilter:
        """Which encodings keep the budget.

        Raises:
            BudgetError: something is limited that is neither counted nor predicted by the table.

        Example:
            >>> from allometry.catalog import find_space
            >>> from allometry.cost import parse_budget
            >>> space = find_space("fbnet")
            >>> allowed = SpaceCosts(space, None).within(parse_budget("macs<=250M"))
            >>> allowed(encodings_of(space, [space.smallest(), space.largest()])).tolist()
            [True, False]
        """
        for measure in budget.measures if budget else ():
            if measure.count is None and (self.table is None or measure != self.table.measure):
                raise BudgetError(_unknown(measure))
        return BudgetFilter(self, budget)


def _unknown(measure: Measure) -> str:
    if measure == LatencyTable.measure:
        return f"The budget limits a {measure.name}: give a latency table, which predicts it."
    return (
        f"The budget limits the {measure.name}, which is measured network by network, and a space has too many: give "
        "the measure a count, too, which estimates it, or name it in the objective."
    )


class BudgetFilter:
    """Says which encodings keep a budget.

    Args:
        costs: of the encodings.
        budget: None allows all.
    """

    def __init__(self, costs: SpaceCosts, budget: Budget | None) -> None:
        self._costs, self._limits = costs, budget.limits if budget else ()
        self._budget = budget

    def __call__(self, encodings: Encodings) -> npt.NDArray[np.bool_]:
        """For each encoding, whether it is within every limit."""
        kept = np.ones(len(encodings), bool)
        if not self._limits:
            return kept
        values = self._costs(encodings, (limit.measure for limit in self._limits))
        for limit in self._limits:
            sign = limit.measure.sign
            kept &= sign * values[limit.measure.name] <= sign * limit.most
        return kept

    def fraction(self, *, seed: int) -> float:
        """About which fraction of the space keeps the budget.

        Raises:
            BudgetError: none of very many networks does; the message names the smallest values there are.
        """
        space = self._costs.space
        encodings = sample_encodings(space, np.random.default_rng(seed), _LOOKED, by="choice")
        encodings = np.concatenate([encodings_of(space, [space.smallest()]), encodings])
        kept = float(self(encodings).mean())
        if kept == 0:
            raise BudgetError(
                f"No network of {space.name or 'the space'} keeps {self._budget}: {self._least(encodings)}. Raise the "
                "limit, or give a space of smaller networks."
            )
        return kept

    def _least(self, encodings: Encodings) -> str:
        costs = self._costs(encodings, (limit.measure for limit in self._limits))

        def nearest(limit: Limit) -> str:
            measure, values = limit.measure, costs[limit.measure.name]
            extreme, value = ("least", values.min()) if measure.sign > 0 else ("most", values.max())
            return f"the {extreme} {measure.name} is {measure.format(float(value))}"

        return ", ".join(nearest(limit) for limit in self._limits)


def table_for(
    session: Session,
    space: Space,
    runtime_config: RuntimeConfig | None,
    table: LatencyTable | str | Path | None,
    *,
    file: str = TABLE,
) -> LatencyTable | None:
    """The latency table that a search needs: the one that is given, or one built in its folder.

    Args:
        session: of the search.
        space: whose blocks.
        runtime_config: how networks are run; None where nobody asks for a latency.
        table: a table or its file.
        file: what a table is called that is built.

    Raises:
        InputError: the table is of another runtime configuration, or there is nothing to use it for.
    """
    shown = "" if isinstance(table, LatencyTable) else f" {table}"
    if runtime_config is None:
        if table is not None:
            raise InputError(
                f"The latency table{shown} is of no use where neither the budget nor an objective names latency: "
                "leave it out, or give --budget latency<=20ms."
            )
        return None
    if table is None:
        return build_table(
            space,
            runtime_config=runtime_config,
            path=session.run.path / file,
            seed=session.seed,
            progress=session.progress,
        )
    loaded = table if isinstance(table, LatencyTable) else LatencyTable.load(Path(table))
    if loaded.runtime_config != runtime_config:
        raise InputError(
            f"The latency table{shown} is of {loaded.runtime_config}, not of {runtime_config}; give "
            "that runtime and its threads, or another table."
        )
    return loaded
