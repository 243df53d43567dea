"""Damaged and hostile inputs to everything that reads: one sentence or a right result, soon, and in little memory.

`ALLOMETRY_FUZZ=50000 pytest tests/fuzz -n 2` looks longer; a failure names its seed.
"""

from __future__ import annotations

import os
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


def memory(name: str) -> int:
    """Bytes of this process: VmHWM, the most since it was forgotten, or VmRSS, now."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.partition(f"{name}:")[2].split()[0])


@contextmanager
def limited(what: str) -> Iterator[None]:
    """Fail what takes more than ten seconds, or a gigabyte."""

    def late(*_: object) -> None:
        raise TimeoutError(f"{what} took more than {SECONDS} s")

    Path("/proc/self/clear_refs").write_text("5")  # forget the most memory so far
    before = memory("VmRSS")
    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    grown = memory("VmHWM") - before
    assert grown < GROWTH, f"{what} took {grown:,} bytes"


def look(target: Target, raw: bytes, folder: Path, what: str) -> bool:
    """Whether the input is taken; anything but a sentence of ours otherwise is a fault."""
    path = folder / target.place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    sentence = None
    with limited(what):
        try:
            value = target.read(path)
        except AllometryError as error:
            sentence = str(error)
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    if sentence is not None:
        assert sentence.strip(), what
        assert "\n" not in sentence, f"{what}: {sentence}"
        return False
    if target.write is not None:
        path.write_text(target.write(value), errors="surrogateescape")
        assert target.read(path) == value, what
    return True


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.filterwarnings("ignore")
def test_whatever_comes_gets_a_sentence_or_is_read(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in target.beside.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    if target.name != "place":  # there are no such images
        for seed in target.seeds:
            assert look(target, seed, tmp_path, "the input itself")
    for number in range(max(1, round(target.share * INPUTS / len(targets())))):
        random = Random(zlib.crc32(target.name.encode()) + number)
        raw = target.mutate(random.choice(target.seeds), random)
        look(target, raw, tmp_path, f"{target.name}, number {number}: {raw[:300]!r}")
