"""What holds for every source alike."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from allometry.base import DataError, SilentProgress
from allometry.data import (
    Augmentation,
    Dataset,
    open_arrays,
    open_data,
    train_batches,
    view_batches,
)
from allometry.data.sources.naming import full_name, short_name

from .test_shards import write_tar

SOURCES = ("folder", "manifest", "shard", "npz", "npy")


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    """The same gray images from everywhere, under names of the same order."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (24, 10, 12), dtype=np.uint8)
    names = [f"{'cat' if number < 12 else 'dog'}/{number:02}.png" for number in range(24)]
    members, rows = {}, ["path,label"]
    for name, image in zip(names, images, strict=True):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        members[name] = path.read_bytes()
        members[name.replace(".png", ".cls")] = name.partition("/")[0].encode()
        rows.append(f"folder/{name},{name.partition('/')[0]}")
    write_tar(tmp_path / "shard.tar", members)
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    arrays = {"images": images, "labels": np.arange(24) // 12, "classes": np.array(["cat", "dog"])}
    np.savez(tmp_path / "npz.npz", **arrays)
    (tmp_path / "npy").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / "npy" / f"{name}.npy", array)
    endings = {"manifest": ".csv", "shard": ".tar", "npz": ".npz"}
    return {name: tmp_path / f"{name}{endings.get(name, '')}" for name in SOURCES}


def batches(dataset: Dataset) -> list[tuple[np.ndarray, ...]]:
    options = {"resolution": 8, "batch_size": 4}
    varied = [
        train_batches(
            dataset.splits["train"], augmentation=Augmentation(rotation=20), seed=3, epoch=epoch, **options
        )
        for epoch in range(2)
    ]
    plain = [view_batches(split, **options) for split in dataset.splits.values()]
    return [tuple(batch) for some in (*varied, *plain) for batch in some]


@pytest.mark.parametrize("name", ["manifest", "shard"])
def test_files_of_the_same_order_give_the_same_batches(sources: dict[str, Path], name: str) -> None:
    one, other = open_data(sources["folder"]), open_data(sources[name])
    assert one.classes == other.classes
    for mine, theirs in zip(batches(one), batches(other), strict=True):
        assert all((a == b).all() for a, b in zip(mine, theirs, strict=True))


def test_arrays_in_memory_and_in_files_give_the_same_batches(sources: dict[str, Path]) -> None:
    with np.load(sources["npz"]) as held:
        memory = open_arrays(held["images"], held["labels"], classes=held["classes"].tolist())
    for name in ("npz", "npy"):
        dataset = open_data(sources[name])
        assert dataset.fingerprint == memory.fingerprint
        for mine, theirs in zip(batches(memory), batches(dataset), strict=True):
            assert all((a == b).all() for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("name", SOURCES)
def test_a_second_start_opens_no_image(sources: dict[str, Path], name: str, tmp_path: Path) -> None:
    import os

    for path in tmp_path.rglob("*"):
        os.utime(path, (1, 1))
    kept = tmp_path / "kept"
    first = open_data(sources[name], cache_folder=kept).fingerprint
    told: list[str] = []

    class Recorder(SilentProgress):
        def say(self, text: str) -> None:
            told.append(text)

        def start(self, label: str, total: int, done: int = 0, unit: str = "images") -> None:
            del unit
            told.append(f"{label}: {total - done}")

    assert open_data(sources[name], cache_folder=kept, progress=Recorder()).fingerprint == first
    # A .npz is read into memory whole, and looked at there.
    assert told == (["checking images: 24"] if name == "npz" else [])


@pytest.mark.parametrize("name", SOURCES)
def test_a_read_only_source_will_do(sources: dict[str, Path], name: str, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    open_data(sources[name])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_the_fingerprint_is_worked_out_once(sources: dict[str, Path]) -> None:
    dataset = open_data(sources["folder"])
    assert dataset.fingerprint is dataset.fingerprint


@pytest.mark.parametrize(
    ("where", "short"),
    [
        ("icons", "icons"),
        ("folder", "folder"),
        ("manifest.csv", "manifest"),
        ("data.v2.parquet", "data.v2"),
        ("pets-train-{000..012}.tar", "pets"),
        ("pets/{train,val}-{0..9}.tar", "pets"),
        ("pets/train/{0..9}.tar", "pets"),
        ("one.tar", "one"),
        ("https://host/pets/train-{0..9}.tar?key=a/b", "pets"),
        ("https://host/{0..9}.tar", "shards"),
    ],
)
def test_names(
    where: str, short: str, sources: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert short_name(where) == short
    as_it_is = where == "icons" or "://" in where
    assert full_name(where) == (where if as_it_is else str(tmp_path / where))
    assert full_name(full_name(where)) == full_name(where)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("manifset.csv", r"no file .*manifset.csv. Did you mean .*manifest.csv\?"),
        ("npz", r"no folder .*npz. Did you mean .*np[yz]"),
        (
            "notes.txt",
            r"notes.txt is a file of no kind that holds a data set. Give a folder of class folders, or icons",
        ),
        ("empty", r"empty has no class folders.* If .*empty/list.csv lists the images, give that file\."),
    ],
)
def test_near_misses(sources: dict[str, Path], tmp_path: Path, where: str, message: str) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/list.csv").touch()
    with pytest.raises(DataError, match=message):
        open_data(tmp_path / where)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("x" * 5000, "cannot be followed: File name too long"),
        ("images\x00", "cannot be followed: embedded null byte"),
        ("caf\ud800", "cannot be followed: 'utf-8' codec can't encode"),
        ("http://[", "'http://[' is no address: Invalid IPv6 URL"),
        ("https://[host/{0..9}.tar", "is no address"),
        ("{0.." + "9" * 5000 + "}.tar", "an integer of 5000 digits is beyond all bounds"),
        ("{" + "0" * 5000 + "..9}.tar", "an integer of 5000 digits is beyond all bounds"),
    ],
)
def test_places_that_cannot_be_are_told_in_a_sentence(where: str, says: str) -> None:
    with pytest.raises(DataError) as refused:
        open_data(where)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "name", ["d.csv", "d.parquet", "d.npz", "d.tar", "shards/0.tar", "arrays/images.npy"]
)
def test_a_pipe_that_nobody_writes_to_holds_nothing_up(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    if name.endswith(".npy"):
        np.save(tmp_path / "arrays/labels.npy", np.zeros(3))
    os.mkfifo(tmp_path / name)
    where = tmp_path / name if name.startswith("d.") else (tmp_path / name).parent
    with pytest.raises(DataError, match="is no regular file"):
        open_data(where)
