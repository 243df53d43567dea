"""Every call of a search's database: it waits while another program locks that, and its errors are sentences."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from allometry.base import AllometryError, RunFolderError, StorageError
from allometry.base.errors import Stopped
from allometry.base.holding import refuse_lost
from allometry.base.units import format_duration

if TYPE_CHECKING:
    import optuna

Value = TypeVar("Value")

PATIENCE, BUSY = 600.0, 1.0
"""Seconds until a database that is locked is given up, and of a try by SQLite itself, which Ctrl-C does not end."""
_PAUSE = 0.2

# What Optuna does in one transaction, which is taken back whole when it fails: so it may be tried again.
_TRANSACTIONS = (
    "create_new_study",
    "set_study_user_attr",
    "set_study_system_attr",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_directions",
    "get_study_user_attrs",
    "get_study_system_attrs",
    "get_all_studies",
    "create_new_trial",
    "_create_new_trial",
    "set_trial_param",
    "_set_trial_param",
    "set_trial_state_values",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_system_attr",
    "get_trial_id_from_study_id_trial_number",
    "get_trial",
    "_get_trials",
    "_get_best_trial_id",
    "record_heartbeat",
    "_get_stale_trial_ids",
)
_LOCKED, _DAMAGED, _LOST = "locked", "damaged", "lost"
_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: "the disk is full; free some space and give the same command again",
    sqlite3.SQLITE_IOERR: "the disk failed (input/output error); see to the disk, then give the same command again",
    sqlite3.SQLITE_READONLY: "it is read-only; let it be written, then give the same command again",
    sqlite3.SQLITE_PERM: "it may not be written; change its permissions, then give the same command again",
}
_MOVED = (
    "its file was removed or replaced while the search worked; bring it back and give the same command again"
)
_POSTGRESQL = {  # the first characters of its codes, the longer ones first
    "57014": _LOCKED,
    "40": _LOCKED,
    "55P03": _LOCKED,
    "53300": _LOCKED,
    "53100": "the server's disk is full; free some space there and give the same command again",
    "25006": "the server lets nobody write now; give the same command again when it does",
    "42P01": _DAMAGED,
    "42703": _DAMAGED,
    "XX": _DAMAGED,
    "08": _LOST,
    "57P": _LOST,
}


class DatabaseCalls:
    """Calls of one database.

    Args:
        url: of the database.
        shown: the address as people may see it.
        say: is told when the database is locked.
        should_stop: True ends the wait.

    Example:
        >>> calls = DatabaseCalls("sqlite://", "sqlite://")
        >>> calls(lambda: 7)
        7
        >>> def fail():
        ...     raise sqlite3.DatabaseError("file is not a database")
        >>> calls(fail)
        Traceback (most recent call last):
            ...
        allometry.base.errors.RunFolderError: The database sqlite:// is damaged (file is not a database). ...
    """

    def __init__(
        self,
        url: str,
        shown: str,
        *,
        say: Callable[[str], None] = lambda _text: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._file, self._shown, self._say, self._should_stop = sqlite_file(url), shown, say, should_stop
        self._own = threading.local()

    def __call__(self, call: Callable[[], Value], *, opening: bool = False) -> Value:
        """What a call gives, once the database is free for it.

        Args:
            call: what is done.
            opening: it opens the database, and an error without a reason speaks of the address: it stays as it is.

        Raises:
            StorageError: the disk is full, read-only or failed, the file or the connection has gone, or the database
                stayed locked.
            RunFolderError: it is damaged, or holds what no search wrote.
            Stopped: `should_stop` asked for it.
        """
        if getattr(self._own, "inside", False):  # a call within another, which is tried again as a whole
            return call()
        began, self._own.inside = time.monotonic(), True
        warned = False
        try:
            while True:
                try:
                    return call()
                except AllometryError:
                    raise
                except _errors() as error:
                    self._refuse(error, opening=opening)
                    self._wait(began, warned=warned)
                    warned = True
        finally:
            self._own.inside = False

    def _refuse(self, error: Exception, *, opening: bool) -> None:
        """Raise whatever waiting does not help against."""
        if self._file is not None:
            refuse_lost(self._file)
        kind = _kind(error)
        if kind == _LOCKED:
            return
        if _is_flow(error) or (opening and kind is None and isinstance(error, _database_errors())):
            raise error
        raise self._sentence(error) from error

    def _wait(self, began: float, *, warned: bool) -> None:
        if self._should_stop():
            raise Stopped("Stopped; the same command goes on with the trials that were under way.")
        waited = time.monotonic() - began
        if waited > PATIENCE:
            raise StorageError(
                f"The database {self._shown} has been locked by another program for {format_duration(waited)}; end "
                "that one and give the same command again, which goes on."
            )
        if not warned:
            self._say(f"the database {self._shown} is locked by another program; waiting until it is free")
        time.sleep(_PAUSE)

    def _sentence(self, error: BaseException) -> AllometryError:
        kind, reason = _kind(error), first_line(error)
        if kind == _LOST:
            return StorageError(
                f"The connection to the database {self._shown} was lost ({reason}); give the same command again when "
                "the server answers, it goes on."
            )
        if kind in (_DAMAGED, None):
            return RunFolderError(
                f"The database {self._shown} is damaged ({reason}). Put a copy in its place, or begin anew with "
                "another folder (--out)."
            )
        return StorageError(f"The database {self._shown} cannot be written: {kind}.")


def check_file(url: str) -> None:
    """Look whether an SQLite file is whole.

    Raises:
        sqlite3.Error: it is not, or cannot be read now.
    """
    path = sqlite_file(url)
    if path is None or not path.is_file():
        return
    with closing(sqlite3.connect(path, timeout=BUSY)) as connection:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != ("ok",):
            raise sqlite3.DatabaseError(str(found[0]).replace("\n", " "))
        astray = connection.execute("PRAGMA foreign_key_check").fetchone()
        if astray is not None:
            raise sqlite3.DatabaseError(f"a row of {astray[0]} belongs to a row of {astray[2]} that has gone")


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database; None for one in memory, on a server, or by an address that cannot be read."""
    import sqlalchemy

    try:
        made = sqlalchemy.engine.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        return None
    name = made.database or ""
    if not made.drivername.startswith("sqlite") or not name or name.startswith((":memory:", "file:")):
        return None
    return Path(name)


