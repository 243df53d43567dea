"""The database of a search: locked by another program, on a full disk, damaged, altered, removed."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing

import pytest

from allometry.base import RunFolderError, Stopped, StorageError
from allometry.base.holding import hold
from allometry.catalog import find_space
from allometry.nas import TrialOutcome
from allometry.nas.database_calls import DatabaseCalls, check_file
from allometry.nas.store import TrialStore

SPACE = find_space("fbnet")


def store(path, **more):
    options = {"objectives": ["accuracy"], "identity": "a", "driver": "me"} | more
    return TrialStore(f"sqlite:///{path}", SPACE, **options)


def try_one(opened, value=0.5):
    claim = opened.claim(most=100)
    opened.decide(claim, SPACE_ZEROS)
    opened.finish(claim, TrialOutcome(metrics={"accuracy": value}, epochs=1), (value,))


def _zeros():
    import numpy as np

    return np.zeros(len(SPACE.choices), np.int8)


SPACE_ZEROS = _zeros()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("database") / "whole.db"
    with store(path) as opened:
        for number in range(6):
            try_one(opened, number / 10)
    return path


@pytest.fixture
def database(whole, tmp_path):
    return shutil.copy(whole, tmp_path / "trials.db")


class Lock:
    """Another program that holds the database until it is told to let go."""

    def __init__(self, path):
        self.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.connection.execute("BEGIN EXCLUSIVE")

    def open(self):
        self.connection.execute("COMMIT")
        self.connection.close()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("allometry.nas.database_calls.BUSY", 0.02)
    monkeypatch.setattr("allometry.nas.database.BUSY", 0.02)
    monkeypatch.setattr("allometry.nas.database_calls._PAUSE", 0.01)
    monkeypatch.setattr("time.sleep", lambda _seconds, sleep=time.sleep: sleep(0.001))


@pytest.mark.usefixtures("quick")
def test_a_database_that_is_locked_is_waited_for(database):
    said, lock = [], Lock(database)

    def say(text):
        said.append(text)
        lock.open()

    with store(database, say=say) as opened:
        assert len(opened.finished()) == 6
        lock = Lock(database)
        try_one(opened, 0.9)
        assert [trial.values for trial in opened.finished()][-1] == (0.9,)
    assert len(said) == 2
    assert all("is locked by another program; waiting" in text for text in said)
    with store(database) as opened:  # nothing is lost, and nothing is there twice
        assert [trial.number for trial in opened.finished()] == list(range(7))


@pytest.mark.usefixtures("quick")
def test_who_waits_for_a_database_can_be_stopped_and_gives_up(database, monkeypatch):
    lock = Lock(database)
    with pytest.raises(Stopped):
        store(database, should_stop=lambda: True)
    monkeypatch.setattr("allometry.nas.database_calls.PATIENCE", 0.0)
    with pytest.raises(StorageError, match=r"has been locked by another program .* goes on"):
        store(database)
    lock.open()


def zero_a_page(raw):
    return raw[: 3 * 4096] + bytes(4096) + raw[4 * 4096 :]


@pytest.mark.parametrize(
    "damage",
    [
        zero_a_page,
        lambda raw: raw[:-4096],
        lambda raw: bytes(100) + raw[100:],
        lambda raw: raw[: 4 * 4096] + bytes(len(raw) - 4 * 4096),
        lambda _: b"no database, but a text of some length that is none either",
    ],
    ids=["a page of zeros", "cut off", "no head", "zeros at the end", "a text"],
)
def test_a_damaged_database_is_refused(database, damage):
    database.write_bytes(damage(database.read_bytes()))
    for alone in (True, False):
        with pytest.raises(RunFolderError, match=r"is damaged .*Put a copy") as refused:
            store(database, alone=alone)
        assert "\n" not in str(refused.value)


def change(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DELETE FROM trials WHERE number = 2", "damaged|lacks trial 2"),
        ("DELETE FROM trial_user_attributes WHERE key = 'encoding' AND trial_id = 3", "no network"),
        ("UPDATE trial_user_attributes SET value_json = '[0]' WHERE key = 'encoding'", "no network"),
        ("UPDATE trial_user_attributes SET value_json = '{' WHERE key = 'outcome'", "damaged"),
        ("UPDATE trial_user_attributes SET value_json = '[1' WHERE key = 'encoding'", "damaged"),
        ("UPDATE trial_user_attributes SET value_json = '{\"epochs\": -1}' WHERE key = 'outcome'", "epochs"),
        ("UPDATE trials SET state = 'ASLEEP' WHERE number = 1", "damaged"),
        ("UPDATE trial_values SET value = 'many' WHERE trial_id = 1", "damaged"),
        ("UPDATE trial_values SET value = NULL WHERE trial_id = 1", "damaged"),
        ("UPDATE trial_values SET value_type = 'SOME' WHERE trial_id = 1", "damaged"),
        ("DELETE FROM trial_values WHERE trial_id = 1", "damaged|worth"),
        ("DROP TABLE trial_values", "damaged"),
    ],
)
def test_what_no_search_wrote_is_refused(database, statement, says):
    change(database, statement)

    def read():
        with store(database) as opened:
            opened.finished()

    with pytest.raises(RunFolderError, match=says) as refused:
        read()
    assert "\n" not in str(refused.value)


class Refusing:
    """Calls that fail as SQLite and PostgreSQL do."""

    def __init__(self, code=None, sqlstate=None):
        self.code, self.sqlstate = code, sqlstate

    def __call__(self):
        if self.code is not None:
            error = sqlite3.OperationalError("what SQLite says")
            error.sqlite_errorcode = self.code
            raise error
        import optuna
        import sqlalchemy

        class DriverError(Exception):
            sqlstate = self.sqlstate

        inner = sqlalchemy.exc.OperationalError("SELECT 1", {}, DriverError("what the server\nsays"))
        raise optuna.exceptions.StorageInternalError("a long story") from inner


@pytest.mark.parametrize(
    ("refusing", "kind", "says"),
    [
        (Refusing(sqlite3.SQLITE_FULL), StorageError, "the disk is full"),
        (Refusing(sqlite3.SQLITE_IOERR_FSYNC), StorageError, "the disk failed"),
        (Refusing(sqlite3.SQLITE_READONLY), StorageError, "read-only"),
        (
            Refusing(sqlite3.SQLITE_READONLY_DBMOVED),
            StorageError,
            "removed or replaced while the search worked",
        ),
        (Refusing(sqlite3.SQLITE_PERM), StorageError, "permissions"),
        (Refusing(sqlite3.SQLITE_CORRUPT), RunFolderError, "is damaged"),
        (Refusing(sqlite3.SQLITE_ERROR), RunFolderError, "is damaged"),
        (Refusing(sqlstate="53100"), StorageError, "disk is full"),
        (Refusing(sqlstate="25006"), StorageError, "lets nobody write"),
        (Refusing(sqlstate="08006"), StorageError, "connection .* was lost"),
        (Refusing(sqlstate="57P01"), StorageError, "connection .* was lost"),
        (Refusing(sqlstate="42P01"), RunFolderError, "is damaged"),
    ],
)
def test_every_refusal_is_a_sentence(refusing, kind, says):
    with pytest.raises(kind, match=says) as refused:
        DatabaseCalls("sqlite://", "sqlite:///a.db")(refusing)
    assert "\n" not in str(refused.value)


def test_a_deadlock_is_tried_again():
    calls, refusing, said = iter(range(3)), Refusing(sqlstate="40P01"), []
    shared = DatabaseCalls("postgresql://host/a", "postgresql://host/a", say=said.append)
    assert shared(lambda: 7 if next(calls) == 2 else refusing()) == 7
    assert len(said) == 1


@pytest.mark.usefixtures("quick")
def test_a_database_that_is_removed_with_its_folder(database):
    folder = database.parent / "run"
    folder.mkdir()
    moved = database.rename(folder / "trials.db")

    def work():
        with hold(folder), store(moved) as opened:
            shutil.rmtree(folder)
            try_one(opened)

    with pytest.raises(StorageError, match="removed, moved or replaced"):
        work()


@pytest.mark.usefixtures("quick")
def test_a_database_that_is_removed_alone(database):
    def work():
        with store(database) as opened:
            database.unlink()
            try_one(opened)

    with pytest.raises(StorageError, match="its file was removed or replaced"):
        work()


def test_a_whole_file_passes(database):
    check_file(f"sqlite:///{database}")
    check_file("sqlite://")
    check_file("postgresql://user@host/name")
    check_file(f"sqlite:///{database}.none")
