from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from allometry.base import SilentProgress
from allometry.data import ArraySplit
from allometry.data.sources import checking, shards

WriteImage = Callable[..., Path]


class Told(SilentProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def write_image(tmp_path: Path) -> WriteImage:
    """Writes a small image of one level; equal levels give files of equal content.

    Each is dated a second after the one before, some years ago, as if it had been there for long.
    """
    dates = itertools.count(1_600_000_000)

    def write(name: str, level: int | tuple[int, int, int] = 0, size: tuple[int, int] = (12, 10)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L" if isinstance(level, int) else "RGB", size, level).save(path)
        os.utime(path, (date := next(dates), date))
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path, write_image: WriteImage) -> Path:
    """Two classes of ten different gray images each."""
    for number in range(10):
        write_image(f"pets/cat/{number}.png", number)
        write_image(f"pets/dog/{number}.png", 100 + number)
    return tmp_path / "pets"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are opened to be checked, as they are."""
    names: list[str] = []
    check = checking.check_bytes

    def record(data: bytes, *, name: str) -> checking.Check:
        names.append(Path(name).name)
        return check(data, name=name)

    monkeypatch.setattr(checking, "check_bytes", record)
    monkeypatch.setattr(shards, "check_bytes", record)
    return names


@pytest.fixture(scope="session")
def split() -> ArraySplit:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (23, 40, 36, 3), dtype=np.uint8)
    return ArraySplit(images=images, labels=np.arange(23) % 5, names=tuple(f"s/{i}" for i in range(23)))
