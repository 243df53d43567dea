"""When which candidate runs, and how often: warm-up until steady, then turn by turn."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from allometry.base import InputError
from allometry.base.checks import check_fields
from allometry.profiling.processes import Block, Subject

_STEADY = 0.03  # medians of neighboring blocks that differ by less are steady
_LONGEST_BLOCK = 100_000  # runs


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureConfig:
    """How much is measured.

    Attributes:
        rounds: how often each candidate has its turn.
        seconds: of a turn, about; it has at least one run.
        warm_up: seconds after which a candidate that is not steady yet is taken as it is.

    Raises:
        InputError: nothing would be measured.

    Example:
        >>> MeasureConfig(rounds=5).seconds
        0.25
    """

    rounds: int = 15
    seconds: float = 0.25
    warm_up: float = 15.0

    def __post_init__(self) -> None:
        check_fields(self, rounds=1)
        if not self.seconds > 0 or not self.warm_up > 0:
            raise InputError(
                f"Rounds and warm-up take more than no time, not {self.seconds} and {self.warm_up} seconds."
            )


class WarmUp(NamedTuple):
    """How a candidate became ready.

    Attributes:
        steady: whether two neighboring blocks agreed before its time was over.
        seconds: of a run in the end.
        processor: seconds of processor time of it all.
    """

    steady: bool
    seconds: float
    processor: float


@dataclass(slots=True)
class Samples:
    """What came of one candidate.

    Attributes:
        warm_up: how it went.
        blocks: of each round, in order.
    """

    warm_up: WarmUp
    blocks: list[Block] = field(default_factory=list)


def sample(
    subjects: Sequence[Subject],
    config: MeasureConfig,
    *,
    advanced: Callable[[int], None] = lambda _place: None,
) -> list[Samples]:
    """Warm up each candidate, then let them take turns, another one first in each round.

    What disturbs the machine for a while disturbs neighbors alike, and none has the same neighbor before it always.

    Args:
        subjects: the candidates, ready to run.
        config: how much.
        advanced: told the place of a candidate after each of its turns.
    """
    samples, lengths = [], []
    for subject in subjects:
        warmed = warm_up(subject, config)
        samples.append(Samples(warmed))
        lengths.append(_runs(config, warmed.seconds))
    for turn in range(config.rounds):
        for step in range(len(subjects)):
            place = (turn + step) % len(subjects)
            samples[place].blocks.append(subjects[place].run(lengths[place]))
            advanced(place)
    return samples


def warm_up(subject: Subject, config: MeasureConfig) -> WarmUp:
    """Run until two neighboring blocks agree, or until it has taken too long.

    Example:
        >>> class Slower:
        ...     def run(self, runs):
        ...         return Block((0.5,) * runs, 0.5 * runs, 0.5 * runs, 0.0, 0, 0)
        >>> warm_up(Slower(), MeasureConfig())
        WarmUp(steady=True, seconds=0.5, processor=1.0)
    """
    used, processor, before, runs = 0.0, 0.0, None, 1
    while True:
        block = subject.run(runs)
        used, processor = used + block.wall, processor + block.processor
        now = statistics.median(block.seconds)
        if before is not None and abs(now - before) <= _STEADY * before:
            return WarmUp(steady=True, seconds=now, processor=processor)
        if used >= config.warm_up:
            return WarmUp(steady=False, seconds=now, processor=processor)
        # The first runs are slower than the rest: the length of a block is found again each time.
        runs, before = _runs(config, now), now


def _runs(config: MeasureConfig, seconds: float) -> int:
    """Runs of a turn, of so many seconds each."""
    return max(1, min(_LONGEST_BLOCK, round(config.seconds / max(seconds, 1e-9))))
