from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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

        def record(path: Path, before: checking.Check | None = None) -> checking.Check:
            self.paths.append(path.name)
            return check(path, before)

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
    return body_of(index_file(kept, str(source.resolve())))["columns"]


def body_of(index: Path) -> dict[str, Any]:
    return json.loads(index.read_text().splitlines()[1])


def write_body(index: Path, body: dict[str, Any]) -> None:
    """As a program would write it that means something else by it."""
    text = json.dumps(body)
    head = {"format": "allometry-index-7", "digest": checking.digest_of(text.encode())}
    index.write_text(f"{json.dumps(head)}\n{text}\n")


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
        '{"format": "allometry-index-5", "digest": ""}\n{"source": "x", "columns": 3}',
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


def test_an_index_with_a_changed_sign_is_rebuilt(folder: Path, tmp_path: Path, opened: Opened) -> None:
    kept = tmp_path / "kept"
    open_data(folder, cache_folder=kept)
    index = index_file(kept, str(folder))
    index.write_text(index.read_text().replace('"height":[10', '"height":[11'))
    assert open_data(folder, cache_folder=kept).splits["train"].size(0) == (10, 12)
    assert len(opened.paths) == 40


def exchange(one: Path, other: Path) -> None:
    beside = one.with_suffix(".beside")
    one.rename(beside)
    other.rename(one)
    beside.rename(other)


def test_images_of_equal_size_and_time_that_are_exchanged_are_noticed(
    folder: Path, tmp_path: Path, opened: Opened
) -> None:
    kept = tmp_path / "kept"
    for path in folder.rglob("*.png"):
        os.utime(path, (1, 1))
    before = open_data(folder, cache_folder=kept)
    assert (folder / "cat/3.png").stat().st_size == (folder / "dog/3.png").stat().st_size
    exchange(folder / "cat/3.png", folder / "dog/3.png")
    opened.paths.clear()
    after = open_data(folder, cache_folder=kept)
    assert opened.paths == ["3.png", "3.png"]
    assert after.fingerprint == open_data(folder, cache_folder=tmp_path / "other").fingerprint
    assert after.fingerprint != before.fingerprint


def test_images_whose_times_were_set_back_are_noticed(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    image = folder / "cat/3.png"
    open_data(folder, cache_folder=kept)
    status = image.stat()
    image.write_bytes((folder / "dog/7.png").read_bytes())
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert open_data(folder, cache_folder=kept).fingerprint == open_data(folder).fingerprint


def test_copies_with_the_same_times_are_read_but_not_decoded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    first = open_data(folder, cache_folder=kept)
    folder.rename(tmp_path / "old")
    shutil.copytree(tmp_path / "old", folder)
    told, decoded = Opened(monkeypatch), []
    monkeypatch.setattr(checking, "check_bytes", lambda *_, **__: decoded.append(1))
    assert open_data(folder, cache_folder=kept, progress=told).fingerprint == first.fingerprint
    assert len(told.paths) == 20
    assert decoded == []
    assert told.told[0] == ("checking images", 20, 0)


def test_a_sample_of_the_contents_is_compared(folder: Path, tmp_path: Path, opened: Opened) -> None:
    kept = tmp_path / "kept"
    dataset = open_data(folder, cache_folder=kept)
    index = index_file(kept, str(folder))
    content = body_of(index)
    row = content["columns"]["path"].index("dog/7.png")
    content["columns"]["digest"][row] = 32 * "0"  # as if the file had changed and nothing told it
    write_body(index, content)
    opened.paths.clear()
    assert open_data(folder, cache_folder=kept, progress=opened).fingerprint == dataset.fingerprint
    assert len(opened.paths) == 20
    assert opened.told[0] == f"{folder}: {checking.CHANGED_UNSEEN}"


def test_a_file_that_may_be_read_again_is_read(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    image = folder / "cat/3.png"
    image.chmod(0)
    refused = open_data(folder, cache_folder=kept).rejected
    image.chmod(0o644)
    assert [reason for _, reason in refused] in ([], ["Permission denied"])  # root may read anything
    assert open_data(folder, cache_folder=kept).rejected == ()


@pytest.mark.parametrize(
    ("column", "value"), [("height", "large"), ("gray", 1), ("path", None), ("stamp", 3.5)]
)
def test_an_index_with_a_corrupt_value_is_rebuilt(
    folder: Path, tmp_path: Path, opened: Opened, column: str, value: object
) -> None:
    kept = tmp_path / "kept"
    open_data(folder, cache_folder=kept)
    index = index_file(kept, str(folder))
    content = body_of(index)
    content["columns"][column][3] = value
    write_body(index, content)
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
