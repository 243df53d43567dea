"""Damaged and hostile inputs to everything that reads: one sentence or a right result, soon, and in little memory.

`ALLOMETRY_FUZZ=50000 pytest tests/fuzz -n 2` looks longer; a failure names its seed.
"""

from __future__ import annotations

import os
import resource
import signal
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from allometry.base import AllometryError

from .readers import Target, targets

INPUTS = int(os.environ.get("ALLOMETRY_FUZZ", "2000"))
SECONDS, GROWTH = 10, 2**30


@contextmanager
def limited(what: str) -> Iterator[None]:
    """Fail what takes more than ten seconds, or a gigabyte."""

    def late(*_: object) -> None:
        raise TimeoutError(f"{what} took more than {SECONDS} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < GROWTH, f"{what} took {grown:,} bytes"


def look(target: Target, raw: bytes, folder: Path, what: str) -> bool:
    """Whether the input is taken; anything but a sentence of ours otherwise is a fault."""
    path = folder / target.name
    path.write_bytes(raw)
    with limited(what):
        try:
            value = target.read(path)
        except AllometryError:
            return False
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    if target.write is not None:
        path.write_text(target.write(value))
        assert target.read(path) == value, what
    return True


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.filterwarnings("ignore")
def test_whatever_comes_gets_a_sentence_or_is_read(target: Target, tmp_path: Path) -> None:
    for seed in target.seeds:
        assert look(target, seed, tmp_path, "the input itself")
    for number in range(max(1, INPUTS // len(targets()))):
        random = Random(zlib.crc32(target.name.encode()) + number)
        raw = target.mutate(random.choice(target.seeds), random)
        look(target, raw, tmp_path, f"{target.name}, number {number}: {raw[:300]!r}")
