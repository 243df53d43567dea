"""The search itself: candidates out, outcomes in, until there are enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Protocol

from allometry.arch import Space
from allometry.base import Progress, SilentProgress
from allometry.base.errors import Stopped
from allometry.nas.encodings import Encoding, Values, network_of
from allometry.nas.objectives import Objective
from allometry.nas.proposals import Proposals
from allometry.nas.store import TrialClaim, TrialStore
from allometry.nas.trials import NOTHING, Halving, Trial, TrialCandidate, TrialOutcome

_LOOK = 1.0  # seconds between two looks at what other drivers have done


class Evaluator(Protocol):
    """Tries candidates, one or several at a time.

    Attributes:
        slots: candidates at a time.

    Example:
        >>> from allometry.catalog import get
        >>> class Instant:
        ...     slots = 1
        ...
        ...     def start(self, candidate):
        ...         future = Future()
        ...         future.set_result(TrialOutcome(metrics={"accuracy": 0.5}, epochs=1))
        ...         return future
        >>> candidate = TrialCandidate(number=0, network=get("efficientnet-b0"), metrics={})
        >>> Instant().start(candidate).result().epochs
        1
    """

    slots: int

    def start(self, candidate: TrialCandidate) -> Future[TrialOutcome]:
        """Begin with a candidate; the future raises `Stopped` where the user asked to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchProblem:
    """What a search looks for.

    Attributes:
        space: of the networks.
        objectives: each the larger the better.
        metrics: what is known of an encoding before it is tried.
        halving: when a training is stopped early.

    Example:
        >>> from allometry.catalog import find_space
        >>> problem = SearchProblem(
        ...     space=find_space("fbnet"),
        ...     objectives=(Objective("accuracy"), Objective("-macs")),
        ...     metrics=lambda encoding: {"macs": 2e6},
        ... )
        >>> problem.objective_values({"accuracy": 0.8, "macs": 2e6})
        (0.8, -2000000.0)
    """

    space: Space
    objectives: tuple[Objective, ...]
    metrics: Callable[[Encoding], Mapping[str, float]]
    halving: Halving = Halving()

    def objective_values(self, metrics: Mapping[str, float]) -> Values:
        """What these figures are worth, a number for each objective."""
        return tuple(float(objective(metrics)) for objective in self.objectives)


def drive(
    problem: SearchProblem,
    store: TrialStore,
    proposals: Proposals,
    evaluator: Evaluator,
    *,
    trials: int,
    enough: Callable[[Sequence[Trial]], bool] = lambda _tried: False,
    charge: Callable[[Trial], None] = lambda _tried: None,
    finished: Callable[[Trial], None] = lambda _tried: None,
    progress: Progress = SilentProgress(),
    label: str = "trials",
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Trial, ...]:
    """Try candidates until there are `trials` of them, or nothing new is left.

    Args:
        problem: what is looked for.
        store: of the trials; other drivers may work on it, too.
        proposals: of this search.
        evaluator: tries them.
        trials: in all, over all calls and drivers.
        enough: asked with the results that a proposal may know, in order; True ends the search.
        charge: told of each trial that this driver has tried before it is written down, so that no kill loses what it
            cost; the same one may come again.
        finished: told of each such trial when it is written down.
        progress: is told how it goes.
        label: of the progress.
        should_stop: True stops the search; trials under way are left for the next call.

    Returns:
        All trials, by number.

    Raises:
        Stopped: `should_stop` asked for it.

    Example:
        >>> from allometry.catalog import find_space
        >>> from allometry.nas import make_searcher
        >>> class Instant:
        ...     slots = 1
        ...
        ...     def start(self, candidate):
        ...         future = Future()
        ...         future.set_result(TrialOutcome(metrics={"accuracy": 0.5}))
        ...         return future
        >>> space = find_space("fbnet")
        >>> problem = SearchProblem(
        ...     space=space, objectives=(Objective("accuracy"),), metrics=lambda encoding: {}
        ... )
        >>> searcher = make_searcher("random", space)
        >>> proposals = Proposals(space, searcher, lambda encodings: encodings[:, 0] >= 0, max_pending=1)
        >>> options = {"objectives": ["accuracy"], "identity": "1", "driver": "me"}
        >>> with TrialStore("sqlite://", space, **options) as store:
        ...     trials = drive(problem, store, proposals, Instant(), trials=2)
        >>> [(trial.number, trial.values) for trial in trials]
        [(0, (0.5,)), (1, (0.5,))]
    """
    return _Driver(problem, store, proposals, evaluator, trials, enough, charge, finished).run(
        progress, label, should_stop
    )


