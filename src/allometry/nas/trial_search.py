"""A search by trials in its run folder: its database, its searcher, and a line for each trial."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from allometry.base import Progress, SilentProgress
from allometry.base.files import write_text
from allometry.base.units import plural
from allometry.nas.driver import drive
from allometry.nas.encodings import network_of
from allometry.nas.evaluators import make_evaluator
from allometry.nas.proposals import Proposals
from allometry.nas.search_config import SearchSetup
from allometry.nas.search_result import trial_record
from allometry.nas.searchers import SearcherLike, make_searcher, searcher_name
from allometry.nas.store import TrialStore
from allometry.nas.trial_training import trial_folder
from allometry.nas.trials import Trial
from allometry.runs.files import SEARCH_TRIALS
from allometry.training.session import Session

DATABASE = "trials.db"
_PATIENCE = 10  # times as many random networks as the search has trials, at most


def run_trials(session: Session, setup: SearchSetup) -> tuple[Trial, ...]:
    """All trials of the search, also of those who share its database; those that are there are not tried again.

    Raises:
        Stopped: the user asked for it.
    """
    config = setup.config
    trials = _run(session, setup, config.searcher, trials=config.trials, phase="search", study=config.study)
    if len(trials) < config.trials:
        session.progress.say(
            f"{len(trials)} trials instead of {config.trials}: nothing new was found in the space within the limits"
        )
    return trials


def run_random_trials(
    session: Session, setup: SearchSetup, spent: float, cost: Callable[[Trial], float]
) -> tuple[Trial, ...]:
    """A random search beside it that may cost as much.

    Args:
        session: of the search.
        setup: of the search.
        spent: what the search has cost.
        cost: of a trial, in the same unit.

    Raises:
        Stopped: the user asked for it.
    """
    trials = _run(
        session,
        setup,
        "random",
        trials=_PATIENCE * setup.config.trials,
        phase="random",
        study=f"{setup.config.study}-random",
        enough=lambda before: sum(map(cost, before)) >= spent,
    )
    kept, total = [], 0.0
    for trial in trials:  # those that were under way when the cost was reached do not count
        if total >= spent:
            break
        kept.append(trial)
        total += cost(trial)
    return tuple(kept)


def _run(
    session: Session,
    setup: SearchSetup,
    searcher: SearcherLike,
    *,
    trials: int,
    phase: str,
    study: str,
    enough: Callable[[Sequence[Trial]], bool] = lambda _before: False,
) -> tuple[Trial, ...]:
    folder, config, space = session.run.path, setup.config, setup.space
    # The other search draws other networks; trainings have the same seed in both.
    own = session.seed + (phase != "search")
    own_searcher = make_searcher(searcher, space, seed=own, objectives=len(setup.objectives))
    proposals = Proposals(
        space, own_searcher, setup.allowed, max_pending=config.max_pending, seed=session.seed
    )

    def on_trial_end(trial: Trial) -> None:
        _record_cost(session, phase, trial)
        SEARCH_TRIALS.append(folder, trial_record(setup, trial, phase=phase))
        own_folder = trial_folder(folder, network_of(space, trial.encoding), session.seed)
        shutil.rmtree(own_folder / "checkpoints", ignore_errors=True)

    with (
        TrialStore(
            config.storage or f"sqlite:///{folder / DATABASE}",
            space,
            objectives=[str(objective) for objective in setup.objectives],
            identity=setup.identity(searcher_name(searcher)),
            driver=_own_name(folder),
            alone=config.storage is None,
            study=study,
        ) as store,
        make_evaluator(
            config.workers,
            setup.images,
            setup.trial_config,
            folder=folder,
            max_pending=config.max_pending,
            progress=session.progress,
            should_stop=session.should_stop,
        ) as evaluator,
    ):
        tried = drive(
            setup.problem,
            store,
            proposals,
            evaluator,
            trials=trials,
            enough=enough,
            finished=on_trial_end,
            progress=session.progress if evaluator.slots > 1 else _TrialLines(session.progress),
            label=phase,
            should_stop=session.should_stop,
        )
    if (
        config.storage is None
    ):  # all of them are this folder's; a kill may have come before a cost was written
        for trial in tried:
            _record_cost(session, phase, trial)
    return tried


def _record_cost(session: Session, phase: str, trial: Trial) -> None:
    seconds, images = trial.outcome.seconds, trial.outcome.images
    session.run.record_cost(phase, f"trial {trial.number}", seconds=seconds, images=images)


class _TrialLines(SilentProgress):
    """Of the trials themselves only what they came to, where each training has a display of its own."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._label, self._done = "", 0

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        """Remember how many are done."""
        del total, unit
        self._label, self._done = label, done

    def say(self, text: str) -> None:
        """Pass on what the search itself says."""
        self._progress.say(text)

    def advance(self, images: int, info: str = "") -> None:
        """Say what a trial came to."""
        self._done += images
        if images:
            self._progress.say(f"{self._label}: {plural(self._done, 'trial')}, {info}")


def _own_name(folder: Path) -> str:
    """This folder's name among those that share a database: the same when it comes back."""
    file = folder / "driver"
    if not file.exists():
        write_text(file, uuid.uuid4().hex)
    return file.read_text(encoding="utf-8")
