"""Command lines as people mistype them, and as nobody would type them: one sentence each, and nothing unforeseen."""

from __future__ import annotations

import os

import pytest

from allometry.base import InputError
from allometry.cli import main
from allometry.nas.database import without_password
from allometry.nas.workers import as_workers

LONG, DIGITS, BYTES, ZERO = "x" * 5000, "9" * 5000, os.fsdecode(b"caf\xe9"), "a\x00b"
ODD = (
    "",
    " ",
    "nan",
    "inf",
    "-1",
    "0",
    "1e400",
    "1_000",
    "\uff14",
    LONG,
    DIGITS,
    BYTES,
    ZERO,
    "\u202e",
    "http://[",
    "[b]",
)
LINES = (
    "{}",
    "info {}",
    "info efficientnet-b0 --resolution {}",
    "info efficientnet-b0 {}",
    "scale {} --phi 1",
    "scale efficientnet-b0 --phi {}",
    "scale efficientnet-b0 --budget {}",
    "scale efficientnet-b0 --budget macs<={}",
    "scale efficientnet-b0 --depth {}",
    "scale efficientnet-b0 --phi 1 --law {}",
    "scale efficientnet-b0 --phi 1 --channel-multiple {}",
    "evaluate {}",
    "predict {} x.png",
    "explain {} x.png",
    "report {}",
    "export {}",
    "supernet {}",
    "supernet search {} --budget 1M",
    "supernet extract {} x",
    "table check {}",
    "--plugin {}",
    "--plugin={} zoo",
)


@pytest.mark.parametrize("line", LINES)
def test_an_odd_word_anywhere_gets_one_sentence(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALLOMETRY_PLUGINS", "")
    for word in ODD:
        status = main([part.format(word) if "{}" in part else part for part in line.split(" ")])
        told = capsys.readouterr()
        assert status in (0, 1, 2), (line, word)
        assert "unforeseen" not in told.err, (line, word, told.err)
        assert "Traceback" not in told.err
        assert status == 0 or told.err.startswith("allometry: "), (line, word, told.err)
        assert len(told.err) < 2000, (line, word)


@pytest.mark.parametrize("workers", ["9" * 5000, "\uff14", "-1", "1e3", "4097", "", 0, None])
def test_workers_are_a_number_that_a_machine_may_have(workers):
    with pytest.raises(InputError, match="workers must be a number from 1"):
        as_workers(workers)


def test_no_message_tells_a_password_even_of_an_address_that_is_none():
    assert without_password("postgresql://me:secret@host:port/x") == "postgresql://me:***@host:port/x"
