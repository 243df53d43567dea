"""What a search tries and what came of it, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from allometry.arch import Network
from allometry.base.decoding import Amount, Count
from allometry.nas.encodings import Encoding, Values
from allometry.runs.values import Number, Record, Worth

NOTHING = float("-inf")
"""What a network is worth that could not be trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCandidate:
    """A network that is to be tried.

    Attributes:
        number: its place in the search, from 0.
        network: what is trained.
        metrics: what is known of it before: its counts, and its latency where a table tells it.
        rung_values: for each rung, what those before it were worth there; see `Halving`.

    Example:
        >>> from allometry.catalog import get
        >>> candidate = TrialCandidate(number=3, network=get("efficientnet-b0"), metrics={"macs": 4e8})
        >>> candidate.number, candidate.network.name
        (3, 'efficientnet-b0')
    """

    number: int
    network: Network
    metrics: Mapping[str, float]
    rung_values: tuple[tuple[Values, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome(Record):
    """What came of it.

    Attributes:
        metrics: all that an objective may ask for, such as accuracy and macs.
        epochs: that were trained.
        seconds: that it took.
        images: training images seen.
        rungs: its worth at each rung that it reached.
        stopped: whether it was stopped at the last of them.
        failed: why it is worth nothing, else empty.

    Example:
        >>> outcome = TrialOutcome(metrics={"accuracy": 0.8}, epochs=5, seconds=12.5, images=10_000)
        >>> outcome.metrics["accuracy"], outcome.stopped, outcome.failed
        (0.8, False, '')
        >>> TrialOutcome.from_dict(outcome.to_dict()) == outcome
        True
    """

    metrics: Mapping[str, Number] = field(default_factory=dict)
    epochs: Count = 0
    seconds: Amount = 0.0
    images: Count = 0
    rungs: tuple[tuple[Worth, ...], ...] = ()
    stopped: bool = False
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A candidate that was tried.

    Attributes:
        number: its place in the search, from 0.
        encoding: the options that it has, of its space.
        values: what it is worth, a number for each objective; minus infinity where it failed.
        outcome: of its training.

    Example:
        >>> import numpy as np
        >>> outcome = TrialOutcome(metrics={"accuracy": 0.5}, epochs=2)
        >>> Trial(number=0, encoding=np.zeros(28, np.int8), values=(0.5,), outcome=outcome).outcome.epochs
        2
    """

    number: int
    encoding: Encoding
    values: Values
    outcome: TrialOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Halving:
    """Successive halving: at each rung a candidate goes on only if it is among the better of those before it.

    It is compared with those that came that far and whose results its own searcher knew, so that nobody waits and the
    search is the same with any number of workers. With several objectives, better means in all of them at once.

    Attributes:
        rungs: epochs after which is looked; none for no halving.
        share: of those before it, the part that it must be among.
        least: fewer than so many before it stop nobody.

    Source: Jamieson & Talwalkar 2016, *Non-stochastic best arm identification*; asynchronous as in Li et al. 2018,
    *A system for massively parallel hyperparameter tuning*, Algorithm 2.

    Example:
        >>> halving = Halving(rungs=(1,))
        >>> halving.stops((0.4,), [(0.5,), (0.6,), (0.7,), (0.3,)])
        True
        >>> halving.stops((0.65,), [(0.5,), (0.6,), (0.7,), (0.3,)])
        False
    """

    rungs: tuple[int, ...] = ()
    share: float = 0.5
    least: int = 4

    def stops(self, values: Values, before: Sequence[Values]) -> bool:
        """Whether a candidate of this worth at a rung stops there, after these."""
        if len(before) < self.least:
            return False
        better = sum(
            all(theirs > mine for theirs, mine in zip(other, values, strict=True)) for other in before
        )
        return better >= self.share * (len(before) + 1)

    def rung_values(self, tried: Sequence[Trial]) -> tuple[tuple[Values, ...], ...]:
        """For each rung, what those that came that far were worth there."""
        return tuple(
            tuple(trial.outcome.rungs[place] for trial in tried if len(trial.outcome.rungs) > place)
            for place in range(len(self.rungs))
        )
