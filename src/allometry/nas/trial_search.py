"""A search by trials in its run folder: its database, its searcher, and a line for each trial."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from allometry.base import Progress, RunFolderError, SilentProgress
from allometry.base.files import write_text
from allometry.base.reading import UnreadableError, read_text
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
from allometry.runs import SearchTrialRecord
from allometry.runs.files import SEARCH_TRIALS
from allometry.training.session import Session

DATABASE = "trials.db"
_LONGEST_NAME = 100  # bytes
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
    proposals = _proposals(session, setup, searcher, phase=phase)

    def on_trial_end(trial: Trial) -> None:
        SEARCH_TRIALS.append(session.run.path, trial_record(setup, trial, phase=phase))
        _remove_checkpoints(session, setup, trial)

    with (
        _open_store(session, setup, searcher, study=study) as store,
        make_evaluator(
            setup.config.workers,
            setup.images,
            setup.trial_config,
            folder=session.run.path,
            max_pending=setup.config.max_pending,
            progress=session.progress,
            should_stop=session.should_stop,
        ) as evaluator,
    ):
        finished = store.finished()
        _compare(session, setup, finished, phase=phase)
        for trial in finished:  # of the last one a kill may have left them
            _remove_checkpoints(session, setup, trial)
        return drive(
            setup.problem,
            store,
            proposals,
            evaluator,
            trials=trials,
            enough=enough,
            charge=partial(_record_cost, session, phase),
            finished=on_trial_end,
            progress=session.progress if evaluator.slots > 1 else _TrialLines(session.progress),
            label=phase,
            should_stop=session.should_stop,
        )


def _proposals(session: Session, setup: SearchSetup, searcher: SearcherLike, *, phase: str) -> Proposals:
    """What is tried next; the other search draws other networks, while trainings have the same seed in both."""
    seed = session.seed + (phase != "search")
    own = make_searcher(searcher, setup.space, seed=seed, objectives=len(setup.objectives))
    return Proposals(setup.space, own, setup.allowed, max_pending=setup.config.max_pending, seed=session.seed)


def _open_store(session: Session, setup: SearchSetup, searcher: SearcherLike, *, study: str) -> TrialStore:
    """The database of the search: the one that is shared, or a file of its own."""
    storage = setup.config.storage
    return TrialStore(
        storage or f"sqlite:///{session.run.path / DATABASE}",
        setup.space,
        objectives=[str(objective) for objective in setup.objectives],
        identity=setup.identity(searcher_name(searcher)),
        driver=_own_name(session.run.path),
        alone=storage is None,
        study=study,
        say=session.progress.say,
        should_stop=session.should_stop,
    )


def _remove_checkpoints(session: Session, setup: SearchSetup, trial: Trial) -> None:
    own = trial_folder(session.run.path, network_of(setup.space, trial.encoding), session.seed)
    shutil.rmtree(own / "checkpoints", ignore_errors=True)


def _compare(session: Session, setup: SearchSetup, tried: Sequence[Trial], *, phase: str) -> None:
    """Hold the trials of the database against their lines in the folder, which say the same of each.

    Lines that a kill has left out, or that are damaged, are written again where all trials are this folder's.

    Raises:
        RunFolderError: a trial is missing in the database, or is another one there.
    """
    folder = session.run.path
    lines = SEARCH_TRIALS.read(folder)
    records = {trial.number: trial_record(setup, trial, phase=phase) for trial in tried}
    for line in lines:
        record = records.get(line.number)
        if line.phase != phase or (record is not None and _figures(record) == _figures(line)):
            continue
        what = "lacks" if record is None else "has other figures of"
        raise RunFolderError(
            f"The database of the search in {folder} {what} trial {line.number}, which {SEARCH_TRIALS.name} has: one "
            "of them was changed. Put a copy in its place, or begin anew with another folder (--out)."
        )
    if setup.config.storage is not None:
        return
    for trial in tried:
        _record_cost(session, phase, trial)
    own = [line.number for line in lines if line.phase == phase]
    if sorted(own) != sorted(records) or len(lines) != SEARCH_TRIALS.count(folder):
        others = [line for line in lines if line.phase != phase]
        SEARCH_TRIALS.write(folder, [*others, *records.values()])


def _figures(record: SearchTrialRecord) -> tuple[object, ...]:
    """What a trial has come to, whoever tells it."""
    known = (record.values, record.epochs, record.seconds, record.images, record.stopped, record.failed)
    return (*known, *sorted(record.metrics.items()))


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
    try:
        name = read_text(file, most=_LONGEST_NAME)
    except (OSError, UnreadableError):
        name = ""
    if not re.fullmatch("[0-9a-f]{32}", name):
        name = uuid.uuid4().hex
        write_text(file, name)
    return name
