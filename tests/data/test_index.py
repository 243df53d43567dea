from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from allometry.data import fingerprint, open_data
from allometry.data.sources import checking


class Opened:
    """Records which images are opened, and the progress that is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        self.told: list[object] = []
        check = checking.check_image

        def record(path: Path) -> checking.Check:
            self.paths.append(path.name)
            return check(path)

        monkeypatch.setattr(checking, "check_image", record)

    def say(self, text: str) -> None:
        self.told.append(text)

    def start(self, label: str, total: int, done: int = 0) -> None:
        self.told.append((label, total, done))

    def advance(self, images: int, info: str = "") -> None:  # noqa: ARG002
        self.told.append(images)

    def stop(self) -> None:
        self.told.append("stop")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


def test_images_are_opened_once(folder: Path, tmp_path: Path, opened: Opened) -> None:
    index = tmp_path / "some/index.json"
    (folder / "cat/bad.png").write_bytes(b"bad")
    first = open_data(folder, index=index, progress=opened)
    assert len(opened.paths) == 21
    assert opened.told == [("checking images", 21, 0), *[1] * 21, "stop"]
    again = open_data(folder, index=index, progress=opened)
    assert len(opened.paths) == 21
    assert fingerprint(again) == fingerprint(first)
    assert again.rejected == first.rejected


def test_another_seed_needs_no_image_opened(folder: Path, tmp_path: Path, opened: Opened) -> None:
    index = tmp_path / "index.json"
    open_data(folder, index=index)
    reseeded = open_data(folder, index=index, seed=3)
    assert len(opened.paths) == 20
    assert fingerprint(reseeded) == fingerprint(open_data(folder, seed=3))


def test_only_changed_images_are_opened_again(
    folder: Path, tmp_path: Path, picture: Callable[..., Path], opened: Opened
) -> None:
    index = tmp_path / "index.json"
    open_data(folder, index=index)
    opened.paths.clear()
    os.utime(folder / "cat/3.png", ns=(1, 1))
    picture("pets/dog/new.png", 200)
    (folder / "dog/4.png").unlink()
    changed = open_data(folder, index=index)
    assert sorted(opened.paths) == ["3.png", "new.png"]
    assert fingerprint(changed) == fingerprint(open_data(folder))
    assert set(json.loads(index.read_text())["files"]) == {
        str(path.relative_to(folder)) for path in folder.glob("*/*.png")
    }


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"format": "other"}', '{"format": "allometry-index-1", "files": 3}']
)
def test_a_corrupt_index_is_rebuilt(folder: Path, tmp_path: Path, content: str, opened: Opened) -> None:
    index = tmp_path / "index.json"
    index.write_text(content)
    open_data(folder, index=index)
    open_data(folder, index=index)
    assert len(opened.paths) == 20


def test_a_corrupt_record_is_rebuilt(folder: Path, tmp_path: Path, opened: Opened) -> None:
    index = tmp_path / "index.json"
    open_data(folder, index=index)
    content = json.loads(index.read_text())
    content["files"]["cat/1.png"][3] = "large"
    index.write_text(json.dumps(content))
    open_data(folder, index=index)
    assert opened.paths.count("1.png") == 3


def test_what_was_checked_survives_an_interruption(
    folder: Path, tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index.json"

    def interrupt(images: int, info: str = "") -> None:
        if len(opened.told) > 5:
            raise KeyboardInterrupt
        opened.told.append(images)

    monkeypatch.setattr(opened, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_data(folder, index=index, progress=opened)
    assert len(json.loads(index.read_text())["files"]) == 6