@cache
def patient_storage() -> type[optuna.storages.RDBStorage]:
    """Optuna's storage, each of its transactions one of the `calls` that an object of it is given."""
    import optuna

    plain = optuna.storages.RDBStorage
    return type("PatientStorage", (plain,), {name: _waiting(getattr(plain, name)) for name in _TRANSACTIONS})


def _waiting(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def wait(self: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever Optuna has
        return self.calls(lambda: method(self, *args, **options))

    return wait


def first_line(error: BaseException) -> str:
    """What a library's error says first, the one behind it where there is one."""
    cause = error.__cause__ or error
    lines = str(cause).strip().splitlines()
    return (lines[0] if lines else type(cause).__name__).rstrip(".")


@cache
def _database_errors() -> tuple[type[Exception], ...]:
    import optuna
    import sqlalchemy

    return (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, sqlite3.Error)


@cache
def _errors() -> tuple[type[Exception], ...]:
    """What a call of a database may raise, those included that Optuna makes of rows which it did not write."""
    contents = (
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        AssertionError,
        OverflowError,
        RuntimeError,
    )
    return (*_database_errors(), *contents)


def _is_flow(error: Exception) -> bool:
    """Whether Optuna raises it for itself, such as where another driver was the first."""
    import optuna

    errors = optuna.exceptions
    return isinstance(error, errors.OptunaError) and not isinstance(error, errors.StorageInternalError)


def _kind(error: BaseException) -> str | None:
    """What is wrong: locked, damaged, lost, or why nothing can be written; None where nobody knows."""
    for part in _chain(error):
        if isinstance(part, sqlite3.Error):
            return _sqlite_kind(part)
        code = getattr(part, "sqlstate", None) or getattr(part, "pgcode", None)
        if code:
            return next((kind for start, kind in _POSTGRESQL.items() if str(code).startswith(start)), None)
        if getattr(part, "connection_invalidated", False):
            return _LOST
    return None


def _sqlite_kind(error: sqlite3.Error) -> str | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return _MOVED
    if code is not None and code & 0xFF in _SQLITE:
        return _SQLITE[code & 0xFF]
    gone = any(text in str(error) for text in ("no such table", "no such column", "decode to UTF-8"))
    return _DAMAGED if gone or type(error) is sqlite3.DatabaseError else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those behind it."""
    part: BaseException | None = error
    while part is not None:
        yield part
        original = getattr(part, "orig", None)
        part = original if isinstance(original, BaseException) else part.__cause__
