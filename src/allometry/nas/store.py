"""The trials of a search in a database: Optuna's, in SQLite or at any address, for one driver or several."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

import numpy as np

from allometry.arch import Space
from allometry.base import AllometryError, RunFolderError
from allometry.nas import database
from allometry.nas.database import first_number, give_out_again, open_database, quietly
from allometry.nas.encodings import ABSENT, Encoding, Values
from allometry.nas.trials import NOTHING, Trial, TrialOutcome

if TYPE_CHECKING:
    from types import TracebackType

    import optuna


_STUDY = "allometry"
_LONG = 10  # times the usual patience, since clocks of several machines differ


@dataclass(frozen=True, slots=True)
class TrialClaim:
    """A trial that this driver holds.

    Attributes:
        number: of the candidate, from 0.
        trial: Optuna's.
        encoding: where it was decided before, by a driver that died.

    Example:
        >>> from allometry.catalog import find_space
        >>> options = {"objectives": ["accuracy"], "identity": "1", "driver": "me"}
        >>> with TrialStore("sqlite://", find_space("fbnet"), **options) as store:
        ...     claim = store.claim(most=1)
        >>> claim.number, claim.encoding is None
        (0, True)
    """

    number: int
    trial: optuna.Trial
    encoding: Encoding | None = None


class TrialStore:
    """Trials that outlive the process: each is given to one driver at a time, and counted once.

    Args:
        url: of the database, such as `sqlite:///trials.db` or `postgresql://user@host/name`.
        space: of the networks.
        objectives: as they are written.
        identity: of all that decides a result; a database with another is refused.
        driver: this driver's own name, the same when it comes back.
        alone: nobody else works on it, so that whatever is under way when it is opened was left by a kill.
        study: name of the search in the database.
        say: is told when the database is locked by another program.
        should_stop: True ends the wait for it.

    Raises:
        InputError: the address cannot be used.
        RunFolderError: the database is damaged, or holds a search for something else.
        StorageError: it stayed locked, its disk is full, read-only or failed, or the connection was lost; so of all
            methods.
        MissingExtraError: the database's driver is not installed.

    Example:
        >>> from allometry.catalog import find_space
        >>> options = {"objectives": ["accuracy"], "identity": "1", "driver": "me"}
        >>> with TrialStore("sqlite://", find_space("fbnet"), **options) as store:
        ...     claim = store.claim(most=10)
        ...     store.decide(claim, np.zeros(28, np.int8))
        ...     store.finish(claim, TrialOutcome(epochs=1), (0.5,))
        ...     [(trial.number, trial.values) for trial in store.finished()]
        [(0, (0.5,))]
    """

    def __init__(
        self,
        url: str,
        space: Space,
        *,
        objectives: Sequence[str],
        identity: str,
        driver: str,
        alone: bool = True,
        study: str = _STUDY,
        say: Callable[[str], None] = lambda _text: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._space, self._driver, self._alone = space, driver, alone
        self._objectives = len(objectives)
        self._storage, self._study = open_database(
            url, study, objectives, identity, alone=alone, say=say, should_stop=should_stop
        )
        self._held: dict[int, int] = {}  # Optuna's number to its trial's key in the database
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._beating: threading.Thread | None = None
        try:
            self._refuse_gaps()
            self._give_out_again(mine=True)
        except BaseException:
            self._storage.engine.dispose()
            raise
        if not alone:
            self._beating = threading.Thread(target=self._beat, daemon=True)
            self._beating.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._beating is not None:
            self._beating.join()
        self._storage.remove_session()
        self._storage.engine.dispose()

    def claim(self, *, most: int, new: bool = True) -> TrialClaim | None:
        """The next trial: one that a dead driver left, or a new one; None once there are so many.

        Args:
            most: candidates of the search.
            new: False for one that was left only.
        """
        self._give_out_again()
        waiting = any(_is(trial, "WAITING") for trial in self._trials())
        if not waiting and (not new or len(self._originals()) >= most):
            return None
        with quietly():
            trial = self._study.ask()
        with self._lock:
            self._held[trial.number] = trial._trial_id
        if not self._alone:
            self._storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr("driver", self._driver)
        kept = trial.user_attrs
        number = self._number(self._frozen(trial.number))
        if number >= most:
            self.give_back(TrialClaim(number, trial))
            return None
        encoding = self._encoding(self._frozen(trial.number)) if "encoding" in kept else None
        return TrialClaim(number, trial, encoding)

    def decide(self, claim: TrialClaim, encoding: Encoding) -> None:
        """Write down which network the trial is."""
        if claim.encoding is None and self._mine(claim):
            claim.trial.set_user_attr("options", _in_words(self._space, encoding))
            claim.trial.set_user_attr("encoding", encoding.tolist())

    def finish(self, claim: TrialClaim, outcome: TrialOutcome, values: Sequence[float]) -> None:
        """Write down what came of it; nothing where others took it for dead and have it now."""
        import optuna

        if not self._mine(claim):
            self._let_go(claim)
            return
        claim.trial.set_user_attr("outcome", outcome.to_dict())
        failed = optuna.trial.TrialState.FAIL
        with quietly():
            if outcome.failed:
                self._study.tell(claim.trial, state=failed, skip_if_finished=True)
            else:
                self._study.tell(claim.trial, list(values), skip_if_finished=True)
        self._let_go(claim)

    def give_back(self, claim: TrialClaim) -> None:
        """There is nothing to try under this number."""
        import optuna

        if self._mine(claim):
            claim.trial.set_user_attr("void", True)
            with quietly():
                self._study.tell(claim.trial, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
        self._let_go(claim)

    def put_off(self, claim: TrialClaim) -> None:
        """The driver stops before the trial's end; whoever comes next takes it up."""
        if self._mine(claim):
            self._again(self._frozen(claim.trial.number), count=False)
        self._let_go(claim)

    def finished(self) -> list[Trial]:
        """All trials that came to an end, by number; each once."""
        trials: dict[int, Trial] = {}
        numbers = {number: place for place, number in enumerate(self._originals())}
        for trial in self._trials():
            kept = trial.user_attrs
            original = first_number(trial)
            if "outcome" not in kept or original not in numbers:
                continue
            outcome = self._outcome(trial)
            # A kill between what came of it and its end leaves a trial that another one of its number replaces.
            if not _is(trial, "FAIL" if outcome.failed else "COMPLETE"):
                continue
            values = (NOTHING,) * self._objectives if outcome.failed else self._values(trial)
            number = numbers[original]
            encoding = self._encoding(trial)
            trials[number] = Trial(number=number, encoding=encoding, values=values, outcome=outcome)
        return [trials[number] for number in sorted(trials)]

    @property
    def under_way(self) -> bool:
        """Whether anybody works on a trial, or one waits."""
        self._give_out_again()
        return any(_is(trial, "RUNNING", "WAITING") for trial in self._trials())

    def _encoding(self, trial: optuna.trial.FrozenTrial) -> Encoding:
        """Which network a trial is."""
        kept = trial.user_attrs.get("encoding")
        choices = self._space.choices
        if not isinstance(kept, list) or len(kept) != len(choices):
            raise self._damaged(trial, "it has no network")
        for number, choice in zip(kept, choices, strict=True):
            if type(number) is not int or not ABSENT <= number < len(choice.options):
                raise self._damaged(trial, f"{choice.name} has no option {number!r}")
        return np.array(kept, np.int8)

    def _values(self, trial: optuna.trial.FrozenTrial) -> Values:
        """What a trial is worth."""
        values = tuple(trial.values or ())
        if len(values) != self._objectives or not all(
            isinstance(value, float) and not math.isnan(value) for value in values
        ):
            raise self._damaged(trial, f"it is worth {values}")
        return values

    def _outcome(self, trial: optuna.trial.FrozenTrial) -> TrialOutcome:
        """What came of a trial."""
        try:
            return TrialOutcome.from_dict(trial.user_attrs["outcome"])
        except RunFolderError as error:
            raise self._damaged(trial, str(error)) from error

    def _damaged(self, trial: optuna.trial.FrozenTrial, why: str) -> RunFolderError:
        return RunFolderError(
            f"Trial {trial.number} of the database is damaged ({why}). Put a copy of the database in its place, or "
            "begin anew with another folder (--out)."
        )

    def _refuse_gaps(self) -> None:
        """Refuse a database that somebody has taken trials out of: Optuna numbers them from 0, and takes out none."""
        numbers = sorted(trial.number for trial in self._trials())
        missing = sorted(set(range(len(numbers))) - set(numbers))
        if missing:
            raise RunFolderError(
                f"The database lacks trial {missing[0]} of this search, which was there. Put a copy of the database in "
                "its place, or begin anew with another folder (--out)."
            )

    def _give_out_again(self, *, mine: bool = False) -> None:
        """Let others have what a dead driver was working on."""
        import optuna

        with self._lock:
            held = set(self._held)
        if mine:
            for trial in self._trials():
                left = self._alone or trial.user_attrs.get("driver") == self._driver
                if _is(trial, "RUNNING") and left and trial.number not in held:
                    self._again(trial)
        if self._alone:
            return
        with quietly():
            optuna.storages.fail_stale_trials(self._study)
        for trial in self._trials():  # a kill may have come even before the first sign of life
            if (
                _is(trial, "RUNNING")
                and "driver" not in trial.user_attrs
                and _age(trial) > _LONG * database.GRACE
            ):
                self._again(trial)

    def _again(self, trial: optuna.trial.FrozenTrial, *, count: bool = True) -> None:
        """End this trial and put another of its number into the queue."""
        import optuna

        with quietly():
            self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
        give_out_again(self._study, trial, count=count)

    def _originals(self) -> list[int]:
        """Optuna's numbers of the first trial of each candidate, in order."""
        return [
            trial.number
            for trial in self._trials()
            if "failed_trial" not in trial.system_attrs and not trial.user_attrs.get("void")
        ]

    def _number(self, trial: optuna.trial.FrozenTrial) -> int:
        original = first_number(trial)
        return sum(other < original for other in self._originals())

    def _frozen(self, number: int) -> optuna.trial.FrozenTrial:
        return next(trial for trial in self._trials() if trial.number == number)

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _mine(self, claim: TrialClaim) -> bool:
        """Whether it is still under way: a driver that slept too long may find its trial with another one."""
        return _is(self._frozen(claim.trial.number), "RUNNING")

    def _let_go(self, claim: TrialClaim) -> None:
        with self._lock:
            self._held.pop(claim.trial.number, None)

    def _beat(self) -> None:
        while not self._over.wait(database.BEAT):
            with self._lock:
                held = list(self._held.values())
            for key in held:
                # Of what is wrong with the database the search itself hears with its own next call.
                with suppress(AllometryError):
                    self._storage.record_heartbeat(key)
        self._storage.remove_session()


def _in_words(space: Space, encoding: Encoding) -> dict[str, str]:
    """The options that an encoding takes, for people who look into the database."""
    pairs = zip(space.choices, encoding, strict=True)
    return {choice.name: str(choice.options[number]) for choice, number in pairs if number != ABSENT}


def _age(trial: optuna.trial.FrozenTrial) -> float:
    """Seconds since it began."""
    began = trial.datetime_start
    return 0.0 if began is None else (datetime.now() - began).total_seconds()


def _is(trial: optuna.trial.FrozenTrial, *states: str) -> bool:
    return trial.state.name in states