class _Driver:
    def __init__(
        self,
        problem: SearchProblem,
        store: TrialStore,
        proposals: Proposals,
        evaluator: Evaluator,
        trials: int,
        enough: Callable[[Sequence[Trial]], bool],
        charge: Callable[[Trial], None],
        finished: Callable[[Trial], None],
    ) -> None:
        self._problem, self._store, self._proposals = problem, store, proposals
        self._evaluator, self._trials, self._enough = evaluator, trials, enough
        self._charge, self._finished = charge, finished
        self._running: dict[Future[TrialOutcome], tuple[TrialClaim, Encoding]] = {}
        self._held: list[TrialClaim] = []  # those that wait for results of others
        self._over = self._warned = False

    def run(self, progress: Progress, label: str, should_stop: Callable[[], bool]) -> tuple[Trial, ...]:
        known = self._known()
        shown = len(known)
        progress.start(label, self._trials, shown, unit="trials")
        try:
            while True:
                if should_stop():
                    self._stop()
                known = self._known()
                progress.advance(len(known) - shown, _words(known))
                shown = len(known)
                claim = self._ready(known)
                if claim is not None:
                    self._start(claim, known)
                    self._warn(progress)
                    continue
                if not self._running and not self._held and not self._store.under_way:
                    return tuple(self._store.finished())  # with what others have finished since
                if not self._running:
                    time.sleep(_LOOK)  # for what other drivers do
                done, _ = wait(self._running, timeout=_LOOK, return_when=FIRST_COMPLETED)
                for future in done:
                    self._finish(future)
        finally:
            progress.stop()
            self._leave()

    def _known(self) -> dict[int, Trial]:
        return {trial.number: trial for trial in self._store.finished()}

    def _ready(self, known: dict[int, Trial]) -> TrialClaim | None:
        """One that may start: all that it follows from is known, and somebody is free to try it."""
        if len(self._running) >= self._evaluator.slots:
            return None
        for claim in self._held:
            if self._proposals.ready(claim.number, known):
                self._held.remove(claim)
                return claim
        # While one waits here, what it waits for may have been left by a driver that died.
        waiting = self._store.claim(most=self._trials, new=not self._held and not self._over)
        if waiting is None or self._proposals.ready(waiting.number, known):
            return waiting
        self._held.append(waiting)
        return None

    def _start(self, claim: TrialClaim, known: dict[int, Trial]) -> None:
        before = [known[earlier] for earlier in range(claim.number - self._proposals.max_pending + 1)]
        encoding = None if self._enough(before) else self._proposals.propose(claim.number, known)
        if encoding is None:
            self._over = True
            self._store.give_back(claim)
            return
        encoding = encoding if claim.encoding is None else claim.encoding
        self._store.decide(claim, encoding)
        candidate = TrialCandidate(
            number=claim.number,
            network=network_of(self._problem.space, encoding),
            metrics=self._problem.metrics(encoding),
            rung_values=self._problem.halving.rung_values(before),
        )
        self._running[self._evaluator.start(candidate)] = (claim, encoding)

    def _warn(self, progress: Progress) -> None:
        """Say once that the searcher is not the one that made the trials which are there."""
        if self._proposals.differ is None or self._warned:
            return
        self._warned = True
        progress.say(
            f"the searcher did not propose trial {self._proposals.differ} of this search when it was asked again: it "
            "is another one, or draws without a fixed seed; it was told of all trials and goes on from there"
        )

    def _finish(self, future: Future[TrialOutcome]) -> None:
        outcome = future.result()
        claim, encoding = self._running.pop(future)
        objective_values = (NOTHING,) * len(self._problem.objectives)
        if not outcome.failed:
            objective_values = self._problem.objective_values(outcome.metrics)
        trial = Trial(number=claim.number, encoding=encoding, values=objective_values, outcome=outcome)
        self._charge(trial)
        self._store.finish(claim, outcome, objective_values)
        self._finished(trial)

    def _stop(self) -> None:
        raise Stopped("Stopped; the same command goes on with the trials that were under way.")

    def _leave(self) -> None:
        """What was not finished is for the next call, or for other drivers."""
        for future in list(self._running):
            if future.done() and future.exception() is None:
                self._finish(future)
        left = [claim for claim, _ in self._running.values()]
        for claim in [*left, *self._held]:
            self._store.put_off(claim)
        self._running, self._held = {}, []


def _words(known: Mapping[int, Trial]) -> str:
    if not known:
        return ""
    best = max(known.values(), key=lambda trial: trial.values)
    return f"best {best.values[0]:.4g} (trial {best.number})"
