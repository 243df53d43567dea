from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from allometry.data import open_data
from allometry.data.sources import checking
from allometry.data.sources.checking import index_file


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

    def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
        del unit
        self.told.append((label, total, done))

    def advance(self, images: int, info: str = "") -> None:  # noqa: ARG002
        self.told.append(images)

    def stop(self) -> None:
        self.told.append("stop")


def columns(kept: Path, source: Path) -> dict[str, list[object]]:
    return json.loads(index_file(kept, str(source.resolve())).read_text())["columns"]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


def test_images_are_opened_once(folder: Path, tmp_path: Path, opened: Opened) -> None:
    kept = tmp_path / "some/where"
    (folder / "cat/bad.png").write_bytes(b"bad")
    os.utime(folder / "cat/bad.png", (1, 1))
    first = open_data(folder, cache_folder=kept, progress=opened)
    assert len(opened.paths) == 21
    assert opened.told == [("checking images", 21, 0), *[1] * 21, "stop"]
    again = open_data(folder, cache_folder=kept, progress=opened)
    assert len(opened.paths) == 21
    assert again.fingerprint == first.fingerprint
    assert again.rejected == first.rejected


def test_another_seed_needs_no_image_opened(folder: Path, tmp_path: Path, opened: Opened) -> None:
    kept = tmp_path / "kept"
    open_data(folder, cache_folder=kept)
    reseeded = open_data(folder, cache_folder=kept, seed=3)
    assert len(opened.paths) == 20
    assert reseeded.fingerprint == open_data(folder, seed=3).fingerprint


def test_only_changed_images_are_opened_again(
    folder: Path, tmp_path: Path, write_image: Callable[..., Path], opened: Opened
) -> None:
    kept = tmp_path / "kept"
    open_data(folder, cache_folder=kept)
    opened.paths.clear()
    os.utime(folder / "cat/3.png", ns=(1, 1))
    write_image("pets/dog/new.png", 200)
    (folder / "dog/4.png").unlink()
    changed = open_data(folder, cache_folder=kept)
    assert sorted(opened.paths) == ["3.png", "new.png"]
    assert changed.fingerprint == open_data(folder).fingerprint
    assert set(columns(kept, folder)["path"]) == {
        str(path.relative_to(folder)) for path in folder.glob("*/*.png")
    }


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": "other"}',
        '{"format": "allometry-index-3", "source": "x", "columns": 3}',
    ],
)
def test_a_corrupt_index_is_rebuilt(folder: Path, tmp_path: Path, content: str, opened: Opened) -> None:
    kept = tmp_path / "kept"
    index = index_file(kept, str(folder))
    index.parent.mkdir(parents=True)
    index.write_text(content)
    open_data(folder, cache_folder=kept)
    open_data(folder, cache_folder=kept)
    assert len(opened.paths) == 20


@pytest.mark.parametrize(
    ("column", "value"), [("height", "large"), ("gray", 1), ("path", None), ("size", 3.5)]
)
def test_an_index_with_a_corrupt_value_is_rebuilt(
    folder: Path, tmp_path: Path, opened: Opened, column: str, value: object
) -> None:
    kept = tmp_path / "kept"
    open_data(folder, cache_folder=kept)
    index = index_file(kept, str(folder))
    content = json.loads(index.read_text())
    content["columns"][column][3] = value
    index.write_text(json.dumps(content))
    open_data(folder, cache_folder=kept)
    assert len(opened.paths) == 40


def test_what_was_checked_survives_an_interruption(
    folder: Path, tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"

    def interrupt(images: int, info: str = "") -> None:
        if len(opened.told) > 5:
            raise KeyboardInterrupt
        opened.told.append(images)

    monkeypatch.setattr(opened, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_data(folder, cache_folder=kept, progress=opened)
    assert len(columns(kept, folder)["path"]) == 6


def test_what_has_changed_is_told(
    folder: Path, tmp_path: Path, write_image: Callable[..., Path], opened: Opened
) -> None:
    kept = tmp_path / "kept"
    open_data(folder, cache_folder=kept, progress=opened)
    os.utime(folder / "cat/3.png", (1, 1))
    write_image("pets/dog/new.png", 200)
    (folder / "dog/4.png").unlink()
    (folder / "dog/5.png").unlink()
    opened.told.clear()
    open_data(folder, cache_folder=kept, progress=opened)
    assert opened.told[0] == f"{folder}: since the last check, images are 1 new, 1 changed, 2 gone"
    assert opened.told[1] == ("checking images", 2, 0)
    opened.told.clear()
    open_data(folder, cache_folder=kept, progress=opened)
    assert opened.told == []


def test_a_file_that_is_being_written_is_looked_at_again(
    folder: Path, tmp_path: Path, opened: Opened
) -> None:
    kept = tmp_path / "kept"
    os.utime(folder / "cat/3.png")  # now: should it change once more at once, its time may stay the same
    open_data(folder, cache_folder=kept)
    opened.paths.clear()
    open_data(folder, cache_folder=kept)
    assert opened.paths == ["3.png"]


def test_the_index_is_found_again_by_another_name_of_the_folder(
    folder: Path, tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    open_data(folder, cache_folder=kept)
    (tmp_path / "link").symlink_to(folder)
    open_data(tmp_path / "link", cache_folder=kept)
    monkeypatch.chdir(folder)
    open_data(".", cache_folder=kept)
    assert len(opened.paths) == 20
    assert len(list((kept / "index").iterdir())) == 1


def test_by_default_it_is_kept_in_the_users_cache(
    folder: Path, tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    open_data(folder)
    open_data(folder)
    assert len(opened.paths) == 20
    assert len(list((tmp_path / "mine/allometry/index").iterdir())) == 1


def test_nothing_is_written_beside_the_data(folder: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    open_data(folder, cache_folder=tmp_path / "kept")
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before


def test_without_a_place_for_the_index_the_work_goes_on(folder: Path, tmp_path: Path, opened: Opened) -> None:
    (tmp_path / "file").touch()
    dataset = open_data(folder, cache_folder=tmp_path / "file" / "kept", progress=opened)
    assert len(dataset.splits["train"]) == 12
    assert "part of that path is a file" in str(opened.told[-1])
    assert str(opened.told[-1]).endswith("The next start checks the images again.")


def test_two_at_once_leave_a_whole_index(folder: Path, tmp_path: Path, opened: Opened) -> None:
    kept = tmp_path / "kept"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: open_data(folder, cache_folder=kept).fingerprint, range(8)))
    assert len(set(found)) == 1
    opened.paths.clear()
    open_data(folder, cache_folder=kept)
    assert opened.paths == []
    assert [path.suffix for path in (kept / "index").iterdir()] == [".json"]


def test_names_that_are_no_text(folder: Path, tmp_path: Path, opened: Opened) -> None:
    odd = os.fsencode(folder) + b"/cat/\xff\xfe.png"
    os.rename(folder / "cat/1.png", odd)  # noqa: PTH104 - bytes
    first = open_data(folder, cache_folder=tmp_path / "kept")
    assert open_data(folder, cache_folder=tmp_path / "kept").fingerprint == first.fingerprint
    assert len(opened.paths) == 20
