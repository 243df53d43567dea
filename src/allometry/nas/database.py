"""The database of a search: opened, and what becomes of trials whose driver died."""

from __future__ import annotations

import re
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from allometry.base import InputError, MissingExtraError, RunFolderError
from allometry.base.text import shown
from allometry.nas.database_calls import (
    BUSY,
    DatabaseCalls,
    check_file,
    first_line,
    patient_storage,
    sqlite_file,
)
from allometry.nas.trials import TrialOutcome

if TYPE_CHECKING:
    import optuna

_ADDRESS = "Give an address such as sqlite:////full/path/trials.db or postgresql://user:password@host/name."
_PASSWORD = re.compile(r"(//[^:/@]*):[^@]*@")


def without_password(url: str) -> str:
    """The address of a database as anybody may see it.

    Example:
        >>> without_password("postgresql://me:secret@host/trials")
        'postgresql://me:***@host/trials'
    """
    return _PASSWORD.sub(r"\1:***@", url)


RETRIES = 3
_ATTEMPTS = 5
BEAT, GRACE = 10, 40
"""Seconds between two signs of life of a driver, and without one for how long it counts as dead."""


def open_database(
    url: str,
    study: str,
    objectives: Sequence[str],
    identity: str,
    *,
    alone: bool,
    say: Callable[[str], None] = lambda _text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[optuna.storages.RDBStorage, optuna.Study]:
    """Open a search's database, or begin one there.

    Args:
        url: of the database.
        study: name of the search in it.
        objectives: as they are written.
        identity: of all that decides a result.
        alone: nobody else works on it.
        say: is told when the database is locked.
        should_stop: True ends the wait for it.

    Raises:
        InputError: the address cannot be used.
        RunFolderError: it is damaged, or holds a search for something else.
        StorageError: it stayed locked, the disk is full, read-only or failed.
        MissingExtraError: the database's driver is not installed.
        Stopped: `should_stop` asked for it.
    """
    import optuna
    import sqlalchemy

    address = without_password(url)
    try:
        sqlalchemy.engine.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise InputError(f"{shown(address)} is no address of a database. {_ADDRESS}") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # of its own retries, for which there is a sentence
    calls = DatabaseCalls(url, address, say=say, should_stop=should_stop)
    try:
        storage, opened = _opened(url, study, len(objectives), calls, alone=alone)
    except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
        raise MissingExtraError(
            f"The database {address} needs a driver that cannot be imported here ({error}); for PostgreSQL: "
            "pip install 'allometry[postgresql]'"
        ) from error
    except (sqlite3.Error, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise InputError(f"The database {address} cannot be used: {first_line(error)}. {_ADDRESS}") from error
    kept = opened.user_attrs
    if kept.get("identity", identity) != identity:
        raise RunFolderError(
            f"The database {address} holds a search {study!r} with another space, data set, objective, recipe or "
            "seed. Give the same arguments, another --study, or another database."
        )
    opened.set_user_attr("identity", identity)
    with quietly():
        opened.set_metric_names([f"{place}: {text}" for place, text in enumerate(objectives, start=1)])
    return storage, opened


def _opened(
    url: str, study: str, objectives: int, calls: DatabaseCalls, *, alone: bool
) -> tuple[optuna.storages.RDBStorage, optuna.Study]:
    """Try again for a while where several drivers come first at once: one of them makes the tables."""
    import optuna
    import sqlalchemy

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return calls(partial(_open_once, url, study, objectives, calls, alone=alone), opening=True)
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError):
            if alone or attempt == _ATTEMPTS:
                raise
            time.sleep(attempt / _ATTEMPTS)
    raise AssertionError  # the last attempt has returned or raised


def _open_once(
    url: str, study: str, objectives: int, calls: DatabaseCalls, *, alone: bool
) -> tuple[optuna.storages.RDBStorage, optuna.Study]:
    import optuna

    check_file(url)
    storage = object.__new__(patient_storage())  # at hand also where it cannot be made
    storage.calls = calls  # type: ignore[attr-defined]
    try:
        with quietly():
            storage.__init__(  # type: ignore[misc]
                url,
                engine_kwargs={"connect_args": {"timeout": BUSY}} if sqlite_file(url) else None,
                heartbeat_interval=None if alone else BEAT,
                grace_period=None if alone else GRACE,
                heartbeat_stale_trial_callback=None if alone else give_out_again,
            )
            opened = optuna.create_study(
                storage=storage,
                study_name=study,
                directions=["maximize"] * objectives,
                load_if_exists=True,
            )
    except BaseException:
        if hasattr(storage, "engine"):
            storage.engine.dispose()  # else its connections stay open
        raise
    return storage, opened


def give_out_again(study: optuna.Study, trial: optuna.trial.FrozenTrial, *, count: bool = True) -> None:
    """Queue a trial again whose driver died; after more than three such deaths it counts as failed itself."""
    import optuna

    before = trial.system_attrs.get("retry_history", [])
    kept = {key: value for key, value in trial.user_attrs.items() if key not in ("driver", "outcome")}
    deaths = kept.get("deaths", 0) + count
    if "encoding" in kept and deaths > RETRIES:
        outcome = TrialOutcome(failed=f"its training ended {deaths} drivers")
        study.add_trial(
            optuna.create_trial(
                state=optuna.trial.TrialState.FAIL,
                user_attrs={**kept, "outcome": outcome.to_dict()},
                system_attrs={"failed_trial": first_number(trial)},
            )
        )
        return
    study.add_trial(
        optuna.create_trial(
            state=optuna.trial.TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={**kept, "deaths": deaths},
            system_attrs={"failed_trial": first_number(trial), "retry_history": [*before, trial.number]},
        )
    )


def first_number(trial: optuna.trial.FrozenTrial) -> int:
    """Optuna's number of the first trial of the same candidate."""
    first: int = trial.system_attrs.get("failed_trial", trial.number)
    return first


@contextmanager
def quietly() -> Iterator[None]:
    """Without Optuna's warnings about what may change some day, and about signs of life given by hand."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        yield
