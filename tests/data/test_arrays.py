from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from allometry.base import DataError
from allometry.data import Dataset, open_arrays, open_data, summarize, view_batches
from allometry.data.sources import array_files


def pictures(number: int = 20, channels: int | None = None) -> np.ndarray:
    shape = (number, 8, 6) if channels is None else (number, 8, 6, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


LABELS = np.arange(20) % 2


def members(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return {name: split.names for name, split in dataset.splits.items()}


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_images_keep_their_places(channels: int | None) -> None:
    images = pictures(channels=channels)
    dataset = open_arrays(images, LABELS, classes=["even", "odd"])
    assert (dataset.classes, dataset.channels, dataset.image_size) == (("even", "odd"), channels or 1, 6)
    assert summarize(dataset).images == {"train": 12, "val": 4, "test": 4}
    for split in dataset.splits.values():
        assert list(split.names) == sorted(split.names)
        for index, name in enumerate(split.names):
            picture = split.image(index)
            assert (picture == images[int(name)].reshape(picture.shape)).all()
            assert split.size(index) == picture.shape[:2] == (8, 6)
            assert split.labels[index] == int(name) % 2
            assert split.image(index, min_side=3).shape[:2] == (4, 3)
    assert np.shares_memory(dataset.splits["train"].images, images)


def test_the_cut_follows_seed_and_content() -> None:
    images = pictures()
    first = open_arrays(images, LABELS)
    assert members(open_arrays(images.copy(), LABELS)) == members(first)
    assert members(open_arrays(images, LABELS, seed=1)) != members(first)
    assert first.classes == ("0", "1")


def test_equal_images_share_a_split() -> None:
    images = pictures()[np.arange(20) // 4]
    dataset = open_arrays(images, np.arange(20) // 10)
    seen: dict[str, str] = {}
    for name, split in dataset.splits.items():
        for index in range(len(split)):
            assert seen.setdefault(split.digest(index), name) == name


def test_given_splits_names_and_labels_by_name() -> None:
    words = ["train"] * 12 + ["validation"] * 4 + ["test"] * 4
    names = [f"set/{number}" for number in range(20)]
    labels = np.array(["dog", "cat"] * 10)
    images = pictures()
    images[0] = images[19]
    dataset = open_arrays(images, labels, names=names, splits=words, name="pets")
    assert (dataset.name, dataset.classes) == ("pets", ("cat", "dog"))
    assert dataset.splits["val"].names == tuple(names[12:16])
    assert dataset.rejected == (
        ("set/0", "the same image as set/19, which must stay unseen, and there is of another class (cat)"),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"images": pictures().astype(np.float32)},
            r"images must be uint8 \[N, height, width\] .* not float32 \[20, 8, 6\]",
        ),
        ({"images": np.zeros((20, 3, 8, 8), np.uint8)}, r"not uint8 \[20, 3, 8, 8\]"),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, r"not uint8 \[0, 8, 8\]"),
        ({"images": [[1]]}, r"not list"),
        ({"labels": LABELS[:19]}, r"20 images but 19 labels"),
        ({"labels": LABELS / 2}, r"that of row 1 is 0.5. A class has a whole number or a name"),
        (
            {"labels": LABELS - 1},
            r"the label -1 of row 0 is no class; negative numbers mark images without one",
        ),
        ({"labels": LABELS + 2, "classes": ["a", "b"]}, r"the label 3 is none of the 2 classes, 0 to 1"),
        ({"labels": LABELS * 2, "classes": ["a", "b"]}, r"the label 2 is none of the 2 classes, 0 to 1"),
        (
            {"labels": np.array(["a", "x"] * 10), "classes": ["a", "b"]},
            r"the label 'x' is not among the classes",
        ),
        ({"classes": ["a", "a"]}, r"two classes have the same name"),
        ({"classes": ["a", "b", "c"]}, r"Class 'c' of arrays has no usable image"),
        ({"labels": LABELS * 0}, r"only one class"),
        ({"names": ["a"]}, r"20 images but 1 names"),
        ({"splits": ["train"] * 3}, r"20 images but 3 splits"),
        ({"splits": ["train", "dev"] * 10}, r"no split is called 'dev'. Possible: train, val"),
        ({"splits": ["test", "val"] * 10}, r"gives no image to train"),
        ({"images": np.zeros((20, 8, 8), np.uint8)}, r"too few different images"),
    ],
)
def test_says_what_is_wrong(changes: dict[str, object], message: str) -> None:
    given = {"images": pictures(), "labels": LABELS, **changes}
    with pytest.raises(DataError, match=message):
        open_arrays(given.pop("images"), given.pop("labels"), **given)


def save_npy(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_npz_npy_and_memory_are_the_same(tmp_path: Path, channels: int | None) -> None:
    images, classes = pictures(channels=channels), np.array(["even", "odd"])
    split = np.array(["train"] * 12 + ["val"] * 4 + ["test"] * 4)
    memory = open_arrays(images, LABELS, classes=classes.tolist(), splits=split.tolist())
    np.savez(tmp_path / "data.npz", images=images, labels=LABELS, classes=classes, split=split)
    np.savez_compressed(tmp_path / "packed.npz", images=images, labels=LABELS, classes=classes, split=split)
    save_npy(tmp_path / "data", images=images, labels=LABELS, classes=classes, split=split)
    for where in ("data.npz", "packed.npz", "data"):
        dataset = open_data(tmp_path / where)
        assert dataset.name == where.partition(".")[0]
        assert dataset.fingerprint == memory.fingerprint
        for one, two in zip(
            view_batches(dataset.splits["train"], resolution=8, batch_size=5),
            view_batches(memory.splits["train"], resolution=8, batch_size=5),
            strict=True,
        ):
            assert (one.images == two.images).all()


def test_a_large_file_is_read_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_npy(tmp_path / "d", images=pictures(), labels=LABELS)
    os.utime(tmp_path / "d/images.npy", (1, 1))
    first = open_data(tmp_path / "d").fingerprint
    read = array_files.read_part

    def refuse(*arguments: object) -> bytes:
        raise AssertionError(arguments)

    monkeypatch.setattr(array_files, "read_part", refuse)
    monkeypatch.setattr(array_files, "sampled", lambda _number, **_: [])
    assert open_data(tmp_path / "d").fingerprint == first
    monkeypatch.setattr(array_files, "read_part", read)
    save_npy(tmp_path / "d", images=pictures()[::-1].copy(), labels=LABELS)
    assert open_data(tmp_path / "d").fingerprint != first


def test_a_file_whose_time_was_set_back_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "d/images.npy"
    for images in (pictures(), pictures()[::-1].copy()):
        save_npy(tmp_path / "d", images=images, labels=LABELS)
        os.utime(file, (1, 1))
        fingerprint = open_data(tmp_path / "d").fingerprint
        assert fingerprint == open_data(tmp_path / "d", cache_folder=tmp_path / "other").fingerprint


def test_a_file_that_goes_or_is_cut_short_later_is_named(tmp_path: Path) -> None:
    train = open_data(save_npy(tmp_path / "d", images=pictures(), labels=LABELS)).splits["train"]
    file = tmp_path / "d/images.npy"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match=r"image \d+ of .*images.npy: the file has been cut short"):
        train.image(11)
    file.unlink()
    with pytest.raises(DataError, match=r"image \d+ of .*images.npy: No such file"):
        train.image(11)


def test_what_is_wrong_with_files(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=pictures(), labels=LABELS)
    with pytest.raises(DataError, match=r"no array 'images'; found: x, labels. It needs images and labels"):
        open_data(path)
    np.savez(path, images=pictures(), labels=LABELS, split=np.arange(20))
    with pytest.raises(DataError, match=r"data.npz: no split is called '0'. Possible: train, val, test"):
        open_data(path)
    np.savez(path, images=pictures(), labels=LABELS, split=np.zeros(20))
    with pytest.raises(DataError, match=r"data.npz: split must be text \[N\], not float64 \[20\]"):
        open_data(path)
    np.savez(path, images=pictures(), labels=np.array([object()] * 20))
    with pytest.raises(DataError, match=r"data.npz holds Python objects, which are not read"):
        open_data(path)
    path.write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(DataError, match=r"Cannot read .*data.npz as NumPy arrays"):
        open_data(path)
    np.save(tmp_path / "one.npy", pictures())
    (tmp_path / "one.npy").rename(path)
    with pytest.raises(DataError, match=r"data.npz holds one array, as a .npy does; save images and labels"):
        open_data(path)
    np.save(tmp_path / "one.npy", pictures())
    with pytest.raises(
        DataError, match=r"one.npy is one array; give the folder that holds images.npy and labels.npy"
    ):
        open_data(tmp_path / "one.npy")
    save_npy(tmp_path / "f", images=np.asfortranarray(pictures()), labels=LABELS)
    with pytest.raises(DataError, match=r"in Fortran's order"):
        open_data(tmp_path / "f")
    save_npy(tmp_path / "g", images=pictures(), labels=LABELS)
    whole = (tmp_path / "g/images.npy").read_bytes()
    (tmp_path / "g/images.npy").write_bytes(whole[:-5])
    with pytest.raises(DataError, match=r"Cannot read .*images.npy"):
        open_data(tmp_path / "g")
